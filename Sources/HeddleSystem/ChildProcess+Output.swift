import CHeddle
import Glibc

extension ChildProcess {
  /// What a process that was run to its end left behind.
  public struct Output: Sendable {
    /// What it wrote to its standard output.
    public var standardOutput: [UInt8]
    /// What it wrote to its standard error.
    public var standardError: [UInt8]
    /// What it wrote to descriptor 3.
    public var answer: [UInt8]
    /// How it ended; nil where the kernel forgot.
    public var exit: Exit?
    /// Whether it was killed because it took longer than it may.
    public var isTimedOut: Bool
  }

  /// Runs a program to its end and collects what it writes.
  ///
  /// Blocks.
  ///
  /// Its standard input is empty, descriptor 3 is one more pipe for what it has to say, and descriptor 4 is one that reads
  /// end-of-file when this process is gone.
  ///
  /// - Parameters:
  ///   - limit: The process and its group are killed after that.
  ///   - byteLimit: What it writes past that on a descriptor is dropped. Unit: bytes.
  public static func run(
    path: String, arguments: [String], environment: [String], limit: Duration, byteLimit: Int = 1 << 20
  ) throws(SystemError) -> Output {
    // A list of what is not copyable cannot be made, so each pipe has its name.
    let output = try Descriptor.pipe(), error = try Descriptor.pipe(), answer = try Descriptor.pipe()
    let lifeline = try Descriptor.pipe()
    defer { withExtendedLifetime(lifeline.second.number) {} }
    let child: ChildProcess
    let readers: [Int32]
    do {
      child = try ChildProcess(
        path: path, arguments: arguments, environment: environment,
        descriptors: [-1, output.second.number, error.second.number, answer.second.number, lifeline.first.number])
      readers = [output.first.number, error.first.number, answer.first.number]
    }
    // Only the child may hold the writing ends now, or end-of-file never comes.
    let outputReader = output.first, errorReader = error.first, answerReader = answer.first
    drop(output.second)
    drop(error.second)
    drop(answer.second)

    let deadline = MonotonicTime.now + limit
    var collected: [[UInt8]] = [[], [], []]
    var isOpen = [true, true, true]
    var isTimedOut = false
    var hasEnded = false
    // A grandchild may keep a pipe open for ever; once the child has ended, what lies there is all.
    while !hasEnded {
      var watched = readers.indices.map { pollfd(fd: isOpen[$0] ? readers[$0] : -1, events: Int16(POLLIN), revents: 0) }
      watched.append(pollfd(fd: child.ended.number, events: Int16(POLLIN), revents: 0))
      let left = deadline - MonotonicTime.now
      if left == .zero {
        isTimedOut = true
        break
      }
      guard unsafe poll(&watched, nfds_t(watched.count), Int32(min(left.clampedNanoseconds / 1_000_000 + 1, 60_000))) >= 0 else { continue }
      hasEnded = watched[3].revents != 0
      collect(outputReader, into: &collected[0], isOpen: &isOpen[0], limit: byteLimit)
      collect(errorReader, into: &collected[1], isOpen: &isOpen[1], limit: byteLimit)
      collect(answerReader, into: &collected[2], isOpen: &isOpen[2], limit: byteLimit)
    }
    if isTimedOut { child.killGroup() }
    let end = child.reap()
    return Output(
      standardOutput: collected[0], standardError: collected[1], answer: collected[2], exit: end.exit, isTimedOut: isTimedOut)
  }
  private static func collect(_ reader: borrowing Descriptor, into bytes: inout [UInt8], isOpen: inout Bool, limit: Int) {
    while isOpen {
      switch reader.readAvailable(limit: 1 << 16) {
      case .bytes(let new): bytes += new.prefix(limit - bytes.count)
      case .nothingNow: return
      case .end: isOpen = false
      }
    }
  }
  private static func drop(_ descriptor: consuming Descriptor) {}
}
