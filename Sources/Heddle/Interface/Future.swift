import HeddleSystem
import Synchronization

// SAFETY: `work` is touched by the thread that started the job; `output` and `failure` are written by the one
// that ends it and read after its end. See AnyFuture.
/// How one job ends, exactly once: its output, or why there is none.
public final class Future<Output: Sendable>: AnyFuture, @unchecked Sendable {
  /// What a thread runs.
  @usableFromInline enum Work {
    case none
    case plain(@Sendable () throws -> Output)
    case async(@Sendable () async throws -> Output)
    /// A job, which lies where its output will.
    case job(any Job.Type)
  }
  @exclusivity(unchecked) @usableFromInline var work = Work.none
  /// The output is plain words, which need no end.
  @exclusivity(unchecked) @usableFromInline var isPlain = false
  @exclusivity(unchecked) @usableFromInline var failure: (any Error)?
  @exclusivity(unchecked) @usableFromInline var output = OutputStorage()

  deinit {
    if hasSucceeded {
      // Asked here, the type's metadata would have to be looked at for each.
      if unsafe !isPlain { unsafe output.deinitialize(as: Output.self) }
    } else if case .job(let type) = unsafe work {
      dropJob(type)
    }
  }

  /// For a job that is run elsewhere.
  package init(in source: (any FutureSource)?, running: Bool = false) { super.init(source: source, running: running) }

  /// For a job that is encoded and sent; inlinable callers use it, and the two below.
  @usableFromInline init(forJobOf source: (any FutureSource)?) { super.init(source: source) }
  @usableFromInline init(forWorkOf source: any FutureSource, _ work: @escaping @Sendable () throws -> Output) {
    unsafe self.work = .plain(work)
    super.init(source: source)
  }
  @usableFromInline init(forAsyncWorkOf source: any FutureSource, _ asyncWork: @escaping @Sendable () async throws -> Output) {
    unsafe work = .async(asyncWork)
    super.init(source: source)
  }

  /// For a job that a thread runs, as it is.
  ///
  /// No closure of it: who submits would allocate that, and the thread free it.
  @inlinable init<J: Job>(for job: J, in source: any FutureSource) where J.Output == Output {
    unsafe output.initialize(to: job)
    unsafe work = .job(J.self)
    super.init(source: source)
  }

  /// Gives a future its work; before it is handed out.
  func assign(_ asyncWork: @escaping @Sendable () async throws -> Output) { unsafe work = .async(asyncWork) }

  // MARK: Waiting

  /// The output, once there is one.
  ///
  /// Cancelling the task that waits here does not cancel the job, as with `Task.value`: others may wait for it too. Call
  /// ``AnyFuture/cancel()`` for that.
  ///
  /// - Throws: what the job threw, or a ``JobError``. Inside a job of the same thread pool the thread runs the other job meanwhile; a
  ///   wait that could never end throws code `wouldNeverEnd`.
  public nonisolated(nonsending) var value: Output {
    @inlinable @inline(__always) get async throws {
      if !hasEnded { help() }
      if !hasEnded, let refusal = await sleep() { throw refusal }
      return try outcome()
    }
  }
  /// The output or the error, once there is one.
  @inlinable public nonisolated(nonsending) var result: Result<Output, any Error> {
    get async {
      if !hasEnded { help() }
      if !hasEnded, let refusal = await sleep() { return .failure(refusal) }
      return Result { try outcome() }
    }
  }
  /// The output, once there is one.
  ///
  /// Blocks the calling thread, so it is for code that is not `async`.
  ///
  /// - Parameter timeout: how long to wait at most; nil: for ever.
  /// - Returns: the output.
  /// - Throws: what the job threw, or a ``JobError``; ``FutureTimeout`` when the time is over. The job goes on.
  @available(*, noasync, message: "It blocks the thread. Await 'value' instead.")
  public func wait(timeout: Duration? = nil) throws -> Output {
    if !hasEnded {
      let deadline = timeout.map { MonotonicTime.now + $0 } ?? .distantFuture
      source?.help(self)
      let permit = hasEnded ? .granted : source?.beginWait(for: self) ?? .granted
      if case .refused(let error) = permit, !hasEnded { throw error }
      defer { if case .noted = permit { source?.endWait(for: self) } }
      let latch = ThreadGate()
      if !hasEnded, addWaiter({ latch.open() }) {
        guard latch.wait(until: deadline) else { throw FutureTimeout() }
      }
    }
    return try outcome()
  }
  /// Calls `body` once, at the end, on the thread that ends the job; at once where it has ended.
  ///
  /// `body` must be short: the executor waits for it.
  public func onCompletion(_ body: @escaping @Sendable (Result<Output, any Error>) -> Void) {
    let call: @Sendable () -> Void = { [self] in body(Result { try outcome() }) }
    if !notify(call) { call() }
  }

  /// The outcome of a job that has ended.
  @inlinable func outcome() throws -> Output {
    // Whoever was resumed has seen the end already; this load says so to the compiler and to the thread sanitizer.
    precondition(hasEnded, "an outcome was asked for before its end")
    // Compiled into who asks, the output would be words like any others, and whoever holds no future but this one could let it go, with what
    // the words point to, before the output is a reference of its own.
    defer { withExtendedLifetime(self) {} }
    if let failure = unsafe failure { throw failure }
    return unsafe output.read(as: Output.self)
  }

  // MARK: For executors

  /// Ends it with an output unless it has ended.
  package func succeed(_ value: consuming Output) {
    guard beginEnding() else { return }
    unsafe isPlain = OutputStorage.isPlain(Output.self)
    unsafe output.initialize(to: value)
    end(Stage.succeeded)
  }
  /// Ends it with an error unless it has ended.
  package func fail(with error: any Error) { fail(error) }
  /// One that has failed.
  package static func failed(_ error: any Error) -> Future<Output> {
    let future = Future<Output>(in: nil)
    future.fail(error)
    return future
  }
  /// One whose job never had its place.
  static func cancelledBeforeRoom() -> Future<Output> {
    let future = Future<Output>(in: nil)
    future.fail(JobError.cancelledBeforeRoom, cancelled: true)
    return future
  }
  override func writeFailure(_ error: any Error) { unsafe failure = error }

  override var kind: WorkKind {
    switch unsafe work {
    case .none, .plain: .plain
    case .async: .async
    case .job(let type): .job(type)
    }
  }
  override func execute() {
    guard case .plain(let work) = unsafe work else { return }
    do { finish(try work()) } catch { _finish(throwing: error) }
  }
  override nonisolated(nonsending) func executeAsync() async {
    switch unsafe work {
    case .none, .plain: break
    case .async(let work): do { finish(try await work()) } catch { _finish(throwing: error) }
    case .job(let type): await execute(type)
    }
  }
  private nonisolated(nonsending) func execute<J: Job>(_: J.Type) async {
    // SAFETY: who makes the future of a job says its type.
    let future = unsafe unsafeDowncast(self, to: Future<J.Output>.self)
    do {
      let output = try await future._takeJob(J.self).run()
      future._finish(output)
    } catch { _finish(throwing: error) }
  }
  private func dropJob<J: Job>(_: J.Type) { unsafe output.deinitialize(as: J.self) }
  private func finish(_ value: Output) {
    unsafe work = .none
    _finish(value)
  }

  // MARK: For Job's own `_serve`, and for nothing else

  /// The job, once.
  @inlinable public func _takeJob<J: Job>(_: J.Type) -> J {
    unsafe work = .none
    return unsafe output.take(as: J.self)
  }
  /// Ends a job that the calling thread has started with an output, unless it has ended.
  @inlinable public func _finish(_ value: consuming Output) {
    // SAFETY: the place is the starter's, whose job lay there; others who end the job write no output but an error.
    unsafe isPlain = OutputStorage.isPlain(Output.self)
    unsafe output.initialize(to: value)
    if !endStarted(Stage.succeeded) { unsafe output.deinitialize(as: Output.self) }
  }
  /// Ends it with what the job threw unless it has ended.
  public func _finish(throwing error: any Error) {
    unsafe work = .none
    if wasTold && error is CancellationError {
      fail(JobError(code: .cancelled, message: "The job was cancelled while it ran, and stopped."), cancelled: true)
    } else {
      fail(error)
    }
  }
}

/// The time of ``Future/wait(timeout:)`` was over before the job had ended.
///
/// The job goes on.
public struct FutureTimeout: Error, Sendable, CustomStringConvertible {
  /// An error.
  public init() {}
  /// A sentence.
  public var description: String { "The job had not ended when the time to wait for it was over; it goes on." }
}
