/// The table for programs.
enum JSONReport {
  static func text(of results: [RowResult], machine: [(String, String)], runs: Int) -> String {
    object([
      ("machine", object(machine.map { ($0.0, string($0.1)) })), ("runs", "\(runs)"), ("rows", array(results.map(row), separator: ",\n")),
    ])
  }
  private static func row(_ result: RowResult) -> String {
    object([
      ("name", string(result.name)), ("work", string(result.work)), ("must", string(result.must)),
      ("series", array(result.series.map(series))), ("absent", array(result.absent.map(string))),
      ("criteria", array(result.verdicts.map(verdict))), ("reached", result.isReached.map { "\($0)" } ?? "null"),
      ("failure", result.failure.map(string) ?? "null"),
    ])
  }
  private static func series(_ series: RowResult.Series) -> String {
    let spread = series.spread
    return object([
      ("name", string(series.name)), ("unit", string(series.unit)), ("min", "\(spread.least)"), ("median", "\(spread.median)"),
      ("max", "\(spread.most)"), ("runs", array(series.runs.map { "\($0)" })),
    ])
  }
  private static func verdict(_ verdict: RowResult.Verdict) -> String {
    object([
      ("text", string(verdict.criterion.text)), ("sign", string(verdict.criterion.sign)), ("limit", "\(verdict.criterion.limit)"),
      ("median", verdict.median.map { "\($0)" } ?? "null"), ("reached", verdict.isReached.map { "\($0)" } ?? "null"),
    ])
  }
  private static func object(_ members: [(String, String)]) -> String {
    "{" + members.map { "\(string($0.0)): \($0.1)" }.joined(separator: ", ") + "}"
  }
  private static func array(_ elements: [String], separator: String = ", ") -> String { "[" + elements.joined(separator: separator) + "]" }
  private static func string(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"", "\\": quoted += "\\\(scalar)"
      case "\n": quoted += "\\n"
      case _ where scalar.value < 32: quoted += " "
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
