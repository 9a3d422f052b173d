/// The table for people.
enum TextTable {
  static func text(of result: RowResult) -> String {
    var lines = ["", "\(result.name): \(result.work)", "  must: \(result.must)"]
    if let failure = result.failure { lines.append("  FAILED: \(failure)") }
    if !result.series.isEmpty { lines.append("  " + pad("", 48) + "       min    median       max") }
    for series in result.series {
      let spread = series.spread
      lines.append(
        "  " + pad(series.name, 48) + [spread.least, spread.median, spread.most].map { right($0, 10) }.joined() + " " + series.unit)
    }
    for absent in result.absent { lines.append("  not here: \(absent)") }
    for verdict in result.verdicts {
      let text = "\(verdict.criterion.text) \(verdict.criterion.sign) \(number(verdict.criterion.limit))"
      guard let median = verdict.median, let isReached = verdict.isReached else {
        lines.append("  → " + pad(text, 66) + " not judged")
        continue
      }
      lines.append("  → " + pad(text, 66) + right(median, 9) + (isReached ? "  reached" : "  NOT reached"))
    }
    return lines.joined(separator: "\n")
  }
  /// One line a row, at the end.
  static func summary(_ results: [RowResult]) -> String {
    let lines = results.map { result in
      pad(result.name, 20)
        + (result.failure != nil ? "failed" : result.isReached.map { $0 ? "reached" : "NOT reached" } ?? "not judged")
    }
    return "\n" + lines.joined(separator: "\n")
  }
  /// Three digits that count.
  static func number(_ value: Double) -> String {
    guard value != 0, value.isFinite else { return "\(Int(value.isFinite ? value : -1))" }
    var step = 1.0
    while abs(value) * step < 100 && step < 1e6 { step *= 10 }
    let rounded = (value * step).rounded() / step
    return rounded == rounded.rounded() && abs(rounded) < 1e15 ? "\(Int(rounded))" : "\(rounded)"
  }
  private static func pad(_ text: String, _ width: Int) -> String { text + String(repeating: " ", count: max(1, width - text.count)) }
  private static func right(_ value: Double, _ width: Int) -> String {
    let text = number(value)
    return String(repeating: " ", count: max(1, width - text.count)) + text
  }
}
