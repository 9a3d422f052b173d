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
  /// The same without shared memory, if that is more than `limit`; otherwise nil.
  ///
  /// Shared memory is nobody's own: what a job was given would count against it. It takes a second look, which costs more, so that is only
  /// taken at those that seem to be over the limit.
  public static func own(of pid: Int32, above limit: Int) -> Int? {
    guard let resident = resident(of: pid), resident > limit else { return nil }
    var shared = 0
    for line in (Processors.readFile("/proc/\(pid)/status") ?? "").split(separator: "\n") where line.hasPrefix("RssShmem:") {
      shared = (line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0) * 1024
    }
    return resident - shared > limit ? resident - shared : nil
  }
  private static let pageSize = Int(sysconf(Int32(_SC_PAGESIZE)))
}
