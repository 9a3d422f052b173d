import CHeddle
import HeddleSystem
import Synchronization

/// One thread of a pool: it runs jobs one after another inside a long-lived task on its own lane.
final class WorkerThread: Sendable {
  private let queue: ThreadQueue
  private unowned let engine: ThreadEngine
  let batch: ThreadBatch
  /// The future whose job runs here, or 0; with `borrowedBit` while another thread makes a reference of it.
  private let current = Atomic<UInt>(0)
  private static let borrowedBit: UInt = 1
  /// The task in which jobs run.
  ///
  /// It is replaced after a job of it was told to stop, since a cancelled task stays cancelled.
  private let task = Locked<Task<Void, Never>?>(nil)
  /// Jobs of the same pool that run inside the one above, which waits for them: see WorkerThread+Nesting.swift.
  let nested = Locked(Nested())
  /// It runs a step of a task, which gives the thread back where it waits.
  let isInStep = Atomic<Bool>(false)

  init(batch: ThreadBatch, queue: ThreadQueue, engine: ThreadEngine) {
    self.batch = batch
    self.queue = queue
    self.engine = engine
  }

  /// The thread's body: returns when the queue is closed and empty, or the thread is to leave.
  ///
  /// Blocks.
  func run() {
    unsafe heddle_set_thread_owner(Unmanaged.passUnretained(self).toOpaque())
    defer { heddle_set_thread_owner(nil) }
    let lane = Lane()
    var isOpen = true
    while isOpen {
      let ended = Locked(false)
      // SAFETY of order: the task cannot run before `lane.run`, on this very thread, so its handle is in place before any job is.
      let task = Task(executorPreference: lane) { [self] in
        let wasLast = await serve()
        ended.withLock { $0 = wasLast }
        lane.close()
      }
      self.task.withLock { $0 = task }
      lane.run()
      isOpen = !ended.withLock { $0 }
      if isOpen { lane.reopen() }
    }
    task.withLock { $0 = nil }
  }
  /// Runs jobs.
  ///
  /// true: the queue has no more for this thread; false: this task was cancelled by a job's canceller, another must take over.
  private nonisolated(nonsending) func serve() async -> Bool {
    let feed = _ThreadFeed(self)
    while let kind = feed.advance() {
      switch kind {
      case .job(let type): await type._serve(feed)
      case .async: await feed.begin().executeAsync()
      case .plain: feed.begin().execute()
      }
    }
    return !feed.wasTold
  }
  /// The next future, started; `giveUp` is to be called after its job.
  ///
  /// Blocks, and runs steps of tasks meanwhile. nil: the queue has no more for this thread.
  func claim() -> AnyFuture? {
    while let work = queue.next(batch) {
      switch work {
      case .step(let step):
        isInStep.store(true, ordering: .relaxed)
        unsafe step.runSynchronously(on: engine.executor)
        isInStep.store(false, ordering: .relaxed)
      case .future(let reference):
        let future = unsafe reference.takeRetainedValue()
        current.store(Self.bits(of: future), ordering: .releasing)
        // Only who has started it may look at its work: another thread may run it just now, inside a job that waits for it.
        if future.start() { return future }
        giveUp(future)
      }
    }
    return nil
  }
  /// The future's job does not run here any more.
  func giveUp(_ future: AnyFuture) {
    let bits = Self.bits(of: future)
    // Whoever borrows the word holds it for some instructions.
    while !current.compareExchange(expected: bits, desired: 0, ordering: .acquiringAndReleasing).exchanged { heddle_pause() }
  }
  private static func bits(of future: AnyFuture) -> UInt { unsafe UInt(bitPattern: Unmanaged.passUnretained(future).toOpaque()) }
  /// The thread that the caller runs on, where that is one of a pool's.
  static var current: WorkerThread? {
    // SAFETY: the thread itself holds the object for as long as the word names it.
    guard let owner = unsafe heddle_thread_owner() else { return nil }
    return unsafe Unmanaged<WorkerThread>.fromOpaque(owner).takeUnretainedValue()
  }
  /// Whether it is one of that pool's.
  func belongs(to engine: ThreadEngine) -> Bool { self.engine === engine }
  /// The future whose job runs here, kept alive.
  func running() -> AnyFuture? {
    var bits = current.load(ordering: .acquiring)
    while true {
      guard bits != 0 else { return nil }
      // Who cancels another job may be looking too, for some instructions: passing by would lose this cancellation.
      let bare = bits & ~Self.borrowedBit
      let (exchanged, now) = current.compareExchange(expected: bare, desired: bare | Self.borrowedBit, ordering: .acquiringAndReleasing)
      bits = exchanged ? bare : now
      if exchanged { break }
      heddle_pause()
    }
    // SAFETY: the thread holds the future until it has cleared the word, which it cannot while the bit is set.
    let future = unsafe Unmanaged<AnyFuture>.fromOpaque(UnsafeRawPointer(bitPattern: bits)!).takeUnretainedValue()
    current.store(bits, ordering: .releasing)
    return future
  }
  /// Cancels the task of `future`'s job, which was told to stop, if that job runs here.
  ///
  /// Handlers of cancellation run on the calling thread.
  func cancelTask(running future: AnyFuture) -> Bool {
    if cancelNested(future) { return true }
    guard running() === future else { return false }
    let task = self.task.withLock { $0 }
    // Still the same job: then the task is its own. A told job's task is given up after it, so it cannot be the next one's.
    guard running() === future else { return false }
    task?.cancel()
    return true
  }
}
