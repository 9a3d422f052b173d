import HeddleSystem

/// The log of GNU parallel's `--joblog`: a line for each call that has ended, with tabs between its columns.
///
/// `Seq` is the input's place from 1 on, `Host` always `:`, `Starttime` in seconds since 1970, `JobRuntime` in seconds, `Receive` the
/// bytes of the value, `Exitval` the exit status of the command or 1 where a function raised, `Signal` what killed it, and -1 with
/// SIGTERM's number what ran out of time.
final class JobLog {
  private let file: Descriptor
  private let name: String
  private let path: String
  private let goesOn: Bool
  private let isNew: Bool

  /// Opens the log and leaves in it what is there: until a call has been made, the run may still be refused.
  ///
  /// - Parameters:
  ///   - path: With a `+` before it the log goes on, otherwise it begins anew.
  ///   - name: What is called, for the last column.
  /// - Throws: `UsageError` where it cannot be written.
  init(path: String, name: String) throws {
    self.name = name
    goesOn = path.hasPrefix("+")
    let path = goesOn ? String(path.dropFirst()) : path
    self.path = path
    isNew = !Files.exists(path)
    do throws(SystemError) { file = try Descriptor.open(path, for: .appending) } catch {
      throw UsageError("cannot write the job log \(path): \(error.reason)")
    }
  }
  /// Begins the log, anew where it does not go on.
  ///
  /// A log that cannot be written is no reason to lose a result, here and below.
  func begin() {
    if !goesOn { file.truncate(to: 0) }
    guard file.fileSize == 0 else { return }
    try? file.writeAll(Array("Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\n".utf8))
  }
  /// Takes the file away again where it was made for a run that was refused.
  func removeIfNew() {
    if isNew { Files.remove(path) }
  }
  /// Adds the call that has just ended.
  func add(_ row: Row, command: String?) {
    var exit = row.failure == nil ? 0 : 1
    var signal = 0
    if let failure = row.failure {
      if failure.code == "timedOut" {
        (exit, signal) = (-1, Int(SignalName.number(of: "SIGTERM") ?? 15))
      } else if let text = failure.exit {
        if text.hasPrefix("exit ") {
          exit = Int(text.dropFirst(5)) ?? 1
        } else {
          (exit, signal) = (0, Int(SignalName.number(of: text) ?? 0))
        }
      }
    }
    let fields = [
      "\(row.input.index + 1)", ":", Self.decimal(row.endTime - row.seconds), Self.decimal(row.seconds), "0",
      "\(row.valueRange?.count ?? 0)", "\(exit)", "\(signal)",
      (command ?? "\(name) \(row.input.text)").replacing("\t", with: " ").replacing("\n", with: " "),
    ]
    try? file.writeAll(Array((fields.joined(separator: "\t") + "\n").utf8))
  }
  /// Three places after the point.
  private static func decimal(_ seconds: Double) -> String {
    let thousandths = Int((seconds * 1000).rounded())
    let fraction = String(thousandths % 1000)
    return "\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction
  }
}
