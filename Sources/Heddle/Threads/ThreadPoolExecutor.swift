import HeddleSystem
import Synchronization

/// Runs jobs and closures on threads of its own: up to `maxWorkers` at once, on every core, never on the cooperative pool.
///
/// ```swift
/// let pool = ThreadPoolExecutor(maxWorkers: 8)
/// let size = pool.submit { try blockingDownload(url).count }   // a Future<Int>
/// Task(executorPreference: pool) { blockingRead() }            // a whole task, off the cooperative pool
/// ```
///
/// What threads cannot do: a trap of a job ends the whole program, and a running job cannot be stopped. `cancel()` and a time
/// limit cancel the job's task (`Task.isCancelled` becomes true) and nothing more; its thread is free when it returns. Where that
/// is not enough use a ``ProcessPoolExecutor``.
///
/// Threads start when there is work for them. An `async` job keeps its thread while it waits.
public final class ThreadPoolExecutor: JobExecutor, TaskExecutor, Sendable {
  /// How many jobs run at once, at most.
  ///
  /// Unit: threads.
  public let maxWorkers: Int
  private let engine: ThreadEngine

  /// A pool without threads yet.
  ///
  /// - Parameter maxWorkers: at least 1; nil: ``Parallelism/available``.
  public init(maxWorkers: Int? = nil) {
    self.maxWorkers = max(1, maxWorkers ?? Parallelism.available)
    engine = ThreadEngine(maxThreads: self.maxWorkers)
    unsafe engine.executor = asUnownedTaskExecutor()
  }
  deinit { engine.abandon() }

  /// Takes a job.
  ///
  /// The job itself runs, not a copy: nothing is encoded.
  ///
  /// A retry after an error waits on the job's thread.
  @inlinable public func submit<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    guard options.areStandard else { return submit(options) { try await job.run() } }
    // Inlinable, so that the caller makes a `Future` of a type that it knows: the runtime is slow to find a generic class's metadata.
    let future = Future<J.Output>(forAsyncWorkOf: source) { try await job.run() }
    push(future)
    return future
  }
  /// Takes a closure that may block.
  ///
  /// - Parameter work: runs once, on a thread of the pool.
  @inlinable public func submit<R: Sendable>(_ work: @escaping @Sendable () throws -> R) -> Future<R> {
    let future = Future<R>(forWorkOf: source, work)
    push(future)
    return future
  }
  /// Takes a closure that awaits.
  ///
  /// - Parameter work: runs once, on a thread of the pool, and keeps it until it returns.
  @_disfavoredOverload @inlinable public func submit<R: Sendable>(_ work: @escaping @Sendable () async throws -> R) -> Future<R> {
    let future = Future<R>(forAsyncWorkOf: source, work)
    push(future)
    return future
  }

  @usableFromInline var source: any FutureSource { engine }
  @usableFromInline func push(_ future: AnyFuture) { engine.push(future, priority: .medium) }
  @usableFromInline func submit<R: Sendable>(_ options: JobOptions, _ work: @escaping @Sendable () async throws -> R) -> Future<R> {
    let future = engine.future(options, work)
    engine.push(future, priority: options.priority)
    return future
  }

  /// Ends the pool.
  ///
  /// With `.kill` a job that does not return keeps its thread, which is then left to itself.
  public func shutdown(_ mode: ShutdownMode) async { await engine.shutdown(mode) }

  /// For `Task(executorPreference:)`: runs a step of a task on a thread of the pool; after shutdown on the global executor, since a
  /// task cannot be dropped.
  public func enqueue(_ job: consuming ExecutorJob) { engine.enqueue(UnownedJob(job)) }
}
