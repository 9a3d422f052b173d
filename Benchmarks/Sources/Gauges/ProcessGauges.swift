import CGauges
import Glibc

/// What /proc and the allocator say of processes.
public enum ProcessGauges {
  /// Children of this process, of whatever thread.
  public static func children() -> [pid_t] {
    names(in: "/proc/self/task").flatMap { text(of: "/proc/self/task/\($0)/children").split(separator: " ").compactMap { pid_t($0) } }
  }
  /// Of these the ones that are Heddle's workers and live.
  public static func workers() -> [pid_t] { children().filter { text(of: "/proc/\($0)/cmdline").hasPrefix("heddle-worker") } }
  /// Memory that a process has for itself alone.
  ///
  /// Unit: bytes. Source: `/proc/PID/smaps_rollup`, private clean and dirty.
  public static func privateMemory(of pid: pid_t) -> Double {
    let lines = text(of: "/proc/\(pid)/smaps_rollup").split(separator: "\n")
    return lines.filter { $0.hasPrefix("Private_Clean:") || $0.hasPrefix("Private_Dirty:") }.map { number(in: $0) * 1024 }.reduce(0, +)
  }
  /// Memory of this process that is resident and came from no file.
  ///
  /// Unit: bytes.
  public static func residentMemory() -> Double {
    let lines = text(of: "/proc/self/status").split(separator: "\n")
    return lines.first { $0.hasPrefix("RssAnon:") }.map { number(in: $0) * 1024 } ?? 0
  }
  /// How often the threads of a process have lost or left a processor.
  ///
  /// - Parameters:
  ///   - exceptCaller: whether the calling thread, which slept itself, is left out.
  ///   - kinds: the lines of `/proc/PID/task/TID/status` that count.
  public static func contextSwitches(
    of pid: pid_t, exceptCaller: Bool, _ kinds: [String] = ["voluntary_ctxt_switches", "nonvoluntary_ctxt_switches"]
  ) -> Int {
    let caller = exceptCaller ? String(gauge_thread()) : ""
    var sum = 0
    for thread in names(in: "/proc/\(pid)/task") where thread != caller {
      let lines = text(of: "/proc/\(pid)/task/\(thread)/status").split(separator: "\n")
      for line in lines where kinds.contains(String(line.prefix { $0 != ":" })) { sum += Int(number(in: line)) }
    }
    return sum
  }
  /// Processor time so far of this process and its workers.
  ///
  /// Unit: nanoseconds.
  public static func processorTime() -> Double {
    ([getpid()] + workers()).map { Double(gauge_processor_time($0)) }.reduce(0, +)
  }
  /// Bytes that this process has from malloc.
  public static func allocated() -> Double { Double(gauge_allocated()) }
  /// Gives free memory back to the system.
  public static func trim() { gauge_trim() }

  private static func number(in line: Substring) -> Double { line.split { !$0.isNumber }.first.flatMap { Double($0) } ?? 0 }
  /// What a folder holds; empty: it cannot be read.
  public static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self)) }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }
  /// A file's text; empty: it cannot be read.
  public static func text(of path: String) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(file, &buffer, buffer.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }
}
