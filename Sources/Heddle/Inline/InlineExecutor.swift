import HeddleSystem
import HeddleWire

/// Runs each job in place, inside `submit`, on the calling thread: the debugging twin of the others.
///
/// Breakpoints hit, stack traces show who submitted, and job and result are encoded and decoded as a ``ProcessPoolExecutor`` would,
/// so what cannot travel is found here. A job that suspends goes on after `submit` has returned.
///
/// What it cannot do: jobs do not run beside each other unless they suspend; a trap ends the program; cancelling and time limits only
/// tell the job's task, and can do so only once it has suspended.
public final class InlineExecutor: JobExecutor, Sendable {
  /// 1.
  public var maxWorkers: Int { 1 }
  private let engine = InlineEngine()

  /// An executor.
  public init() {}
  deinit { engine.abandon() }

  /// Runs a job: it has usually ended when this returns.
  public func submit<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> { engine.submit(job, options) }
  /// Ends the executor.
  ///
  /// Jobs that suspended are waited for; with `.kill` they are told to stop and their futures end on time.
  public func shutdown(_ mode: ShutdownMode) async { await engine.shutdown(mode) }
}

private final class InlineEngine: FutureSource {
  private struct State {
    var isClosed = false
    /// Jobs that have started and not ended, with their tasks once those are known.
    var running: [ObjectIdentifier: (future: AnyFuture, task: Task<Void, Never>?)] = [:]
  }
  private let state = Locked(State())
  private let timer = DeadlineTimer()
  /// Ends when the executor is closed and the last job has ended, with all who wait for it told.
  private let drained = Future<Void>(in: nil)
  private let coders = Spares<Coders>()

  func submit<J: Job>(_ job: J, _ options: JobOptions) -> Future<J.Output> {
    let future = Future<J.Output>(in: self, running: true)
    let isOpen = state.withLock { state in
      guard !state.isClosed else { return false }
      state.running[ObjectIdentifier(future)] = (future, nil)
      return true
    }
    guard isOpen else {
      future.fail(JobError.executorShutDown)
      return future
    }
    let coders = self.coders.take(Coders.init)
    do { try coders.job.encode(job) } catch {
      future.fail(JobError.jobNotEncodable(J.self, error))
      giveBack(coders)
      ended(future)
      return future
    }
    let ticket = options.timeout.map { limit in
      timer.schedule(at: .now + limit) { [self] in
        stop(future, JobError.timedOut(limit, onThread: true).named(options.label), cancelled: false)
      }
    }
    let task = Task.immediate { [self] in
      await run(J.self, coders, options, future)
      giveBack(coders)
      if let ticket { timer.cancel(ticket) }
      ended(future)
    }
    state.withLock { state in
      // A job that has ended by now is not there any more.
      if state.running[ObjectIdentifier(future)] != nil { state.running[ObjectIdentifier(future)]!.task = task }
    }
    return future
  }
  private func run<J: Job>(_: J.Type, _ coders: Coders, _ options: JobOptions, _ future: Future<J.Output>) async {
    var attempt = 1
    while true {
      do {
        let output = try await runOnce(J.self, coders)
        future.succeed(output)
        return
      } catch {
        if future.wasTold && error is CancellationError {
          future.fail(JobError(code: .cancelled, message: "The job was cancelled while it ran, and stopped."), cancelled: true)
          return
        }
        guard !(error is JobError), attempt <= options.retry.errors, !Task.isCancelled else {
          future.fail(error)
          return
        }
        attempt += 1
        try? await Task.sleep(for: options.retry.backoff.delay(beforeAttempt: attempt, random: .random(in: 0...1)))
      }
    }
  }
  private func runOnce<J: Job>(_: J.Type, _ coders: Coders) async throws -> J.Output {
    let job: J
    do { job = try coders.arrived(J.self, of: coders.job) } catch { throw JobError.jobNotDecodable(J.self, error) }
    let output = try await job.run()
    do { try coders.output.encode(output) } catch { throw JobError.outputNotEncodable(J.self, error) }
    do { return try coders.arrived(J.Output.self, of: coders.output) } catch { throw JobError.outputNotDecodable(J.self, error) }
  }
  private func giveBack(_ coders: Coders) {
    coders.reset()
    self.coders.give(coders)
  }
  private func ended(_ future: AnyFuture) {
    let wasLast = state.withLock { state in
      state.running.removeValue(forKey: ObjectIdentifier(future))
      return state.isClosed && state.running.isEmpty
    }
    if wasLast {
      timer.stop()
      drained.succeed(())
    }
  }

  // MARK: FutureSource

  func help(_ future: AnyFuture) {}
  func isRunning(_ future: AnyFuture) -> Bool { false }
  func cancel(_ future: AnyFuture) -> Bool {
    guard future.tell() else { return !future.hasEnded }
    cancelTask(of: future)
    return true
  }
  private func cancelTask(of future: AnyFuture) { state.withLock { $0.running[ObjectIdentifier(future)]?.task }?.cancel() }
  /// Ends a future whose job runs, and tells the job: in this order, or the job's own answer to being told could come first.
  private func stop(_ future: AnyFuture, _ error: JobError, cancelled: Bool) {
    let isTold = future.tell()
    future.fail(error, cancelled: cancelled)
    if isTold { cancelTask(of: future) }
  }

  func shutdown(_ mode: ShutdownMode) async {
    close()
    if case .kill(let grace) = mode {
      _ = await wait(for: [drained as AnyFuture], timeout: grace)
      for future in state.withLock({ $0.running.values.map(\.future) }) where !future.hasEnded {
        stop(
          future,
          JobError(code: .cancelled, message: "The executor was shut down while this job ran, and it did not return within \(grace)."),
          cancelled: true)
      }
      timer.stop()
    } else if !drained.hasEnded {
      // Not only for the futures: who is told of an end may be told a moment after another.
      await drained.park()
    }
  }
  private func close() {
    let isIdle = state.withLock { state in
      state.isClosed = true
      return state.running.isEmpty
    }
    if isIdle {
      timer.stop()
      drained.succeed(())
    }
  }
  /// The executor is gone: jobs that suspended go on, and their time limits with them.
  func abandon() { close() }
}
