import CHeddle
package import HeddleSystem
package import HeddleWire
import Synchronization

/// What reads the results of one type of job, and tells workers what that type is.
package protocol ResultReceiver: AnyObject, Sendable {
  /// What a worker is told once, before the first job of this type.
  var definition: [UInt8] { get }
  /// Whether a job of this type may have several results.
  var takesSeveral: Bool { get }
  /// Ends `future` with what a worker sent. Called outside all locks; the answer's bytes are private memory and untrusted.
  func receive(_ future: AnyFuture, _ answer: WorkerAnswer, decoder: MessageDecoder)
  /// What a job without a label is called.
  var jobName: String { get }
}

extension ResultReceiver {
  package var jobName: String { String(decoding: definition, as: UTF8.self) }
  /// One result a job.
  package var takesSeveral: Bool { false }
}

/// What a worker sent as the end of a job.
@safe package struct WorkerAnswer {
  /// A `ResultKind`, or any other number.
  package var kind: UInt32
  /// Valid during the call.
  package var bytes: UnsafeRawBufferPointer
  package var segments: (any SegmentSource)?
  /// What came beside it: `SealedMemory`, or `UnusableMemory` in its place.
  package var attachments: [Attachment] = []
  /// Which run of the job it was, from 1.
  package var attempt: Int
  /// The job goes on; only where the receiver takes several.
  package var isLast = true
  /// There was no memory for so many bytes of it, so that it has none; nil: there was.
  ///
  /// Unit: bytes.
  package var missing: Int?
}

/// A pool of worker processes: it takes encoded jobs and gives back encoded results.
///
/// It knows neither Swift types nor Python.
///
/// Processes/README.md has the picture: who owns what, who may block where, what happens when a worker dies. This file is the core
/// and what comes in; the other parts are in `ProcessPool+….swift`.
package final class ProcessPool: FutureSource {
  /// All that the core lock guards, with the fields of `WorkerChannel` that say so.
  @safe struct Core: ~Copyable {
    var state: PoolState
    var queue = JobQueue()
    /// One a place; nil where there is no process.
    var channels: [WorkerChannel?]
    /// The channels, for those who look at all of them.
    ///
    /// Made anew when one comes or goes.
    var live: [WorkerChannel] = [] { didSet { unsafe borrowed = unsafe live.map { unsafe Unmanaged.passUnretained($0) } } }
    /// The same, for those who hold `live` and look at it in a loop.
    private(set) var borrowed: [Unmanaged<WorkerChannel>] = unsafe []
    var typeNumbers: [ObjectIdentifier: UInt32] = [:]
    var receivers: [any ResultReceiver] = []
    var lastType: ObjectIdentifier?
    var lastNumber: UInt32 = 0
    /// Places where the supervisor is to start a worker.
    var startRequests: [PoolState.Place] = []
    /// Jobs that wait for their next attempt, and until when.
    var delayed: [(time: MonotonicTime, job: QueuedJob)] = []
    /// Until when the supervisor sleeps; nil: it is awake, and will look at everything.
    var sleepsUntil: MonotonicTime?
    /// It sleeps until the next tick at most.
    var wakesForTick = false
    /// When what still runs is to be killed, at shutdown.
    var killTime: MonotonicTime?
    /// Shut down so that what waits does not run any more.
    var dropsWaiting = false
    /// Of the workers that have gone: what they used in sum, the most memory that one had, and how many there were.
    var processorTime = Duration.zero
    var peakMemory = 0
    var goneCount = 0
    /// When further workers are tried that could not be started, where jobs wait for the few that are there.
    var nextStartTry: MonotonicTime?
    /// Why the last worker did not start.
    var startFailure = ""
    /// Workers without a job that are to be told to go.
    var retiring: [WorkerChannel] = []
    /// The supervisor looks at no worker before it is woken, or before much later, nor at its memory: none of them held a job.
    var sleepsUnwatched = false
    /// The supervisor wakes by itself soon, unless it looks before: a job was sent while it slept so.
    var hasTimer = false
    /// Payloads that nobody needs any more, to be released after the lock: that may take long.
    var trash: [OwnedPayload] = []
    /// Workers that need to be looked at: they wrote nonsense.
    var violators: [(WorkerChannel, String)] = []
  }
  let core: Locked<Core>
  let recipe: WorkerRecipe
  /// By what the guard knows what workers have started; nil: they see to it themselves.
  let guardWord: String?
  let limits: PoolLimits
  /// What each worker runs before its first job and after its last.
  let initializer: WorkerTask?
  let finalizer: WorkerTask?
  /// They keep what they know of the pool.
  let batches = Spares<ResultBatch>()
  /// How long one that waits looks for results.
  let helpBudget = SpinBudget()
  /// How many processors there are: at first by the affinity mask alone, which is known at once.
  ///
  /// The supervisor asks the cgroups too, while the first worker starts: that takes as long as to set a pool up.
  let processors = Atomic<Int>(Processors.byAffinity())
  let wakeUp: Doorbell
  /// A job was sent while the supervisor slept unwatched, and its timer was not set yet: see `watchSoon`.
  ///
  /// Changed under the core lock.
  let owesTimer = Atomic<Bool>(false)
  /// Whom the kernel killed; the supervisor's own.
  let memoryWatch = MemoryWatch()
  /// Ends when the last worker has gone after shutdown.
  let finished = Future<Void>(in: nil)
  private let thread = Locked<OSThread?>(nil)
  /// In a forked child this pool has no thread, and its workers are its parent's: it is shut.
  let forks = ForkWatch()

  /// A pool without workers yet.
  ///
  /// - Throws: `SystemError` where not even the supervisor's thread or descriptor can be had; what a task's receiver throws.
  package init(
    recipe: WorkerRecipe, maxWorkers: Int, limits: PoolLimits = PoolLimits(), initializer: WorkerTask? = nil, finalizer: WorkerTask? = nil
  ) throws {
    guardWord = recipe.hasLifelinePipe ? FamilyGuard.newWord : nil
    var recipe = recipe
    if let guardWord { recipe.environment.append(guardWord) }
    self.recipe = recipe
    self.limits = limits
    self.initializer = initializer
    self.finalizer = finalizer
    core = unsafe Locked(
      Core(
        state: PoolState(
          maxWorkers: maxWorkers, width: recipe.width, capacity: RegionLayout.capacity,
          quota: limits.jobsPerWorker.map { max(1, $0) } ?? .max, prepares: initializer != nil),
        channels: Array(repeating: nil, count: maxWorkers)))
    wakeUp = try Doorbell()
    for task in [initializer, finalizer].compactMap({ $0 }) { define(task.type, try task.receiver()) }
    let thread = try OSThread(name: "heddle-pool") { [self] in supervise() }
    self.thread.withLock { $0 = thread }
  }

  // MARK: Jobs come in

  /// Takes an encoded job.
  ///
  /// The bytes are copied, the segments and the attachments kept.
  ///
  /// - Parameters:
  ///   - attachments: memory that the worker gets with the job.
  ///   - type: names the type of job; `receiver` is made when it comes for the first time.
  package func submit(
    _ future: AnyFuture, bytes: UnsafeRawBufferPointer, segments: [Segment], attachments: [Attachment] = [],
    type: ObjectIdentifier, options: JobOptions, receiver: () throws -> any ResultReceiver
  ) {
    // Before any lock: one that was held at the fork is held for ever.
    if forks.hasForked {
      future.fail(JobError.forked)
      return
    }
    let memories: [SealedMemory]
    do { memories = attachments.isEmpty ? [] : try handed(attachments) } catch {
      future.fail(error)
      return
    }
    guard PrivateMemory.isThere(bytes.count) else {
      future.fail(JobError.noMemory(.notEncodable, "The job did not run", bytes.count, in: .here))
      return
    }
    let payload =
      unsafe segments.isEmpty && memories.isEmpty && bytes.count <= Frame.payloadLimit
      ? nil : OwnedPayload(copying: bytes, segments: segments, memories: memories)
    if let payload, payload.segments.count > MessageShape.segmentLimit {
      future.fail(
        JobError(
          code: .notEncodable, message: "The job holds \(payload.segments.count) large arrays; the limit is \(MessageShape.segmentLimit)."))
      return
    }
    var job = unsafe QueuedJob(
      future: .passUnretained(future), payload: payload, extras: options.areStandard ? nil : JobExtras(options),
      byteCount: UInt32(truncatingIfNeeded: bytes.count), type: 0)
    var bells = Bells()
    while true {
      let outcome = core.withLock { core -> Submission in
        if core.state.isShutDown { return .closed }
        if core.lastType != type {
          guard let number = core.typeNumbers[type] else { return .unknownType }
          core.lastType = type
          core.lastNumber = number
        }
        job.type = core.lastNumber
        _ = unsafe job.future.retain()
        unsafe core.queue.push(job, bytes, priority: options.priority)
        core.state.jobSubmitted()
        dispatch(&core, &bells)
        return .accepted
      }
      switch outcome {
      case .accepted:
        bells.ring(self)
        return
      case .closed:
        future.fail(JobError.executorShutDown)
        return
      case .unknownType:
        do { define(type, try receiver()) } catch {
          future.fail(error)
          return
        }
      }
    }
  }
  /// What goes with a job to its worker.
  private func handed(_ attachments: [Attachment]) throws(JobError) -> [SealedMemory] {
    guard recipe.takesMemory else {
      throw JobError(code: .notEncodable, message: "The job holds a SharedBuffer, which workers of this kind cannot take.")
    }
    guard attachments.count <= HandoverSocket.limit else { throw .tooManyBuffers(attachments.count) }
    return attachments.compactMap { $0 as? SealedMemory }
  }
  private enum Submission { case accepted, closed, unknownType }

  private func define(_ type: ObjectIdentifier, _ receiver: any ResultReceiver) {
    core.withLock { core in
      guard core.typeNumbers[type] == nil else { return }
      core.typeNumbers[type] = UInt32(core.receivers.count)
      core.receivers.append(receiver)
    }
  }

  /// Processor time of the workers that have gone, with what they started and waited for: after shutdown, of all.
  package var processorTime: Duration { core.withLock { $0.processorTime } }

  /// What the workers have used so far: those that live one by one, of those that have gone the sum of time and the most memory.
  ///
  /// Asks the kernel about each.
  package func usage() -> (live: [(pid: Int32, usage: ProcessUsage)], processorTime: Duration, peakMemory: Int) {
    while true {
      let (channels, time, peak, count) = core.withLock { ($0.live, $0.processorTime, $0.peakMemory, $0.goneCount) }
      let live = channels.compactMap { channel in ProcessUsage.of(channel.process.pid).map { (channel.process.pid, $0) } }
      // A worker that has ended but is not buried yet is in neither; it is in a moment.
      if live.count == channels.count && core.withLock({ $0.goneCount == count }) { return (live, time, peak) }
      if live.count == channels.count { continue }
      heddle_yield()
    }
  }

  // MARK: FutureSource

  package func beginWait(for future: AnyFuture) -> WaitPermit { forks.hasForked ? .refused(JobError.forked) : .granted }
  package func isRunning(_ future: AnyFuture) -> Bool {
    if forks.hasForked { return false }
    expect(future)
    return core.withLock { core in
      guard let (channel, position) = flight(of: future, in: core) else { return false }
      return channel.isStarted(position)
    }
  }
  /// Where the job of a future lies, if in a worker's ring.
  ///
  /// Under the core lock.
  func flight(of future: AnyFuture, in core: borrowing Core) -> (WorkerChannel, UInt64)? {
    let wanted = unsafe Unmanaged.passUnretained(future).toOpaque()
    for channel in core.live {
      for position in channel.openPositions where !channel.flight(position).isAbandoned {
        if unsafe channel.flight(position).job.future.toOpaque() == wanted { return (channel, position) }
      }
    }
    return nil
  }
  package func cancel(_ future: AnyFuture) -> Bool {
    if forks.hasForked { return false }
    var bells = Bells()
    let error = JobError(code: .cancelled, message: "The job was cancelled before it started.")
    let outcome = core.withLock { core -> Cancellation in
      guard let (channel, position) = flight(of: future, in: core) else {
        // It waits here, or has ended. Won under the lock, so that it cannot be sent meanwhile.
        guard future.beginEnding() else { return .tooLate }
        if !core.delayed.isEmpty || core.state.isShutDown { nudge(&core, &bells) }
        return .won
      }
      if unsafe channel.detached[position] == nil, Claims.revoke(position, in: channel.memory) {
        unsafe end(position, of: channel, .revoked, &core).release()
        dispatch(&core, &bells)
        return future.beginEnding() ? .won : .tooLate
      }
      if recipe.width > 1 { return .cannotStop }
      let message = "The job was cancelled while it ran; its worker was stopped."
      guard stop(channel, for: position, .cancelled, message, &core, &bells) else { return .tooLate }
      return future.beginEnding() ? .stopped(channel.process.pid, message) : .tooLate
    }
    bells.ring(self)
    switch outcome {
    case .won: future.endByCancel(error)
    case .stopped(let pid, let message):
      future.endByCancel(JobError(code: .cancelled, message: message, workerPID: pid))
    case .cannotStop: return false
    case .tooLate: return false
    }
    return true
  }
  /// Lets the worker of a job that has several results send more of them, or no more.
  ///
  /// false: no worker has the job.
  package func grant(_ credit: StreamCredit, at slot: Int, to future: AnyFuture) -> Bool {
    let channel = core.withLock { core -> WorkerChannel? in
      guard let (channel, _) = flight(of: future, in: core) else { return nil }
      unsafe channel.memory.ownWord(RegionLayout.credits + 8 * slot).pointee.store(credit.word, ordering: .sequentiallyConsistent)
      return channel
    }
    guard let channel else { return false }
    // Always: it may sleep for this and for nothing else, which it does not say.
    channel.ring()
    return true
  }
  private enum Cancellation {
    case won
    case stopped(Int32, String)
    /// Several jobs run in that worker: killing it would hit the others.
    case cannotStop
    case tooLate
  }

  // MARK: The end

  /// Ends the pool.
  ///
  /// Returns when nothing of it is left.
  package func shutdown(_ mode: ShutdownMode) async {
    if forks.hasForked { return }
    close(mode)
    if !finished.hasEnded { await finished.park() }
    // It has nothing left to do: a join takes microseconds.
    let thread = self.thread.withLock { thread in
      defer { thread = nil }
      return thread
    }
    thread?.join()
  }
  /// The executor is gone: what was submitted is finished, and the pool ends by itself.
  package func abandon() {
    if forks.hasForked { return }
    close(.finishAll)
    self.thread.withLock { thread in
      thread?.detach()
      thread = nil
    }
  }
  /// Takes no more from here on.
  ///
  /// May be called again: the stricter mode holds.
  func close(_ mode: ShutdownMode) {
    if forks.hasForked { return }
    let dropped = core.withLock { core -> [QueuedJob] in
      core.state.shutDown()
      guard mode != .finishAll else { return [] }
      core.dropsWaiting = true
      if case .kill(let grace) = mode { core.killTime = min(core.killTime ?? .distantFuture, .now + grace) }
      // What lies behind a running job has not started either.
      for channel in core.live { takeBack(from: channel, isFinal: true, &core) }
      let jobs = core.queue.removeAll()
      core.state.waitingJobsEnded(jobs.count)
      defer { core.delayed = [] }
      return jobs + core.delayed.map(\.job)
    }
    for job in dropped { unsafe job.future.takeRetainedValue().fail(JobError.cancelledAtShutdown, cancelled: true) }
    wakeUp.wake()
  }
}

/// Wakes the supervisor, at once or after a while; rung from anywhere.
///
/// Closed when the supervisor has gone, since futures and executors may be held much longer.
final class Doorbell: Sendable {
  /// What the supervisor polls.
  let number: Int32
  private let descriptor: Locked<Descriptor?>
  /// The same, for what rings after a while; -1: there is none.
  let timerNumber: Int32
  private let timer: Locked<Descriptor?>

  init() throws(SystemError) {
    let event = try Descriptor.event()
    number = event.number
    descriptor = Locked(event)
    let timer = Descriptor.timer()
    timerNumber = timer.number
    self.timer = Locked(timer)
  }
  /// Whether there is a timer.
  var hasTimer: Bool { timerNumber >= 0 }
  /// Makes the timer, where there is one, readable after so long, which costs nobody's sleep now; nil: not at all.
  func setTimer(_ time: Duration?) {
    timer.withLock { timer in
      if hasTimer { timer?.setTimer(time) }
    }
  }
  /// Makes it readable.
  ///
  /// Writing to a counter does not block, so the lock may be held around it.
  func wake() { descriptor.withLock { $0?.wake() } }
  /// Makes it unreadable again.
  func drain() { descriptor.withLock { $0?.drain() } }
  func close() {
    descriptor.withLock { $0 = nil }
    timer.withLock { $0 = nil }
  }
}

/// Whom to ring for once the lock is given back.
struct Bells {
  private var first: WorkerChannel?
  private var more: [WorkerChannel] = []
  /// The supervisor has something to do.
  var supervisor = false
  /// The supervisor's timer is to be set.
  var timer = false
  /// Payloads that are released with this, after the lock.
  var trash: [OwnedPayload] = []

  mutating func add(_ channel: WorkerChannel) {
    if first == nil { first = channel } else { more.append(channel) }
  }
  func ring(_ pool: ProcessPool) {
    first?.ring()
    for channel in more { channel.ring() }
    if supervisor { pool.wakeUp.wake() }
    // Last: it takes five microseconds, in which a worker that was rung for wakes.
    if timer { pool.wakeUp.setTimer(ProcessPool.watchDelay) }
  }
}

extension JobError {
  /// Used in a child of the process that made the executor.
  static var forked: JobError {
    JobError(
      code: .executorShutDown,
      message: "This process was forked from the one that made the executor, whose threads and workers are not here, so the executor "
        + "reads as shut down. Make a new one after the fork.")
  }
}

extension AnyFuture {
  /// Ends a future whose ending was won, as cancelled.
  func endByCancel(_ error: JobError) {
    writeFailure(error)
    end(Stage.cancelled)
  }
}
