import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A child process of ours and its group; waited for exactly once.
///
/// Nobody else's child is ever waited for.
public final class ChildProcess: Sendable {
  /// Its identifier, which is its group's too.
  public let pid: Int32
  /// Polls readable once the process has ended.
  public let ended: Descriptor

  /// Starts a process that leads its own group.
  ///
  /// - Parameters:
  ///   - descriptors: descriptor i of the child is `descriptors[i]` here; -1 is /dev/null. All others are closed.
  public init(path: String, arguments: [String], environment: [String], descriptors: [Int32]) throws(SystemError) {
    var pid: pid_t = 0
    let code = unsafe withCStrings(arguments) { arguments in
      unsafe withCStrings(environment) { environment in
        unsafe path.withCString { path in
          unsafe descriptors.withUnsafeBufferPointer { descriptors in
            var request = unsafe heddle_spawn_request(
              path: path, arguments: arguments, environment: environment, descriptors: descriptors.baseAddress,
              descriptor_count: Int32(descriptors.count))
            return unsafe heddle_spawn(&request, &pid)
          }
        }
      }
    }
    guard code == 0 else { throw SystemError("start \(path)", code: code) }
    self.pid = pid
    let number = heddle_process_descriptor(pid)
    if number < 0 {
      let error = SystemError("watch process \(pid)")
      kill(-pid, SIGKILL)
      waitpid(pid, nil, 0)
      throw error
    }
    ended = Descriptor(owning: number)
  }

  /// SIGTERM to the process and to all that it started in its group.
  public func terminateGroup() { kill(-pid, SIGTERM) }
  /// SIGKILL to the same.
  public func killGroup() { kill(-pid, SIGKILL) }

  /// Whether somebody suspended it (SIGSTOP); false for one that a debugger holds.
  public var isSuspended: Bool {
    // The name may hold anything, a parenthesis too; behind the last one comes the state.
    let status = Processors.readFile("/proc/\(pid)/stat") ?? ""
    guard let end = status.lastIndex(of: ")") else { return false }
    return status[end...].dropFirst(2).first == "T"
  }

  /// Takes the ended process off the kernel's table, after the rest of its group was killed.
  ///
  /// Blocks until it has ended.
  public func reap() -> End {
    // Until it is waited for, its number, which is its group's too, cannot be given to anybody else: so the rest of the group goes first.
    var information = unsafe siginfo_t()
    while unsafe waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT) < 0 && errno == EINTR {}
    kill(-pid, SIGKILL)
    var status: Int32 = 0
    var usage = rusage()
    var result: pid_t
    repeat { result = unsafe wait4(pid, &status, 0, &usage) } while result < 0 && errno == EINTR
    guard result == pid else { return End(exit: nil, peakMemory: nil, processorTime: .zero) }
    return End(
      exit: status & 0x7f != 0 ? .signal(status & 0x7f) : .code(status >> 8 & 0xff),
      peakMemory: Int(usage.ru_maxrss) * 1024, processorTime: usage.processorTime)
  }

  /// How a process ended and what it used.
  public struct End: Sendable {
    /// nil: somebody else in this process waited for our child, so the kernel forgot how it ended.
    public var exit: Exit?
    /// Bytes.
    public var peakMemory: Int?
    /// In the process and in what it started and waited for.
    public var processorTime: Duration

    /// An end that is known already.
    public init(exit: Exit?, peakMemory: Int?, processorTime: Duration) {
      self.exit = exit
      self.peakMemory = peakMemory
      self.processorTime = processorTime
    }
  }
  /// How a process ended.
  public enum Exit: Sendable, Hashable {
    case code(Int32)
    case signal(Int32)
  }

  /// This process's environment, as `NAME=value`.
  public static var environment: [String] {
    var result: [String] = []
    var next = unsafe heddle_environment()
    while let entry = unsafe next?.pointee {
      unsafe result.append(String(cString: entry))
      unsafe next = next! + 1
    }
    return result
  }
}

/// Calls `body` with a NULL-terminated array of C strings.
private func withCStrings<Result>(_ strings: [String], _ body: (UnsafePointer<UnsafeMutablePointer<CChar>?>) -> Result) -> Result {
  var pointers: [UnsafeMutablePointer<CChar>?] = unsafe strings.map { unsafe strdup($0) }
  unsafe pointers.append(nil)
  defer { unsafe pointers.forEach { pointer in unsafe free(pointer) } }
  return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress!) }
}

extension rusage {
  /// Of the program and of the kernel for it.
  var processorTime: Duration {
    .seconds(ru_utime.tv_sec + ru_stime.tv_sec) + .microseconds(Int64(ru_utime.tv_usec) + Int64(ru_stime.tv_usec))
  }
}
