import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How many processors this process may use: the affinity mask and the cgroup's quota, whichever is less.
public enum Processors {
  /// Read anew at each call.
  public static func available() -> Int {
    available(affinity: Int(heddle_affinity_count()), online: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), read: SmallFile.text)
  }

  /// The same on given facts.
  ///
  /// `read` answers with a file's text, or nil where there is none.
  public static func available(affinity: Int, online: Int, read: (String) -> String?) -> Int {
    var count = affinity > 0 ? affinity : max(1, online)
    if let quota = quota(read: read) {
      // A quota of 1.5 processors can keep two workers busy three quarters of the time; one would leave a third unused.
      count = min(count, max(1, Int(quota.rounded(.up))))
    }
    return count
  }

  /// Processors' worth of time that the cgroups grant (the tightest on the path to the root), or nil where there is no limit.
  static func quota(read: (String) -> String?) -> Double? {
    var tightest: Double?
    func consider(_ quota: Double?) { if let quota { tightest = min(tightest ?? quota, quota) } }
    let folders = ControlGroup.folders(of: "cpu", read: read)
    for folder in folders.unified { consider(version2(read(folder + "/cpu.max"))) }
    for folder in folders.own {
      consider(version1(quota: read(folder + "/cpu.cfs_quota_us"), period: read(folder + "/cpu.cfs_period_us")))
    }
    return tightest
  }

  /// `cpu.max`: "max 100000" or "150000 100000", microseconds.
  private static func version2(_ text: String?) -> Double? {
    let numbers = (text ?? "").split(whereSeparator: \.isWhitespace)
    guard numbers.count == 2, let quota = Double(numbers[0]), let period = Double(numbers[1]), quota > 0, period > 0 else { return nil }
    return quota / period
  }
  /// `cpu.cfs_quota_us` is -1 where there is no limit.
  private static func version1(quota: String?, period: String?) -> Double? {
    guard let quota = quota.flatMap({ Double($0.trimmed) }), let period = period.flatMap({ Double($0.trimmed) }), quota > 0, period > 0
    else { return nil }
    return quota / period
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
