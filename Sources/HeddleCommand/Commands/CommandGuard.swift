import HeddleSystem

/// Sees to it that no command outlives the tool, however that ends.
///
/// A process of its own, this same executable, that is told over a socket which process groups run. When that closes, by SIGKILL of the
/// tool too, it kills the groups that are left, and all that was started with the run's own word in its environment: the command that
/// the tool was just starting, and what has left its group.
final class CommandGuard: Sendable {
  /// The hidden subcommand.
  static let subcommand = "_guard"
  private let child: ChildProcess
  private let pipe: Locked<Int32>
  /// The variable that commands are started with, and its value: the run's own word.
  static let variable = "HEDDLE_RUN"
  let word = Processes.uniqueWord

  init() throws(SystemError) {
    let ends = try Descriptor.socketPair()
    child = try ChildProcess(
      path: "/proc/self/exe", arguments: ["heddle", Self.subcommand, word], environment: ChildProcess.environment,
      descriptors: [ends.first.number, -1, Console.descriptor])
    pipe = Locked(ends.second.release())
  }
  deinit { close() }

  func started(_ group: Int32) { tell("+\(group)\n") }
  /// The leader has ended: what it left behind is killed.
  func ended(_ group: Int32) {
    ProcessGroup.kill(group)
    tell("-\(group)\n")
  }
  private func tell(_ line: String) {
    pipe.withLock { if $0 >= 0 { try? Descriptor.writeAll(Array(line.utf8), to: $0) } }
  }
  /// Ends the guard.
  ///
  /// Blocks until it has gone.
  func close() {
    let number = pipe.withLock { number in
      defer { number = -1 }
      return number
    }
    guard number >= 0 else { return }
    closeNow(Descriptor(owning: number))
    _ = child.reap()
  }
  private func closeNow(_ descriptor: consuming Descriptor) {}

  /// What the guard's own process does.
  static func serve() -> Never {
    EndSignals.take()
    var groups: Set<Int32> = []
    if let lines = try? LineReader(path: "-") {
      while let line = try? lines.next() {
        guard let group = Int32(String(decoding: line.dropFirst(), as: UTF8.self)) else { continue }
        if line.first == UInt8(ascii: "+") { groups.insert(group) } else { groups.remove(group) }
      }
    }
    groups.forEach(ProcessGroup.kill)
    if let word = CommandLine.arguments.dropFirst(2).first { Processes.kill(startedWith: "\(variable)=\(word)") }
    exitAtOnce(0)
  }
}
