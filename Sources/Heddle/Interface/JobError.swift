import HeddleSystem

/// Why a job has no output although it threw nothing.
public struct JobError: Error, Sendable, CustomStringConvertible {
  /// The causes.
  public enum Code: String, Sendable, Hashable, Codable, CaseIterable {
    /// Its worker ended while the job ran. It may have run in part.
    case workerDied
    /// It ran longer than its time limit. It may have run in part.
    case timedOut
    /// It was cancelled. It did not run, unless `attempt` and `workerPID` say otherwise.
    case cancelled
    /// Its worker needed more memory than it may have. It may have run in part.
    case memoryLimitExceeded
    /// The job, or its output, cannot be sent, or there is no memory to do so: see the message. With an output, it has run.
    case notEncodable
    /// The job, or its output, arrived but cannot be read, or there is no memory for it: see the message. With an output, it has run.
    case notDecodable
    /// The executor had been shut down. It did not run.
    case executorShutDown
    /// Too many jobs wait. It did not run.
    case queueFull
    /// No worker could be started. It did not run.
    case workerNotStarted
    /// Not of a job, but of a wait inside a job that could never end: see the message. What is waited for goes on.
    case wouldNeverEnd
  }

  /// The cause.
  public var code: Code
  /// A sentence that says what happened and what to try.
  public var message: String
  /// How the worker ended, where it did.
  public var exit: WorkerExit?
  /// Which run of the job this was, from 1.
  public var attempt: Int
  /// The worker's process identifier, where there was one.
  public var workerPID: Int32?
  /// How long that run took until it ended or was stopped; nil where nobody measured it.
  public var ran: Duration?
  /// The most memory that the worker held.
  ///
  /// Unit: bytes.
  public var peakMemory: Int?
  /// Where in its code the worker crashed, and why; nil where it did not, or where nothing is known of it.
  public var crashSite: CrashSite?
  /// The last lines that the worker wrote to its standard error.
  public var standardErrorTail: String

  /// An error with what is known.
  public init(
    code: Code, message: String, exit: WorkerExit? = nil, attempt: Int = 1, workerPID: Int32? = nil, ran: Duration? = nil,
    peakMemory: Int? = nil, crashSite: CrashSite? = nil, standardErrorTail: String = ""
  ) {
    self.code = code
    self.message = message
    self.exit = exit
    self.attempt = attempt
    self.workerPID = workerPID
    self.ran = ran
    self.peakMemory = peakMemory
    self.crashSite = crashSite
    self.standardErrorTail = standardErrorTail
  }

  /// The same error of a job that has a name.
  func named(_ label: String?) -> JobError {
    guard let label else { return self }
    var error = self
    error.message = "\(label): \(message)"
    return error
  }

  /// The code, the message and the last lines of the worker's standard error.
  public var description: String {
    standardErrorTail.isEmpty ? "\(code): \(message)" : "\(code): \(message)\n--- standard error of the worker ---\n\(standardErrorTail)"
  }
}

/// How a worker process ended.
public enum WorkerExit: Sendable, Hashable, CustomStringConvertible {
  /// It called `exit` with this code, or returned it from its main.
  case code(Int32)
  /// This signal ended it.
  case signal(Int32)

  /// `exit 3` or `SIGSEGV`.
  public var description: String {
    switch self {
    case .code(let code): "exit \(code)"
    case .signal(let number): SignalName.name(of: number)
    }
  }
}

/// An error that a job threw in another process and that is not `Codable`, so that only its name and text could travel.
public struct RemoteError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The error's type, as `String(describing:)` names it in the worker.
  public var typeName: String
  /// The error, as `String(describing:)` tells it in the worker.
  public var description: String

  /// An error with that type and text.
  public init(typeName: String, description: String) {
    self.typeName = typeName
    self.description = description
  }
}
