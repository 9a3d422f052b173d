/// What may differ from job to job.
public struct JobOptions: Sendable {
  /// How long the job may run, counted from its start; nil: as long as it likes.
  ///
  /// A job that runs longer fails with code `timedOut`, on time whatever it does. In a process its worker is stopped, with all
  /// that it started: soft signal, grace, SIGKILL. On a thread its task is cancelled, and the thread is free when it returns.
  public var timeout: Duration?
  /// Which failures are tried again, and how often.
  public var retry: RetryPolicy
  /// Which of the waiting jobs go first.
  ///
  /// A job that runs is never interrupted for another.
  public var priority: JobPriority
  /// What messages call this job; nil: its type.
  public var label: String?

  /// Options for a job.
  public init(timeout: Duration? = nil, retry: RetryPolicy = .none, priority: JobPriority = .medium, label: String? = nil) {
    self.timeout = timeout
    self.retry = retry
    self.priority = priority
    self.label = label
  }

  /// No limit, no retry, medium priority.
  public static let standard = JobOptions()

  /// Whether nothing differs from `standard`: then a submitted job needs no memory for them.
  @usableFromInline var areStandard: Bool { timeout == nil && label == nil && priority == .medium && retry.isNone }
}

/// Which of the waiting jobs go first.
public enum JobPriority: Int, Sendable, Hashable, CaseIterable, Codable {
  /// When nothing else waits.
  case low
  /// In the order of submission.
  case medium
  /// Before all others.
  case high
}

/// How often a job may run again, for each cause of its failure.
///
/// A job that failed may have run in part: allow a retry only where running it twice does no harm.
public struct RetryPolicy: Sendable, Hashable {
  /// After its worker died.
  ///
  /// Unit: further runs.
  public var crashes: Int
  /// After it ran longer than its time limit.
  ///
  /// Unit: further runs. Not kept on threads of this process and in place: there the run that took too long goes on.
  public var timeouts: Int
  /// After it needed too much memory.
  ///
  /// Unit: further runs.
  public var memory: Int
  /// After it threw an error.
  ///
  /// Unit: further runs.
  public var errors: Int
  /// How long to wait before a further run.
  public var backoff: Backoff

  /// A policy; each budget is 0 unless given.
  public init(
    crashes: Int = 0, timeouts: Int = 0, memory: Int = 0, errors: Int = 0,
    backoff: Backoff = .exponential(from: .milliseconds(50), to: .seconds(5))
  ) {
    self.crashes = crashes
    self.timeouts = timeouts
    self.memory = memory
    self.errors = errors
    self.backoff = backoff
  }

  /// One run, whatever happens.
  public static let none = RetryPolicy()

  var isNone: Bool { crashes <= 0 && timeouts <= 0 && memory <= 0 && errors <= 0 }
}

/// How long to wait before a job runs again.
public enum Backoff: Sendable, Hashable {
  /// No wait.
  case immediate
  /// The first span doubles with each further run, up to the second; a quarter of it is random, so that jobs that failed together
  /// do not come back together.
  case exponential(from: Duration, to: Duration)

  /// The wait before attempt `attempt` (2 is the first retry).
  ///
  /// `random` is from 0 to 1.
  func delay(beforeAttempt attempt: Int, random: Double) -> Duration {
    guard case .exponential(let first, let limit) = self else { return .zero }
    let doubled = first * Int32(1 << min(max(attempt - 2, 0), 20))
    return min(doubled, limit) * (0.75 + 0.25 * random)
  }
}
