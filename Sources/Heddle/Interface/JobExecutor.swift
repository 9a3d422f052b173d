/// Where jobs run: on threads, in processes, in place, or on a mix of them, behind the same verbs.
///
/// The laws, the same on every executor:
/// 1. A job that throws fails its own future with that error.
/// 2. Nothing submitted is ever lost: every future ends, exactly once.
/// 3. Futures of different executors can be waited for together.
/// 4. `shutdown` returns; after it no thread, child process, descriptor or shared memory of the executor is left.
/// 5. Where an executor cannot do what another can, a type or a documented property says so.
public protocol JobExecutor: Sendable {
  /// How many jobs run at once, at most.
  var maxWorkers: Int { get }

  /// Takes a job and returns at once; the future tells how it ended.
  ///
  /// Nothing is thrown here: a job that cannot be accepted fails its future, with a ``JobError`` whose code says why
  /// (`notEncodable`, `executorShutDown`, `queueFull`), and did not run.
  func submit<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output>

  /// Takes a job as soon as there is room for it: waits where `submit` would fail it with `queueFull`.
  ///
  /// An executor without a bound has always room; this is then the same as `submit`. When the task is cancelled that waits here, the
  /// future has ended as cancelled, and the job did not run.
  func submitWaiting<J: Job>(_ job: J, options: JobOptions) async -> Future<J.Output>

  /// The same for code that is not `async`.
  ///
  /// Blocks the calling thread until there is room.
  @available(*, noasync, message: "It blocks the thread. Await 'submitWaiting' instead.")
  func submitBlocking<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output>

  /// Ends the executor: no more jobs are accepted, and those it holds end as `mode` says. May be called again, from anywhere.
  ///
  /// Returns when every future has ended and nothing of the executor is left.
  func shutdown(_ mode: ShutdownMode) async
}

extension JobExecutor {
  /// Takes a job with default options.
  @inlinable public func submit<J: Job>(_ job: J) -> Future<J.Output> { submit(job, options: .standard) }

  /// Takes a job with default options, as soon as there is room for it.
  public func submitWaiting<J: Job>(_ job: J) async -> Future<J.Output> { await submitWaiting(job, options: .standard) }
  /// Takes a job with default options, as soon as there is room for it.
  ///
  /// Blocks the calling thread until then.
  @available(*, noasync, message: "It blocks the thread. Await 'submitWaiting' instead.")
  public func submitBlocking<J: Job>(_ job: J) -> Future<J.Output> { submitBlocking(job, options: .standard) }

  /// As `submit`: this executor has always room, or says with `queueFull` that it has none.
  public func submitWaiting<J: Job>(_ job: J, options: JobOptions) async -> Future<J.Output> { submit(job, options: options) }
  /// As `submit`: this executor has always room, or says with `queueFull` that it has none.
  @available(*, noasync, message: "It blocks the thread. Await 'submitWaiting' instead.")
  public func submitBlocking<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> { submit(job, options: options) }

  /// Ends the executor after all its jobs.
  public func shutdown() async { await shutdown(.finishAll) }
}

/// What happens at shutdown to the jobs that have not ended.
public enum ShutdownMode: Sendable, Hashable {
  /// All of them run to their end.
  case finishAll
  /// Those that run go on to their end; those that wait end as cancelled.
  case finishRunning
  /// Those that wait end as cancelled; those that run have this long before their worker is killed.
  ///
  /// A thread cannot be killed: on threads the job's task is cancelled and its future ends on time, but a job that never
  /// returns keeps its thread.
  case kill(after: Duration)
}

/// Runs `body` with an executor and shuts it down on every path out.
///
/// When `body` returns, all jobs finish first; when it throws or its task is cancelled, jobs that have not started are cancelled.
///
/// ```swift
/// let sizes = try await withExecutor(ProcessPoolExecutor()) { pool in
///   try await pool.submit(Measure(path: "a.mov")).value
/// }
/// ```
///
/// - Parameters:
///   - executor: ends with this call.
///   - body: what uses it.
/// - Returns: what `body` returned.
/// - Throws: what `body` threw.
public func withExecutor<E: JobExecutor, R>(_ executor: E, _ body: (E) async throws -> R) async rethrows -> R {
  do {
    let result = try await body(executor)
    await executor.shutdown(Task.isCancelled ? .finishRunning : .finishAll)
    return result
  } catch {
    await executor.shutdown(.finishRunning)
    throw error
  }
}
