#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How much memory a process holds, and whether the kernel killed processes for want of it.
public enum ProcessMemory {
  /// What the process has in memory at this moment, shared pages with it.
  ///
  /// Unit: bytes. nil: it is gone, or the kernel does not tell. Takes some microseconds. Source: `/proc/PID/statm`, second field.
  public static func resident(of pid: Int32) -> Int? {
    guard let text = SmallFile.text("/proc/\(pid)/statm") else { return nil }
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
    return pages * pageSize
  }
  private static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))

  /// How often the kernel has killed a process for want of memory: in the control groups of this process, and on the whole machine.
  public struct KillCount: Sendable, Hashable {
    /// In this process's memory group and those above it.
    ///
    /// Source: `memory.events` (version 2), `memory.oom_control` (version 1).
    public var inGroup = 0
    /// For any reason, anywhere.
    ///
    /// Source: `/proc/vmstat`.
    public var onMachine = 0

    /// As it stands now.
    public static func now() -> KillCount { now(read: SmallFile.text) }
    static func now(read: (String) -> String?) -> KillCount {
      let folders = ControlGroup.folders(of: "memory", read: read)
      // A group's count holds those of the groups in it (version 2); in version 1 each has its own.
      let unified = folders.unified.compactMap { number("oom_kill", in: read($0 + "/memory.events")) }.max() ?? 0
      let own = folders.own.compactMap { number("oom_kill", in: read($0 + "/memory.oom_control")) }.reduce(0, +)
      return KillCount(inGroup: unified + own, onMachine: number("oom_kill", in: read("/proc/vmstat")) ?? 0)
    }
    private static func number(_ name: String, in text: String?) -> Int? {
      for line in (text ?? "").split(separator: "\n") {
        let fields = line.split(separator: " ")
        if fields.count == 2, fields[0] == name { return Int(fields[1]) }
      }
      return nil
    }
  }
}
