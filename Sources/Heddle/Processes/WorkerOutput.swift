/// Where what workers print goes: their standard output and standard error.
///
/// Each of them is read on the pool's own thread and never waited for: a job that prints faster than that is slowed down, and nobody else.
public enum WorkerOutput: Sendable {
  /// Where that of this process goes: standard output directly, standard error through this process.
  case passedThrough
  /// Nowhere. The last lines of standard error are still in a ``JobError``.
  case discarded
  /// To `handler`, line by line, with the job that printed it.
  ///
  /// It is called on a thread of its own, one line after another. When it is slower than the workers they wait for it.
  case lines(_ handler: @Sendable (OutputLine) -> Void)
  /// To `handler`, once a job, all that it printed.
  ///
  /// It is called on a thread of its own, soon after the job has ended; of a job that prints more than `limit` bytes on one of the two the
  /// last ones are kept.
  case jobs(limit: Int = 1 << 16, _ handler: @Sendable (JobOutput) -> Void)
}

/// Which of a worker's two outputs.
public enum OutputStream: String, Sendable, Hashable, CaseIterable, Codable {
  case standardOutput, standardError
}

/// A line that a worker printed.
public struct OutputLine: Sendable, Hashable {
  /// The line, without its newline.
  ///
  /// What is no UTF-8 is replaced; what is longer than 64 KiB comes in parts.
  public var text: String
  /// Where it was printed.
  public var stream: OutputStream
  /// The label of the job that ran then, or its type; nil: printed between jobs.
  ///
  /// What a job leaves running (a thread, a program that it started) may print into the next job.
  public var label: String?
  /// Which run of that job it was, from 1.
  public var attempt: Int
  /// The worker's process identifier.
  public var workerPID: Int32
}

/// All that a job printed.
public struct JobOutput: Sendable, Hashable {
  /// The job's label, or its type.
  public var label: String
  /// Which run of the job it was, from 1.
  public var attempt: Int
  /// The worker's process identifier.
  public var workerPID: Int32
  /// What it printed to standard output.
  public var standardOutput: String
  /// What it printed to standard error.
  public var standardError: String
  /// Whether the beginning of one of them is missing, because there was more than the limit.
  public var isTruncated: Bool
}
