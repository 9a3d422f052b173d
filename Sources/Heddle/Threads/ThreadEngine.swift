import CHeddle
import HeddleSystem
import Synchronization

/// The threads of a pool and what they run.
///
/// It lives until its last thread has ended; the executor that a user holds may go before.
@safe final class ThreadEngine: FutureSource {
  private let queue: ThreadQueue
  /// In a forked child the pool has no threads: it is shut.
  let forks = ForkWatch()
  private let timer = DeadlineTimer()
  private let processors = Processors.available()
  /// What steps of tasks are told to run on: the executor that a user holds.
  // SAFETY: written once, before the executor is handed out; a task that prefers the executor keeps it alive while a step runs.
  nonisolated(unsafe) var executor: UnownedTaskExecutor!

  private struct State {
    var members: [(worker: WorkerThread, thread: OSThread)] = []
    /// Those that left, and are to be joined.
    var left: [OSThread] = []
    var ended = 0
    var isClosed = false
    /// Nobody holds the executor: whoever ends last tidies up.
    var isAbandoned = false
  }
  private let state = Locked(State())
  /// Ends when the pool is closed and its last thread is about to return.
  private let finished = Future<Void>(in: nil)

  init(maxThreads: Int, idleTimeout: Duration?) {
    queue = ThreadQueue(maxThreads: maxThreads, idleTimeout: idleTimeout)
  }

  // MARK: Work comes in

  func push(_ future: AnyFuture, priority: JobPriority) {
    if forks.hasForked {
      future.fail(JobError.forked)
      return
    }
    let reference = unsafe Unmanaged.passRetained(future)
    switch unsafe queue.push(.future(reference), priority: priority) {
    case .accepted: break
    case .acceptedThreadWanted: startThread()
    case .closed:
      unsafe reference.release()
      future.fail(JobError.executorShutDown)
    }
  }
  func enqueue(_ step: UnownedJob) {
    switch queue.push(.step(step)) {
    case .accepted: break
    case .acceptedThreadWanted: startThread()
    case .closed: globalConcurrentExecutor.enqueue(step)
    }
  }
  private func startThread() {
    let worker = WorkerThread(batch: queue.enrol(), queue: queue, engine: self)
    do {
      try state.withLock { state throws(SystemError) in
        let thread = try OSThread(name: "heddle-thread") { [self] in
          worker.run()
          threadWillEnd(worker)
        }
        state.members.append((worker, thread))
      }
    } catch {
      let isSomebodyLeft = queue.threadDidNotStart(worker.batch)
      finishIfOver()
      guard !isSomebodyLeft else { return }
      // Nobody would ever run what waits.
      let message = "No thread could be started: \(error). Raise the limit of threads (ulimit -u, cgroup pids), or use fewer workers."
      for future in queue.takeAll() { future.fail(JobError(code: .workerNotStarted, message: message)) }
    }
  }
  private func threadWillEnd(_ worker: WorkerThread) {
    // One that leaves while the pool goes on is joined by the next that leaves, or at the end.
    let before = state.withLock { state -> [OSThread] in
      state.ended += 1
      guard !state.isClosed, let index = state.members.firstIndex(where: { $0.worker === worker }) else { return [] }
      defer { state.left = [state.members.remove(at: index).thread] }
      return state.left
    }
    for thread in before { thread.join() }
    finishIfOver()
  }
  /// Another number of threads.
  func resize(to count: Int) {
    if forks.hasForked { return }
    for _ in 0..<queue.resize(to: count) { startThread() }
  }
  /// Closed, and every thread that was or will be started has ended.
  ///
  /// Once the queue is closed no more are asked for; one that was asked for just before is counted there although it may not run yet.
  private func finishIfOver() {
    let (isOver, isAbandoned) = state.withLock { state in (state.isClosed && state.ended == queue.startedCount, state.isAbandoned) }
    guard isOver else { return }
    if isAbandoned {
      timer.stop()
      for thread in takeThreads() { thread.detach() }
    }
    finished.succeed(())
  }

  /// A future for work with a time limit and retries, as `options` say.
  func future<R: Sendable>(_ options: JobOptions, _ work: @escaping @Sendable () async throws -> R) -> Future<R> {
    let future = Future<R>(in: self)
    future.assign { [self, unowned future] in
      // The clock starts when the job does.
      let ticket = options.timeout.map { limit in
        timer.schedule(at: .now + limit) { [self, weak future] in
          if let future { stop(future, JobError.timedOut(limit, onThread: true).named(options.label), cancelled: false) }
        }
      }
      defer { if let ticket { timer.cancel(ticket) } }
      var attempt = 1
      while true {
        do { return try await work() } catch {
          guard attempt <= options.retry.errors, !Task.isCancelled else { throw error }
          attempt += 1
          try await Task.sleep(for: options.retry.backoff.delay(beforeAttempt: attempt, random: .random(in: 0...1)))
        }
      }
    }
    return future
  }
  /// Ends a future whose job runs, and tells the job.
  private func stop(_ future: AnyFuture, _ error: JobError, cancelled: Bool) {
    let isTold = future.tell()
    future.fail(error, cancelled: cancelled)
    if isTold { cancelTask(of: future) }
  }

  // MARK: FutureSource

  func help(_ future: AnyFuture) {
    if forks.hasForked { return }
    if let thread = currentThread { return thread.help(future) }
    // Jobs of the pool are for its own threads; one who waits looks a little longer before it sleeps.
    let isCrowded = queue.keepsBusy(processors)
    let budget = isCrowded ? SpinBudget.crowded : queue.helping.next()
    var spins = 0
    while spins < budget && !future.hasEnded {
      queue.helping.pause(after: spins, wasWoken: queue.isWakingOne, isAwaited: queue.isUntaken)
      spins += 1
    }
    if !isCrowded { queue.helping.looked(budget, inVain: !future.hasEnded) }
  }
  func isRunning(_ future: AnyFuture) -> Bool { false }
  func cancel(_ future: AnyFuture) -> Bool {
    if forks.hasForked { return false }
    if future.cancelIfPending() { return true }
    guard future.tell() else { return !future.hasEnded }
    cancelTask(of: future)
    return true
  }
  private func cancelTask(of future: AnyFuture) {
    for worker in workers where worker.cancelTask(running: future) { return }
  }

  /// The threads that were started.
  var workers: [WorkerThread] { state.withLock { $0.members.map(\.worker) } }
  /// The thread of this pool that the caller runs on.
  var currentThread: WorkerThread? {
    guard let thread = WorkerThread.current, thread.belongs(to: self) else { return nil }
    return thread
  }
  /// Whether the caller is a job of this pool, which keeps its thread while it waits.
  var isInsideJob: Bool { currentThread.map { !$0.isInStep.load(ordering: .relaxed) } ?? false }
  func beginWait(for future: AnyFuture) -> WaitPermit {
    if forks.hasForked { return .refused(JobError.forked) }
    guard let thread = currentThread else { return .granted }
    return thread.beginWait(for: future, among: workers)
  }
  func endWait(for future: AnyFuture) { currentThread?.endWait(for: future) }

  // MARK: The end

  func shutdown(_ mode: ShutdownMode) async {
    if forks.hasForked { return }
    close(mode)
    if isInsideJob {
      // A job of the pool itself: it cannot wait for its own end. The last thread tidies up.
      state.withLock { $0.isAbandoned = true }
      return finishIfOver()
    }
    if case .kill(let grace) = mode {
      let ended = await wait(for: [finished as AnyFuture], timeout: grace).pending.isEmpty
      if !ended {
        for future in workers.flatMap({ $0.allRunning() }) {
          stop(
            future,
            JobError(
              code: .cancelled,
              message:
                "The executor was shut down while this job ran, and it did not return within \(grace). Its thread goes on until it does."),
            cancelled: true)
        }
        let rest = await wait(for: [finished as AnyFuture], timeout: .milliseconds(50)).pending
        if !rest.isEmpty {
          // A thread that does not return cannot be stopped; it is left to itself.
          timer.stop()
          for thread in takeThreads() { thread.detach() }
          return
        }
      }
    } else {
      await finished.park()
    }
    timer.stop()
    // They have nothing left to run: a join takes microseconds.
    for thread in takeThreads() where !thread.isCurrent { thread.join() }
  }
  /// The executor is gone: what was submitted is finished, and the threads end by themselves.
  func abandon() {
    if forks.hasForked { return }
    state.withLock { $0.isAbandoned = true }
    close(.finishAll)
  }
  /// Takes no more from here on.
  ///
  /// May be called again: the stricter mode holds.
  func close(_ mode: ShutdownMode) {
    let dropped = queue.close(dropping: mode != .finishAll)
    for future in dropped {
      future.fail(JobError.cancelledAtShutdown, cancelled: true)
    }
    state.withLock { $0.isClosed = true }
    finishIfOver()
  }
  private func takeThreads() -> [OSThread] {
    state.withLock { state in
      defer {
        state.members = []
        state.left = []
      }
      return state.members.map(\.thread) + state.left
    }
  }
}

extension JobError {
  /// Ran too long.
  static func timedOut(_ limit: Duration, onThread: Bool) -> JobError {
    JobError(
      code: .timedOut,
      message: "The job ran longer than its time limit of \(limit). Raise the limit, or make the job smaller."
        + (onThread ? " A thread cannot be stopped: the job's task was cancelled, and its thread is free when it returns." : ""))
  }
  /// Submitted too late.
  static var executorShutDown: JobError {
    JobError(
      code: .executorShutDown,
      message: "The executor was shut down before this job was submitted. Submit earlier, or make a new executor.")
  }
  /// Waited when the executor was shut down without waiting for all.
  static var cancelledAtShutdown: JobError {
    JobError(
      code: .cancelled,
      message: "The executor was shut down before this job started. Use shutdown(.finishAll) to run all that was submitted.")
  }
}
