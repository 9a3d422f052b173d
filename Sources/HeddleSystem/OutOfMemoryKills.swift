/// How often the kernel killed a process for want of memory, as far as this process can see.
public struct OutOfMemoryKills: Sendable, Hashable {
  /// In this process's control group and those below it; nil where nothing says so.
  public var inGroup: Int?
  /// On the whole machine; nil where nothing says so.
  public var onMachine: Int?

  /// Counts that are known already.
  public init(inGroup: Int? = nil, onMachine: Int? = nil) {
    self.inGroup = inGroup
    self.onMachine = onMachine
  }

  /// Reads both anew, which takes some tens of microseconds.
  public static func count() -> OutOfMemoryKills { count(read: Processors.readFile) }

  /// The same on given facts.
  ///
  /// `read` answers with a file's text, or nil where there is none.
  public static func count(read: (String) -> String?) -> OutOfMemoryKills {
    var kills = OutOfMemoryKills()
    let mounts = Processors.cgroupMounts(read("/proc/self/mountinfo") ?? "")
    for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      let path = String(fields[2])
      if fields[0] == "0" && fields[1].isEmpty, let mount = mounts.unified {
        kills.inGroup = mount.folders(of: path).first.flatMap { number("oom_kill", in: read($0 + "/memory.events")) } ?? kills.inGroup
      } else if fields[1].split(separator: ",").contains("memory"), let mount = mounts.memory {
        // Where a container shows no group of its own under the mount, the mount's top is ours.
        for folder in mount.folders(of: path) {
          guard let count = number("oom_kill", in: read(folder + "/memory.oom_control")) else { continue }
          kills.inGroup = count
          break
        }
      }
    }
    kills.onMachine = number("oom_kill", in: read("/proc/vmstat"))
    return kills
  }
  private static func number(_ name: String, in text: String?) -> Int? {
    // By bytes, as in `cgroupMounts`: the machine's counts are 170 lines.
    for line in (text ?? "").utf8.split(separator: UInt8(ascii: "\n")) where line.starts(with: name.utf8) {
      let rest = line.dropFirst(name.utf8.count)
      if rest.first == UInt8(ascii: " ") { return Int(Substring(rest.dropFirst())) }
    }
    return nil
  }

  /// Whether the kernel killed somebody since `before`: in our own group for sure, and otherwise on the machine.
  public func hasGrown(since before: OutOfMemoryKills) -> Bool {
    if let inGroup, let old = before.inGroup { return inGroup > old }
    if let onMachine, let old = before.onMachine { return onMachine > old }
    return false
  }
}
