import HeddlePython

/// Kills a call that runs, or takes back one that waits: it ends as `notRun` then, unless it has just ended.
///
/// false: it cannot be stopped, or has ended, or waits although `onlyIfRunning`.
typealias CallCanceller = @Sendable (_ onlyIfRunning: Bool) -> Bool

/// What runs calls: the seam between the tool and an executor.
///
/// `PythonRunner` and `CommandRunner` are the real ones, `PacedRunner` goes before either, tests have some of their own.
protocol CallRunner: AnyObject, Sendable {
  /// How many calls may be with the runner at once, running and waiting: enough to keep every worker busy, no more.
  var window: Int { get }
  /// Starts a call, or lets it wait for a worker.
  ///
  /// - Parameters:
  ///   - input: One that could be read.
  ///   - completion: Is called once, on any thread, and returns at once.
  @discardableResult func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller
  /// Starts nothing more: what waits ends as `notRun`. What runs has `grace`, nil for ever, and is killed then. Blocks until all has ended.
  func shutdown(grace: Duration?)
  /// Processor time of all workers so far, where it is known.
  var processorTime: Duration? { get }
}

/// What a runner is told.
struct RunnerSettings: Sendable {
  var interpreter: PythonInterpreter
  /// The function that is called.
  var target: PythonTarget
  var placement: Placement
  /// nil: as many as this process may use cores.
  var workers: Int?
  var timeout: Duration?
  /// How often a call may run again, for any cause.
  var retries: Int
  /// Bytes a worker.
  var memoryLimit: Int?
  /// Takes what the functions print, as it comes, on any thread.
  ///
  /// nil: it goes to standard error without a detour.
  var printed: (@Sendable ([UInt8]) -> Void)?
}

/// How a call ended.
struct CallOutcome: Sendable {
  enum Ending: Sendable {
    /// A value in marshal's bytes.
    case returned([UInt8])
    /// The function raised.
    case raised(PythonFailure)
    /// It has no result of its own; `code` is a `JobError` code.
    case failed(code: String, message: String, exit: String?)
    /// It never started, or was stopped by `shutdown`: there is no row.
    case notRun
  }
  var ending: Ending
  /// How long the last try took.
  ///
  /// Unit: seconds.
  var seconds: Double
  /// How often it was tried.
  var attempts: Int
  /// What a function's thread computed in the last try; nil: not known.
  var processorTime: Duration?
  /// Which of the places it ran in, from 1 on; nil: it is no command.
  var place: Int?
}
