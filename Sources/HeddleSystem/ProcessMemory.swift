#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// How much memory a process holds.
public enum ProcessMemory {
  /// What the process has in memory at this moment, shared pages with it.
  ///
  /// Unit: bytes. nil: it is gone, or the kernel does not tell. Takes some microseconds. Source: `/proc/PID/statm`, second field.
  public static func resident(of pid: Int32) -> Int? {
    guard let text = Processors.readFile("/proc/\(pid)/statm") else { return nil }
    let fields = text.split(separator: " ")
    guard fields.count > 1, let pages = Int(fields[1]) else { return nil }
    return pages * pageSize
  }
  private static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
}
