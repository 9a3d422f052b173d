import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How many processors this process may use: the affinity mask and the cgroup's quota, whichever is less.
public enum Processors {
  /// Read anew at each call.
  public static func available() -> Int { available(read: readFile) }
  private static func available(read: (String) -> String?) -> Int {
    available(affinity: Int(heddle_affinity_count()), online: Int(sysconf(Int32(_SC_NPROCESSORS_ONLN))), read: read)
  }

  /// The same by the affinity mask alone: one call of the kernel.
  public static func byAffinity() -> Int { available { _ in nil } }

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
    let mounts = cgroupMounts(read("/proc/self/mountinfo") ?? "")
    for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[0] == "0" && fields[1].isEmpty, let mount = mounts.unified {
        for folder in mount.folders(of: String(fields[2])) { consider(version2(read(folder + "/cpu.max"))) }
      } else if fields[1].split(separator: ",").contains("cpu"), let mount = mounts.cpu {
        for folder in mount.folders(of: String(fields[2])) {
          consider(version1(quota: read(folder + "/cpu.cfs_quota_us"), period: read(folder + "/cpu.cfs_period_us")))
        }
      }
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

  struct Mount {
    /// The cgroup that the mount shows at its top, and where it is mounted.
    var root: String
    var point: String
    /// The folders of a cgroup and of all above it, as far as the mount shows them.
    func folders(of path: String) -> [String] {
      var inside = path
      if root != "/", path.hasPrefix(root) { inside = String(path.dropFirst(root.count)) }
      var parts = inside.split(separator: "/")
      // In a container without a cgroup namespace the path may not exist under the mount: then its top is ours.
      var folders: [String] = []
      while true {
        folders.append(parts.isEmpty ? point : point + "/" + parts.joined(separator: "/"))
        if parts.isEmpty { return folders }
        parts.removeLast()
      }
    }
  }
  /// Lines like `36 35 0:30 /root /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu`.
  static func cgroupMounts(_ text: String) -> (unified: Mount?, cpu: Mount?, memory: Mount?) {
    var unified: Mount?
    var cpu: Mount?
    var memory: Mount?
    // By bytes: to find characters takes ten times as long, and there may be hundreds of lines.
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
      let parts = line.split(separator: UInt8(ascii: " "))
      guard let dash = parts.firstIndex(where: { $0.elementsEqual("-".utf8) }), dash >= 6, parts.count > dash + 3,
        parts[dash + 1].starts(with: "cgroup".utf8)
      else { continue }
      let fields = parts.map { Substring($0) }
      let mount = Mount(root: String(fields[3]), point: String(fields[4]))
      switch fields[dash + 1] {
      case "cgroup2": unified = mount
      case "cgroup":
        let controllers = fields[dash + 3].split(separator: ",")
        if controllers.contains("cpu") { cpu = mount }
        if controllers.contains("memory") { memory = mount }
      default: break
      }
    }
    return (unified, cpu, memory)
  }

  static func readFile(_ path: String) -> String? {
    let number = unsafe path.withCString { unsafe heddle_open_for_reading($0) }
    guard number >= 0 else { return nil }
    let descriptor = Descriptor(owning: number)
    var text: [UInt8] = []
    while case .bytes(let more) = descriptor.readAvailable(limit: 65536) { text += more }
    return String(decoding: text, as: UTF8.self)
  }
}

extension String {
  fileprivate var trimmed: String {
    String(drop(while: \.isWhitespace).reversed().drop(while: \.isWhitespace).reversed())
  }
}
