/// How the workers of a ``PythonExecutor`` are limited, beside how many there are.
///
/// ```swift
/// PythonExecutor(maxWorkers: 4, configuration: PythonPoolConfiguration(jobsPerWorker: 1000, memoryLimit: 500_000_000))
/// ```
///
/// The names and their meaning are those of `ProcessPoolConfiguration`. With a mode other than `.processes` there is one worker process,
/// and what is said of a worker is said of it, with all the calls that it runs at once.
public struct PythonPoolConfiguration: Sendable {
  /// How many calls may wait, beside those that can run; nil: any number.
  ///
  /// Unit: calls. A call counts from `submit` until its future ends, a stream until its last value is there. When so many are there, `submit`
  /// fails the next one with code `queueFull`, `submitWaiting` and `submitBlocking` wait until there is room, and `map` takes its next
  /// call later.
  public var maxPending: Int?
  /// After so many calls a worker makes room for a new one: for functions that leak, or leave something behind; nil: never.
  ///
  /// Unit: calls that ran to their end. The new worker loads its modules, and runs the initializer, anew.
  public var jobsPerWorker: Int?
  /// A worker that holds more after a call makes room for a new one; nil: however much it holds.
  ///
  /// Unit: bytes of resident memory, what `top` shows as RES: an interpreter alone has some 10 MB, with NumPy some 30. Looked at when results
  /// are read, at most once a millisecond, so that of very short calls some more may run.
  public var softMemoryLimit: Int?
  /// How much memory of its own a worker may have; a call that needs more fails with code `memoryLimitExceeded`, which says at which line; nil:
  /// what the machine has.
  ///
  /// Unit: bytes. The kernel refuses the worker more (RLIMIT_DATA), so Python raises `MemoryError` in the call, and the worker lives on. What
  /// counts is private memory that it may write; code, files that are mapped and memory that is only reserved do not. A process that the
  /// call starts may have as much again.
  public var memoryLimit: Int?
  /// A worker that has had no call for so long ends; nil: never, so that what is loaded stays warm.
  ///
  /// The next call then starts one. It is looked for once in that time, so a worker ends between one and two such spans after its last call.
  public var idleTimeout: Duration?

  /// A configuration; what is left out is not limited.
  public init(
    maxPending: Int? = nil, jobsPerWorker: Int? = nil, softMemoryLimit: Int? = nil, memoryLimit: Int? = nil, idleTimeout: Duration? = nil
  ) {
    self.maxPending = maxPending
    self.jobsPerWorker = jobsPerWorker
    self.softMemoryLimit = softMemoryLimit
    self.memoryLimit = memoryLimit
    self.idleTimeout = idleTimeout
  }
}
