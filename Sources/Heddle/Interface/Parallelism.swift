import HeddleSystem

/// How much this process may do at once.
public enum Parallelism {
  /// The processors that this process may use: the affinity mask and the cgroup quota (v1 and v2), whichever is less; at least 1.
  ///
  /// In a container that was given 2 of a machine's 64 processors this is 2. It is the default number of workers everywhere.
  /// Unit: processors; a fraction of one counts as one. Source: `sched_getaffinity`, `cpu.max`, `cpu.cfs_quota_us`.
  public static var available: Int { Processors.available() }
}
