/// When a worker makes room for another, and when it is killed for what it holds.
///
/// The same for Swift and Python workers.
package struct PoolLimits: Sendable {
  /// Unit: jobs.
  package var jobsPerWorker: Int?
  /// Past that a worker is replaced after the job that it runs.
  ///
  /// Unit: bytes.
  package var softMemoryLimit: Int?
  /// Past that a worker is killed.
  ///
  /// Unit: bytes.
  package var memoryLimit: Int?
  /// How long a worker may be without a job; nil: for ever.
  package var idleTimeout: Duration?

  package init(jobsPerWorker: Int? = nil, softMemoryLimit: Int? = nil, memoryLimit: Int? = nil, idleTimeout: Duration? = nil) {
    self.jobsPerWorker = jobsPerWorker
    self.softMemoryLimit = softMemoryLimit
    self.memoryLimit = memoryLimit
    self.idleTimeout = idleTimeout
  }
  /// What a worker may hold after a job and still get another one.
  var keptMemory: Int? { softMemoryLimit.map { min($0, memoryLimit ?? $0) } ?? memoryLimit }
}
