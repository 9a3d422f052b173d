/// What is said at the end: how many, how long, what failed and why, and how to go on.
struct Summary {
  /// Examples of a kind of failure that are named, and kinds.
  static let examplesPerKind = 5
  static let kindLimit = 10
  /// Characters of an input or message that are shown.
  static let longestText = 200

  /// Failures of one kind.
  private struct Group {
    var count = 0
    var examples: [(input: String, message: String)] = []
  }
  private var groups: [String: Group] = [:]
  private var order: [String] = []
  private(set) var failed = 0
  private(set) var succeeded = 0

  mutating func addSuccess() { succeeded += 1 }
  mutating func add(_ failure: RowFailure, input: @autoclosure () -> String) {
    failed += 1
    let kind = failure.kind
    if groups[kind] == nil { order.append(kind) }
    groups[kind, default: Group()].count += 1
    if groups[kind]!.examples.count < Self.examplesPerKind {
      groups[kind]!.examples.append((Self.oneLine(input()), Self.oneLine(failure.message)))
    }
  }

  /// What else there is to say.
  struct Ending {
    var elapsed: Duration
    var processorTime: Duration?
    /// Inputs whose row was there before.
    var skipped = 0
    /// Inputs that were taken but not run to their end.
    var notRun = 0
    /// How many inputs have no row, where it is known how many there are.
    var open: Int?
    /// Why the run ended early, as a sentence.
    var reason: String?
    /// How to run what is missing, as a command's options.
    var goOn: String?
  }

  /// The lines of the summary.
  func lines(_ ending: Ending) -> [String] {
    var counts = "heddle: \(succeeded) succeeded, \(failed) failed"
    if ending.skipped > 0 { counts += ", \(ending.skipped) done before" }
    let seconds = ending.elapsed / .seconds(1)
    var span = " in \(RunProgress.format(rate: seconds)) s"
    if seconds > 0, succeeded + failed > 1 { span += " (\(RunProgress.format(rate: Double(succeeded + failed) / seconds))/s)" }
    if let time = ending.processorTime, seconds > 0 {
      span += ", \(RunProgress.format(rate: (time / .seconds(1)) / seconds)) cores used"
    }
    var lines = [counts + span]
    for kind in order.prefix(Self.kindLimit) {
      guard let group = groups[kind] else { continue }
      lines.append("  \(kind): \(group.count)")
      lines += group.examples.map { "    \($0.input): \($0.message)" }
      if group.count > group.examples.count { lines.append("    and \(group.count - group.examples.count) more") }
    }
    if order.count > Self.kindLimit { lines.append("  and \(order.count - Self.kindLimit) more kinds of failure") }
    if let reason = ending.reason {
      var rest = ending.notRun > 0 ? "; \(ending.notRun) that had been handed out have no row" : ""
      if let open = ending.open, open > 0 { rest = "; \(open) inputs have no row yet" }
      lines.append("heddle: \(reason)\(rest)")
    }
    if let goOn = ending.goOn { lines.append("heddle: \(goOn)") }
    return lines
  }

  private static func oneLine(_ text: String) -> String {
    let line = text.split(whereSeparator: \.isNewline).joined(separator: " ")
    return line.count > longestText ? line.prefix(longestText) + "…" : line
  }
}
