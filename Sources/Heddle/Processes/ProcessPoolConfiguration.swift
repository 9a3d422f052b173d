/// How a ``ProcessPoolExecutor`` behaves, beside how many workers it has.
///
/// ```swift
/// ProcessPoolExecutor(maxWorkers: 4, configuration: ProcessPoolConfiguration(maxPending: 1000))
/// ```
public struct ProcessPoolConfiguration: Sendable {
  /// How many jobs may wait, beside the `maxWorkers` that can run; nil: any number.
  ///
  /// Unit: jobs. A job counts from `submit` until its future ends. When so many are there, `submit` fails the next one with code
  /// `queueFull`, `submitWaiting` and `submitBlocking` wait until there is room, and `map` takes its next item later.
  public var maxPending: Int?
  /// After so many jobs a worker makes room for a new one: for jobs that leak, or leave something behind; nil: never.
  ///
  /// Unit: jobs that ran to their end.
  public var jobsPerWorker: Int?
  /// A worker that holds more after a job makes room for a new one; nil: however much it holds.
  ///
  /// Unit: bytes of resident memory, what `top` shows as RES, without a ``SharedBuffer``'s: with the program's own some 10 MB. Looked at
  /// when results are read, at most once a millisecond, so that of very short jobs some more may run.
  public var softMemoryLimit: Int?
  /// A worker that holds more while it runs a job is killed, and the job fails with code `memoryLimitExceeded`; nil: no limit but the
  /// machine's.
  ///
  /// Unit: bytes of resident memory, as above; what the job starts is not counted. Looked at every 10 ms: a job that fills memory as fast
  /// as it can gets some tens of megabytes further. Allocations do not fail before. A worker that holds more after its job is replaced.
  public var memoryLimit: Int?
  /// A worker that has had no job for so long ends; nil: never.
  ///
  /// The next job then starts one, which takes some milliseconds.
  /// It is looked for once in that time, so a worker ends between one and two such spans after its last job.
  public var idleTimeout: Duration?
  /// What each worker runs before its first job: it loads a model, opens a connection, warms a cache; nil: nothing.
  ///
  /// It is encoded once, when the pool is made. What it leaves in globals of the worker, or in ``WorkerState``, is there for every job of
  /// that worker. One that throws, traps or runs out of time costs its worker; after three in a row, with no worker left, what waits fails
  /// with code `workerNotStarted` and the reason, and the next job tries once more.
  public var initializer: (any Job)?
  /// How long the initializer may take; nil: as long as it likes.
  public var initializerTimeout: Duration?
  /// What each worker runs after its last job: when it has idled, makes room for another, or the pool is shut down; nil: nothing.
  ///
  /// Its arguments are small, at most 128 KiB. A worker that dies or is killed does not run it, nor does `shutdown(.kill(after:))`. What it
  /// throws is said on standard error.
  public var finalizer: (any Job)?
  /// How long the finalizer may take before its worker is killed.
  public var finalizerTimeout: Duration
  /// Where what workers print goes.
  public var output: WorkerOutput

  /// A configuration; what is left out is as in a pool that has none.
  public init(
    maxPending: Int? = nil, jobsPerWorker: Int? = nil, softMemoryLimit: Int? = nil, memoryLimit: Int? = nil,
    idleTimeout: Duration? = .seconds(60), initializer: (any Job)? = nil, initializerTimeout: Duration? = nil,
    finalizer: (any Job)? = nil, finalizerTimeout: Duration = .seconds(10), output: WorkerOutput = .passedThrough
  ) {
    self.maxPending = maxPending
    self.jobsPerWorker = jobsPerWorker
    self.softMemoryLimit = softMemoryLimit
    self.memoryLimit = memoryLimit
    self.idleTimeout = idleTimeout
    self.initializer = initializer
    self.initializerTimeout = initializerTimeout
    self.finalizer = finalizer
    self.finalizerTimeout = finalizerTimeout
    self.output = output
  }
  var limits: PoolLimits {
    PoolLimits(
      jobsPerWorker: jobsPerWorker, softMemoryLimit: softMemoryLimit, memoryLimit: memoryLimit, idleTimeout: idleTimeout)
  }
}
