#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// What a process that lives has used so far.
public struct ProcessUsage: Sendable {
  /// Of its threads, those that have ended too, and of the processes that it started and waited for.
  public var processorTime: Duration
  /// The most memory that it had at once; 0: not known.
  ///
  /// Unit: bytes.
  public var peakMemory: Int

  /// Asks the kernel; nil: there is no such process, or it has ended.
  ///
  /// Reads two small files that are made as they are read.
  public static func of(_ pid: Int32) -> ProcessUsage? {
    var clock = clockid_t()
    var time = timespec()
    guard unsafe clock_getcpuclockid(pid, &clock) == 0, unsafe clock_gettime(clock, &time) == 0 else { return nil }
    guard let status = Processors.readFile("/proc/\(pid)/status"), let stat = Processors.readFile("/proc/\(pid)/stat") else { return nil }
    // Of a process that has ended there is no such line.
    guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }) else { return nil }
    let peak = line.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) } ?? 0
    // Behind the name, which may hold anything, from the state on: the 14th and 15th are of children that were waited for.
    let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
    let ticks = fields.count > 14 ? (Int(fields[13]) ?? 0) + (Int(fields[14]) ?? 0) : 0
    let children = Duration.seconds(1) * ticks / max(1, sysconf(Int32(_SC_CLK_TCK)))
    return ProcessUsage(
      processorTime: .seconds(time.tv_sec) + .nanoseconds(Int64(time.tv_nsec)) + children, peakMemory: peak * 1024)
  }
}
