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
public final class ThreadPoolExecutor: JobExecutor, BoundedExecutor, ChunkingExecutor, TaskExecutor, Sendable {
  /// How many jobs run at once, at most: as at first, or as ``resize(to:)`` said last.
  ///
  /// Unit: threads.
  public var maxWorkers: Int { size.load(ordering: .relaxed) }
  private let size: Atomic<Int>
  private let maxPending: Int?
  private let engine: ThreadEngine
  /// nil: any number of jobs may wait.
  private let admission: Admission?

  /// A pool without threads yet.
  ///
  /// - Parameters:
  ///   - maxWorkers: at least 1; nil: ``Parallelism/available``.
  ///   - configuration: limits.
  public init(maxWorkers: Int? = nil, configuration: ThreadPoolConfiguration = ThreadPoolConfiguration()) {
    let count = max(1, maxWorkers ?? Parallelism.available)
    size = Atomic(count)
    maxPending = configuration.maxPending
    admission = configuration.maxPending.map { Admission(limit: count + max(0, $0)) }
    engine = ThreadEngine(maxThreads: count, idleTimeout: configuration.idleTimeout)
    unsafe engine.executor = asUnownedTaskExecutor()
  }
  deinit { engine.abandon() }

  // MARK: Jobs

  // Inlinable, so that the caller makes a `Future` of a type that it knows: the runtime is slow to find a generic class's metadata.
  /// Takes a job.
  ///
  /// The job itself runs, not a copy: nothing is encoded.
  ///
  /// A retry after an error waits on the job's thread. Fails with `queueFull` where ``ThreadPoolConfiguration/maxPending`` jobs wait.
  @inlinable public func submit<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    guard options.areStandard else { return enter(options) { try await job.run() } }
    let future = Future<J.Output>(for: job, in: source)
    enter(future)
    return future
  }
  @usableFromInline var source: any FutureSource { engine }
  @usableFromInline func enter(_ future: AnyFuture) {
    if let admission, !engine.forks.hasForked, !admission.enter() { future.fail(JobError.queueFull(admission.limit)) } else { push(future) }
  }
  @usableFromInline func enter<R: Sendable>(_ options: JobOptions, _ work: @escaping @Sendable () async throws -> R) -> Future<R> {
    if let admission, !engine.forks.hasForked, !admission.enter() { return .failed(JobError.queueFull(admission.limit)) }
    let future = engine.future(options, work)
    push(future, priority: options.priority)
    return future
  }
  /// Takes a job as soon as there is room for it.
  public func submitWaiting<J: Job>(_ job: J, options: JobOptions) async -> Future<J.Output> {
    if await !hasEntered() { return .cancelledBeforeRoom() }
    return submitAdmitted(job, options: options)
  }
  /// Takes a job as soon as there is room for it.
  ///
  /// Blocks the calling thread until then.
  @available(*, noasync, message: "It blocks the thread. Await 'submitWaiting' instead.")
  public func submitBlocking<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    enterBlocking()
    return submitAdmitted(job, options: options)
  }
  func submitAdmitted<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    let future =
      options.areStandard
      ? Future<J.Output>(for: job, in: engine)
      : engine.future(options) { try await job.run() }
    push(future, priority: options.priority)
    return future
  }

  // MARK: Closures

  /// Takes a closure that may block.
  ///
  /// - Parameter work: runs once, on a thread of the pool.
  @inlinable public func submit<R: Sendable>(_ work: @escaping @Sendable () throws -> R) -> Future<R> {
    let future = Future<R>(forWorkOf: source, work)
    enter(future)
    return future
  }
  /// Takes a closure that awaits.
  ///
  /// - Parameter work: runs once, on a thread of the pool, and keeps it until it returns.
  @_disfavoredOverload @inlinable public func submit<R: Sendable>(_ work: @escaping @Sendable () async throws -> R) -> Future<R> {
    let future = Future<R>(forAsyncWorkOf: source, work)
    enter(future)
    return future
  }
  /// Takes a closure that may block, as soon as there is room for it.
  public func submitWaiting<R: Sendable>(_ work: @escaping @Sendable () throws -> R) async -> Future<R> {
    if await !hasEntered() { return .cancelledBeforeRoom() }
    let future = Future<R>(forWorkOf: engine, work)
    push(future)
    return future
  }
  /// Takes a closure that awaits, as soon as there is room for it.
  @_disfavoredOverload
  public func submitWaiting<R: Sendable>(_ work: @escaping @Sendable () async throws -> R) async -> Future<R> {
    if await !hasEntered() { return .cancelledBeforeRoom() }
    let future = Future<R>(forAsyncWorkOf: engine, work)
    push(future)
    return future
  }
  /// Takes a closure that may block, as soon as there is room for it.
  ///
  /// Blocks the calling thread until then.
  @available(*, noasync, message: "It blocks the thread. Await 'submitWaiting' instead.")
  public func submitBlocking<R: Sendable>(_ work: @escaping @Sendable () throws -> R) -> Future<R> {
    enterBlocking()
    let future = Future<R>(forWorkOf: engine, work)
    push(future)
    return future
  }

  private func push(_ future: AnyFuture, priority: JobPriority = .medium) {
    if let admission, !engine.forks.hasForked { admission.leave(after: future) }
    engine.push(future, priority: priority)
  }

  // MARK: Room

  func admission(for job: any Job.Type) -> Admission? { admission }
  func chunkWay(for job: any Job.Type) -> ChunkWay? { admission == nil ? .threads(self) : nil }
  func runsOnThisThread(_ job: any Job.Type) -> Bool { engine.isInsideJob }
  /// Waits for a place, except on a thread of this pool: the place that a job waited for might be its own.
  private nonisolated(nonsending) func hasEntered() async -> Bool {
    guard let admission, !engine.forks.hasForked else { return true }
    if engine.isInsideJob {
      if !admission.enter() { admission.enterAnyway() }
      return true
    }
    return await admission.entered()
  }
  private func enterBlocking() {
    guard let admission, !engine.forks.hasForked else { return }
    if engine.currentThread == nil { return admission.enterBlocking() }
    if !admission.enter() { admission.enterAnyway() }
  }

  /// Changes how many threads there may be, at once and from anywhere.
  ///
  /// More: they start when there is work for them. Fewer: those without work end now, the others after the job that they run. No job is lost
  /// or stopped. ``ThreadPoolConfiguration/maxPending`` stays what it is.
  ///
  /// - Parameter maxWorkers: at least 1.
  public func resize(to maxWorkers: Int) {
    let count = max(1, maxWorkers)
    size.store(count, ordering: .relaxed)
    engine.resize(to: count)
    if let admission, let maxPending { admission.setLimit(count + max(0, maxPending)) }
  }

  /// Ends the pool.
  ///
  /// With `.kill` a job that does not return keeps its thread, which is then left to itself. Called by a job of this very pool it
  /// returns at once, since it cannot wait for that job: the pool ends when its last job has.
  public func shutdown(_ mode: ShutdownMode) async {
    if engine.forks.hasForked { return }
    engine.close(mode)
    admission?.close()
    await engine.shutdown(mode)
  }

  /// For `Task(executorPreference:)`: runs a step of a task on a thread of the pool; after shutdown on the global executor, since a
  /// task cannot be dropped.
  public func enqueue(_ job: consuming ExecutorJob) { engine.enqueue(UnownedJob(job)) }
}
