public import Synchronization

/// How far a job is.
public enum FutureState: Sendable, Hashable, CaseIterable {
  /// Waits. Next: any other.
  case pending
  /// Runs. Next: one of the three below.
  case running
  /// Ended with an output.
  case succeeded
  /// Ended with an error.
  case failed
  /// Ended because somebody cancelled it, or shut its executor down before it started.
  case cancelled
}

// SAFETY: `word` decides who may write the fields of the subclass: the thread that moved it to `ending`; and who may read them:
// everybody who saw it at an end, because the release of `end` comes after the writes.
/// A future whatever its output: what one can do without knowing the type.
public class AnyFuture: @unchecked Sendable {
  /// Low bits: the stage and `toldBit`.
  ///
  /// Above: the first of those who wait, a retained `Waiter`, or nothing.
  @usableFromInline let word: Atomic<UInt>
  /// What whoever waits may do meanwhile, and whom to ask about a job that is not in our hands.
  @usableFromInline final let source: (any FutureSource)?

  @usableFromInline enum Stage {
    static var pending: UInt { 0 }
    /// A thread runs the work. (A job in a process stays `pending` here; its source knows.)
    static var running: UInt { 1 }
    /// Somebody has won the right to end it and writes the outcome.
    static var ending: UInt { 2 }
    @usableFromInline static var succeeded: UInt { 3 }
    static var failed: UInt { 4 }
    static var cancelled: UInt { 5 }
    @usableFromInline static var mask: UInt { 7 }
    /// Somebody asked a running job to stop.
    static var toldBit: UInt { 8 }
    static var waiterMask: UInt { ~15 }
  }

  @usableFromInline init(source: (any FutureSource)?, running: Bool = false) {
    self.source = source
    word = Atomic(running ? Stage.running : Stage.pending)
  }
  /// How far the job is, at this moment.
  public final var state: FutureState {
    switch word.load(ordering: .acquiring) & Stage.mask {
    case Stage.pending: source?.isRunning(self) == true ? .running : .pending
    case Stage.running, Stage.ending: .running
    case Stage.succeeded: .succeeded
    case Stage.failed: .failed
    default: .cancelled
    }
  }
  /// Whether nobody has started the job, as far as the future itself knows.
  final var isPending: Bool { word.load(ordering: .acquiring) & Stage.mask == Stage.pending }
  /// Whether the job has ended.
  public final var isDone: Bool {
    if hasEnded { return true }
    source?.expect(self)
    return false
  }
  /// The same, for those who wait.
  @inlinable final var hasEnded: Bool { word.load(ordering: .acquiring) & Stage.mask >= Stage.succeeded }

  /// Whether an output was written; for whoever holds the last reference.
  final var hasSucceeded: Bool { word.load(ordering: .relaxed) & Stage.mask == Stage.succeeded }

  /// Asks the job to stop.
  ///
  /// A job that waits never runs, and nobody is killed for it. One that runs in a process is killed with all that it started. One
  /// that runs on a thread is told, as `Task.cancel()` tells a task, and ends when it returns.
  ///
  /// - Returns: whether the request reached a job that had not ended.
  @discardableResult public final func cancel() -> Bool {
    if let source { return source.cancel(self) }
    return cancelIfPending()
  }

  // MARK: For executors

  /// Moves from pending to running.
  ///
  /// false: it was cancelled, or ended otherwise.
  final func start() -> Bool {
    // Not looked at first: who waits reads the word all the time, and a look would fetch it once more.
    var old = Stage.pending
    repeat {
      let (exchanged, now) = word.compareExchange(expected: old, desired: old | Stage.running, ordering: .acquiringAndReleasing)
      if exchanged { return true }
      old = now
    } while old & Stage.mask == Stage.pending
    return false
  }
  /// Ends a job that the caller has started, whose outcome is written, and wakes all who wait.
  ///
  /// In one step, where others need two: nobody else may write an output. Their code runs here: no lock may be held.
  ///
  /// - Returns: false where somebody else has ended it, or does so now.
  @usableFromInline final func endStarted(_ stage: UInt) -> Bool {
    // Not looked at first, as in `start`.
    var old = Stage.running
    repeat {
      let (exchanged, now) = word.compareExchange(
        expected: old, desired: stage | old & Stage.toldBit, ordering: .acquiringAndReleasing)
      if exchanged {
        if old & Stage.waiterMask != 0 { wake(old) }
        return true
      }
      old = now
    } while old & Stage.mask == Stage.running
    return false
  }
  /// Wins the right to end the job.
  ///
  /// Whoever gets `true` must write the outcome and call `end`.
  @usableFromInline final func beginEnding(pendingOnly: Bool = false) -> Bool {
    var old = word.load(ordering: .relaxed)
    while old & Stage.mask == Stage.pending || (!pendingOnly && old & Stage.mask == Stage.running) {
      let (exchanged, now) = word.compareExchange(
        expected: old, desired: old & ~Stage.mask | Stage.ending, ordering: .acquiringAndReleasing)
      if exchanged { return true }
      old = now
    }
    return false
  }
  /// Publishes the outcome and wakes all who wait.
  ///
  /// Their code runs here: no lock may be held.
  @usableFromInline final func end(_ stage: UInt) {
    // The told bit cannot change any more: only a running job is told.
    let told = word.load(ordering: .relaxed) & Stage.toldBit
    let old = word.exchange(stage | told, ordering: .acquiringAndReleasing)
    if old & Stage.waiterMask != 0 { wake(old) }
  }
  /// Tells a running job to stop.
  ///
  /// Returns whether this call was the first to tell a job that runs.
  final func tell() -> Bool {
    var old = word.load(ordering: .relaxed)
    while old & Stage.mask == Stage.running && old & Stage.toldBit == 0 {
      let (exchanged, now) = word.compareExchange(expected: old, desired: old | Stage.toldBit, ordering: .acquiringAndReleasing)
      if exchanged { return true }
      old = now
    }
    return false
  }
  final var wasTold: Bool { word.load(ordering: .acquiring) & Stage.toldBit != 0 }

  /// Ends it with an error unless it has ended.
  ///
  /// Their code who wait runs here: no lock may be held.
  @discardableResult final func fail(_ error: any Error, cancelled: Bool = false, pendingOnly: Bool = false) -> Bool {
    guard beginEnding(pendingOnly: pendingOnly) else { return false }
    writeFailure(error)
    end(cancelled ? Stage.cancelled : Stage.failed)
    return true
  }
  final func cancelIfPending() -> Bool {
    fail(JobError(code: .cancelled, message: "The job was cancelled before it started."), cancelled: true, pendingOnly: true)
  }
  /// Writes the outcome; only after `beginEnding`.
  func writeFailure(_ error: any Error) { preconditionFailure("AnyFuture is abstract") }
  /// Runs the work, on a thread pool; only after `start`.
  func execute() {}
  /// Runs the work, on a thread pool, where it is asynchronous; only after `start`.
  nonisolated(nonsending) func executeAsync() async {}
  /// One of several results has come and is about to be decoded; called under the pool's lock.
  func willReceive() {}
  /// What runs the work; only after `start`, since the work is gone when it is done.
  var kind: WorkKind { .plain }

  // MARK: Waiting

  /// Keeps `body` until the end, and calls it on the thread that ends the job.
  ///
  /// false: it has ended, and `body` was not kept.
  final func addWaiter(_ body: @escaping @Sendable () -> Void) -> Bool {
    let waiter = unsafe Unmanaged.passRetained(Waiter(body))
    let bits = UInt(bitPattern: unsafe waiter.toOpaque())
    var old = word.load(ordering: .acquiring)
    while old & Stage.mask < Stage.succeeded {
      unsafe waiter._withUnsafeGuaranteedRef { $0.next = old & Stage.waiterMask }
      let (exchanged, now) = word.compareExchange(
        expected: old, desired: bits | (old & ~Stage.waiterMask), ordering: .acquiringAndReleasing)
      if exchanged { return true }
      old = now
    }
    unsafe waiter.release()
    return false
  }
  /// The same for somebody who expects the end and has not helped; the executor hears of it, so none of its locks may be held.
  final func notify(_ body: @escaping @Sendable () -> Void) -> Bool {
    guard addWaiter(body) else { return false }
    source?.expect(self)
    return true
  }
  @inline(never) private final func wake(_ old: UInt) {
    var first: Waiter?
    var bits = old & Stage.waiterMask
    // The list has the last comer first; those who came first are served first.
    while let pointer = unsafe UnsafeRawPointer(bitPattern: bits) {
      let waiter = unsafe Unmanaged<Waiter>.fromOpaque(pointer).takeRetainedValue()
      bits = waiter.next
      waiter.following = first
      first = waiter
    }
    while let waiter = first {
      first = waiter.following
      waiter.body()
    }
  }
  /// Waits for the end.
  ///
  /// The thread helps the executor for some microseconds before it gives itself up. An error says that the end would never come; it
  /// has not come then.
  @discardableResult nonisolated(nonsending) final func park() async -> (any Error)? {
    help()
    return hasEnded ? nil : await sleep()
  }
  /// Helps the executor, for some microseconds.
  ///
  /// Apart from `sleep`: a job that ends meanwhile, as most short ones do, costs no asynchronous call.
  @usableFromInline final func help() { source?.help(self) }
  /// Gives the thread up until the end; an error says that it would never come.
  @usableFromInline @inline(never) nonisolated(nonsending) final func sleep() async -> (any Error)? {
    let permit = source?.beginWait(for: self) ?? .granted
    if case .refused(let error) = permit { return hasEnded ? nil : error }
    defer { if case .noted = permit { source?.endWait(for: self) } }
    unsafe await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      if !addWaiter({ unsafe continuation.resume() }) { unsafe continuation.resume() }
    }
    return nil
  }
}

/// What runs a future's work.
@usableFromInline enum WorkKind {
  /// `execute`.
  case plain
  /// `executeAsync`.
  case async
  /// `executeAsync`, or the type of the job itself.
  case job(any Job.Type)
}

/// The executor behind a future.
@usableFromInline package protocol FutureSource: AnyObject, Sendable {
  /// Does what brings the future's end nearer, for some microseconds at most: a thread that would sleep may as well help.
  func help(_ future: AnyFuture)
  /// Somebody looks or waits for the future's end and does not help: what was put off until somebody does is done now.
  func expect(_ future: AnyFuture)
  /// Whether the job runs, for one that the future itself does not know to run.
  func isRunning(_ future: AnyFuture) -> Bool
  /// Asks the job to stop: see `AnyFuture.cancel`.
  func cancel(_ future: AnyFuture) -> Bool
  /// Whether the calling thread may wait for the future's end, after it helped.
  func beginWait(for future: AnyFuture) -> WaitPermit
  /// A wait that was noted is over.
  func endWait(for future: AnyFuture)
}

extension FutureSource {
  package func expect(_ future: AnyFuture) {}
  package func beginWait(for future: AnyFuture) -> WaitPermit { .granted }
  package func endWait(for future: AnyFuture) {}
}

/// One that waits for a future.
///
/// Retained by the future's word until it is called.
// SAFETY: `next` is written before the waiter is published, `following` only by the thread that took the whole list.
final class Waiter: @unchecked Sendable {
  let body: @Sendable () -> Void
  var next: UInt = 0
  var following: Waiter?
  init(_ body: @escaping @Sendable () -> Void) { self.body = body }
}
