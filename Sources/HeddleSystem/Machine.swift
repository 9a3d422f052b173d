import CHeddle
import Glibc

/// What a program asks of the machine that it runs on.
public enum Machine {
  /// Seconds since 1970, by the clock on the wall: for logs, never for spans.
  public static var wallClock: Double {
    var time = timespec()
    unsafe clock_gettime(CLOCK_REALTIME, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }
  /// Memory that new processes could have without swapping; nil where the kernel does not say.
  ///
  /// Unit: bytes.
  public static var availableMemory: Int? {
    guard let text = Processors.readFile("/proc/meminfo") else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
    return nil
  }
  /// Processor time of the children that have ended and were waited for, and of theirs.
  public static var childrenProcessorTime: Duration {
    var usage = rusage()
    guard unsafe getrusage(__rusage_who_t(RUSAGE_CHILDREN.rawValue), &usage) == 0 else { return .zero }
    return usage.processorTime
  }
  /// Sets how much this thread, and what it starts from here on, gives way to others: -20 to 19.
  ///
  /// - Throws: `SystemError`, where this process may not have less than it has.
  public static func setNiceness(_ niceness: Int) throws(SystemError) {
    guard setpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0, Int32(clamping: niceness)) == 0 else {
      throw SystemError("set the niceness to \(niceness)")
    }
  }
}

/// Signals to the processes of a group that somebody else started and waits for.
public enum ProcessGroup {
  /// SIGTERM to all of the group; none left is no error.
  public static func terminate(_ leader: Int32) { if leader > 1 { Glibc.kill(-leader, SIGTERM) } }
  /// SIGKILL to the same.
  public static func kill(_ leader: Int32) { if leader > 1 { Glibc.kill(-leader, SIGKILL) } }
}

/// Processes that somebody else started.
public enum Processes {
  /// SIGKILL to every process that has `entry`, as `NAME=value`, among the environment that it was started with, but not to this one.
  ///
  /// - Parameter first: only those with a higher number, which are all that came later, until numbers are used again: to look at each of thousands
  ///   would take milliseconds.
  public static func kill(startedWith entry: String, after first: Int32 = 1) { unsafe heddle_kill_started_with(entry, first) }
  /// A word that no other run on this machine has.
  public static var uniqueWord: String { "\(getpid())-\(MonotonicTime.now.nanoseconds)" }
}

/// Names of signals, as `kill -l` has them.
public enum SignalName {
  private static let table: [(Int32, String)] = {
    let common = [
      (SIGHUP, "SIGHUP"), (SIGINT, "SIGINT"), (SIGQUIT, "SIGQUIT"), (SIGILL, "SIGILL"), (SIGTRAP, "SIGTRAP"), (SIGABRT, "SIGABRT"),
      (SIGBUS, "SIGBUS"), (SIGFPE, "SIGFPE"), (SIGKILL, "SIGKILL"), (SIGUSR1, "SIGUSR1"), (SIGSEGV, "SIGSEGV"), (SIGUSR2, "SIGUSR2"),
      (SIGPIPE, "SIGPIPE"), (SIGALRM, "SIGALRM"), (SIGTERM, "SIGTERM"), (SIGXCPU, "SIGXCPU"), (SIGXFSZ, "SIGXFSZ"), (SIGSYS, "SIGSYS"),
      (SIGVTALRM, "SIGVTALRM"), (SIGPROF, "SIGPROF"), (SIGIO, "SIGIO"),
    ]
    #if os(Linux)
      return common + [(SIGSTKFLT, "SIGSTKFLT"), (SIGPWR, "SIGPWR")]
    #else
      return common
    #endif
  }()
  /// `SIGSEGV`, or `signal 64` of one without a name here.
  public static func name(of number: Int32) -> String { table.first { $0.0 == number }?.1 ?? "signal \(number)" }
  /// The other way round; nil: that is no signal's name.
  public static func number(of name: String) -> Int32? {
    table.first { $0.1 == name }?.0 ?? (name.hasPrefix("signal ") ? Int32(name.dropFirst(7)) : nil)
  }
}

extension Descriptor {
  /// A file without a name, which is gone when the last that has it open closes it.
  ///
  /// It is in `TMPDIR`, or in /tmp.
  public static func temporaryFile() throws(SystemError) -> Descriptor {
    let folder = unsafe getenv("TMPDIR").map { unsafe String(cString: $0) } ?? "/tmp"
    // O_TMPFILE: the header's macro does not reach Swift.
    let number = unsafe Glibc.open(folder, 0o20200000 | O_RDWR | O_CLOEXEC, 0o600)
    if number >= 0 { return Descriptor(owning: number) }
    var template = Array("\(folder)/heddle-XXXXXX".utf8CString)
    let named = unsafe mkstemp(&template)
    guard named >= 0 else { throw SystemError("make a temporary file in \(folder)") }
    _ = fcntl(named, F_SETFD, FD_CLOEXEC)
    unsafe _ = unlink(template)
    return Descriptor(owning: named)
  }
  /// All of the file, from its start.
  ///
  /// Blocks.
  public func readAll() throws(SystemError) -> [UInt8] { try readSlice(at: 0, count: fileSize) }
}
