import Heddle
import HeddlePython
import HeddleSystem

/// Runs calls on Heddle's `PythonExecutor`.
final class PythonRunner: CallRunner {
  private let executor: PythonExecutor
  private let target: String
  private let options: JobOptions
  private let isStopping = Locked(false)

  init(_ settings: RunnerSettings) throws {
    var python = PythonSettings()
    // Rows are written from the results' bytes.
    python.takesMemory = false
    python.interpreter = settings.interpreter
    python.printsToStandardError = true
    python.printed = settings.printed
    python.limits.memoryLimit = settings.memoryLimit
    executor = PythonExecutor(maxWorkers: settings.workers, mode: settings.placement.mode, settings: python)
    target = settings.target.description
    let retries = settings.retries
    options = JobOptions(
      timeout: settings.timeout, retry: RetryPolicy(crashes: retries, timeouts: retries, memory: retries, errors: retries))
  }

  /// Each worker has enough waiting behind the call it runs to hide the way there and back.
  var window: Int { executor.maxWorkers * 64 }
  var processorTime: Duration? { executor.processorTime }

  func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
    let future = executor.submitEncoded(target: target, arguments: input.arguments() ?? [], options: options)
    future.onCompletion { [self] result in completion(Self.outcome(result, isStopping: isStopping.withLock { $0 })) }
    return { onlyIfRunning in (!onlyIfRunning || future.state == .running) && future.cancel() }
  }
  func shutdown(grace: Duration?) {
    isStopping.withLock { $0 = true }
    let executor = executor
    let ended = ThreadGate()
    Task {
      await executor.shutdown(grace.map { .kill(after: $0) } ?? .finishRunning)
      ended.open()
    }
    ended.wait()
  }

  private static func outcome(_ result: Result<MeasuredCall, any Error>, isStopping: Bool) -> CallOutcome {
    switch result {
    case .success(let call):
      let ending: CallOutcome.Ending
      do { ending = .returned(try call.outcome.get()) } catch let failure as PythonFailure {
        ending = .raised(failure)
      } catch {
        ending = self.ending(error, isStopping: isStopping)
      }
      return CallOutcome(ending: ending, seconds: call.wallTime.seconds, attempts: call.attempt, processorTime: call.processorTime)
    case .failure(let error):
      let error = error as? JobError
      return CallOutcome(
        ending: ending(error ?? result.failure!, isStopping: isStopping), seconds: error?.ran?.seconds ?? 0, attempts: error?.attempt ?? 1)
    }
  }
  private static func ending(_ error: any Error, isStopping: Bool) -> CallOutcome.Ending {
    switch error {
    case let error as JobError where error.code == .cancelled || isStopping && error.code == .executorShutDown: .notRun
    case let error as JobError:
      .failed(code: error.code.rawValue, message: error.message, exit: error.exit.map { "\($0)" })
    case let error as PythonTargetError: .failed(code: JobError.Code.workerNotStarted.rawValue, message: error.message, exit: nil)
    default: .failed(code: JobError.Code.notDecodable.rawValue, message: "\(error)", exit: nil)
    }
  }
}

extension Result {
  fileprivate var failure: Failure? {
    if case .failure(let failure) = self { failure } else { nil }
  }
}
