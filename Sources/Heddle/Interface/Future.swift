import HeddleSystem
import Synchronization

// SAFETY: `work` is touched by the thread that started the job; `output` and `failure` are written by the one
// that ends it and read after its end. See AnyFuture.
/// How one job ends, exactly once: its output, or why there is none.
public final class Future<Output: Sendable>: AnyFuture, @unchecked Sendable {
  /// What a thread runs.
  private enum Work {
    case none
    case plain(@Sendable () throws -> Output)
    case async(@Sendable () async throws -> Output)
  }
  @exclusivity(unchecked) private var work = Work.none
  @exclusivity(unchecked) @usableFromInline var failure: (any Error)?
  @exclusivity(unchecked) @usableFromInline var output = OutputStorage()

  deinit {
    if hasSucceeded { unsafe output.deinitialize(as: Output.self) }
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
  @inlinable public nonisolated(nonsending) var value: Output {
    get async throws {
      if !isDone { help() }
      if !isDone, let refusal = await sleep() { throw refusal }
      return try outcome()
    }
  }
  /// The output or the error, once there is one.
  @inlinable public nonisolated(nonsending) var result: Result<Output, any Error> {
    get async {
      if !isDone { help() }
      if !isDone, let refusal = await sleep() { return .failure(refusal) }
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
    if !isDone {
      let deadline = timeout.map { MonotonicTime.now + $0 } ?? .distantFuture
      source?.help(self)
      let permit = isDone ? .granted : source?.beginWait(for: self) ?? .granted
      if case .refused(let error) = permit, !isDone { throw error }
      defer { if case .noted = permit { source?.endWait(for: self) } }
      let latch = ThreadGate()
      if !isDone, addWaiter({ latch.open() }) {
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
    if !addWaiter(call) { call() }
  }

  /// The outcome of a job that has ended.
  @inlinable func outcome() throws -> Output {
    // Whoever was resumed has seen the end already; this load says so to the compiler and to the thread sanitizer.
    precondition(isDone, "an outcome was asked for before its end")
    if let failure = unsafe failure { throw failure }
    return unsafe output.read(as: Output.self)
  }

  // MARK: For executors

  /// Ends it with an output unless it has ended.
  package func succeed(_ value: consuming Output) {
    guard beginEnding() else { return }
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

  override var isAsync: Bool { if case .async = unsafe work { true } else { false } }
  override func execute() {
    guard case .plain(let work) = unsafe work else { return }
    do { finish(try work()) } catch { finish(throwing: error) }
  }
  override nonisolated(nonsending) func executeAsync() async {
    guard case .async(let work) = unsafe work else { return }
    do { finish(try await work()) } catch { finish(throwing: error) }
  }
  private func finish(_ value: Output) {
    unsafe work = .none
    succeed(value)
  }
  private func finish(throwing error: any Error) {
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
