import ArgumentParser
import HeddlePython

/// A span of time as an option: `30s`, `500ms`, `2m`, `1h`, `1d`, or plain seconds.
struct TimeSpan: ExpressibleByArgument, Equatable {
  let duration: Duration

  init(_ duration: Duration) { self.duration = duration }
  init?(argument: String) {
    let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("d", 86400), ("", 1)]
    for (unit, seconds) in units where argument.hasSuffix(unit) {
      guard let number = Self.number(argument.dropLast(unit.count)), number > 0, number * seconds < 1e9 else { return nil }
      duration = .seconds(number * seconds)
      return
    }
    return nil
  }
  /// As an option of the command.
  init(option text: String) throws {
    guard let value = TimeSpan(argument: text) else { throw ValidationError("it is no time above zero; write 30s, 500ms, 2m, 1h or 1d") }
    self = value
  }
  /// Digits and at most one point: no `nan`, no `0x1p3`, no sign.
  fileprivate static func number(_ text: Substring) -> Double? {
    guard text.first?.isNumber == true, text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }) else { return nil }
    return Double(text)
  }
}

/// How long a call may take: a span, or a share of what calls take.
enum TimeLimit: Equatable, CustomStringConvertible {
  case span(Duration)
  /// Of the median of the calls that succeeded. Unit: hundredths.
  case percent(Double)

  init(option text: String) throws {
    guard text.hasSuffix("%") else {
      self = .span(try TimeSpan(option: text).duration)
      return
    }
    guard let number = TimeSpan.number(text.dropLast()), number > 100, number < 1e6 else {
      throw ValidationError("a share of the median must be more than 100%, for example 300%")
    }
    self = .percent(number)
  }
  /// The limit for a call; nil: nothing is known yet.
  ///
  /// - Parameter median: Unit: seconds.
  func limit(median: Double?) -> Duration? {
    switch self {
    case .span(let span): span
    // Less than a second would measure how busy the machine is, and how long a new worker takes to load the target.
    case .percent(let percent): median.map { .seconds(max($0 * percent / 100, 1)) }
    }
  }
  var description: String {
    switch self {
    case .span(let span): "\(span.seconds) s"
    case .percent(let percent): "\(percent.formatted)% of the median"
    }
  }
}

extension Double {
  /// Without the fraction where there is none.
  fileprivate var formatted: String { self == rounded() && abs(self) < 1e15 ? "\(Int(self))" : "\(self)" }
}

/// How many calls run at once: `8`, or of the cores that this process may use `+2` more or `50%`.
enum JobCount: Equatable {
  case exactly(Int)
  case more(Int)
  case percent(Int)

  init(option text: String) throws {
    let refusal = ValidationError("it must be at least 1: a number, +2 for two more than there are cores, or 50% of them")
    if text.hasSuffix("%") {
      guard let percent = Int(text.dropLast()), (1...100_000).contains(percent) else { throw refusal }
      self = .percent(percent)
    } else {
      guard let count = Int(text), (text.hasPrefix("+") ? 0 : 1) <= count, count <= 100_000 else { throw refusal }
      self = text.hasPrefix("+") ? .more(count) : .exactly(count)
    }
  }
  func resolved(cores: Int) -> Int {
    switch self {
    case .exactly(let count): count
    case .more(let count): cores + count
    case .percent(let percent): max(1, Int((Double(cores * percent) / 100).rounded()))
    }
  }
}

/// When a run ends early, as GNU parallel writes it: `now,fail=1`, `soon,fail=10%`, `never`.
struct HaltCondition: Equatable {
  enum Event: String {
    case fail, success, done
  }
  /// Whether what runs is killed; otherwise it may end.
  let isNow: Bool
  let event: Event
  /// After so many, or that share of all inputs.
  let count: Double
  let isPercent: Bool

  /// nil: never.
  static func parse(_ text: String) throws -> HaltCondition? {
    switch text {
    case "never", "0": return nil
    case "1": return HaltCondition(isNow: false, event: .fail, count: 1, isPercent: false)
    case "2": return HaltCondition(isNow: true, event: .fail, count: 1, isPercent: false)
    default: break
    }
    let refusal = ValidationError("write now or soon, then fail, success or done with a number or percentage: now,fail=1 or soon,fail=10%")
    let parts = text.split(separator: ",", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0] == "now" || parts[0] == "soon" else { throw refusal }
    let condition = parts[1].split(separator: "=", omittingEmptySubsequences: false)
    guard condition.count == 2, let event = Event(rawValue: String(condition[0])) else { throw refusal }
    let isPercent = condition[1].hasSuffix("%")
    guard let number = TimeSpan.number(isPercent ? condition[1].dropLast() : condition[1]), number > 0,
      isPercent ? number <= 100 : number == number.rounded()
    else { throw refusal }
    return HaltCondition(isNow: parts[0] == "now", event: event, count: number, isPercent: isPercent)
  }
  /// Whether it has come to that.
  ///
  /// - Parameter total: All inputs; nil: not known yet, and a percentage is not reached.
  func isMet(failed: Int, succeeded: Int, total: Int?) -> Bool {
    let number =
      switch event {
      case .fail: failed
      case .success: succeeded
      case .done: failed + succeeded
      }
    guard isPercent else { return Double(number) >= count }
    return total.map { $0 > 0 && Double(number) >= Double($0) * count / 100 } ?? false
  }
  /// For the summary.
  func sentence(failed: Int, succeeded: Int) -> String {
    switch event {
    case .fail: "stopped after \(failed) \(failed == 1 ? "failure" : "failures")"
    case .success: "stopped after \(succeeded) \(succeeded == 1 ? "success" : "successes")"
    case .done: "stopped after \(failed + succeeded) \(failed + succeeded == 1 ? "call" : "calls")"
    }
  }
}

/// A number of bytes as an option: `500MB`, `2GiB`, `100k`, or plain bytes.
///
/// `MB` is 10^6, `MiB` 2^20.
struct ByteCount: ExpressibleByArgument, Equatable {
  let bytes: Int

  init?(argument: String) {
    var text = Substring(argument.lowercased())
    var base = 1000.0
    if text.hasSuffix("b") { text = text.dropLast() }
    if text.hasSuffix("i") {
      text = text.dropLast()
      base = 1024
    }
    var factor = 1.0
    if let unit = text.last, let power = "kmgt".firstIndex(of: unit) {
      text = text.dropLast()
      for _ in 0...("kmgt".distance(from: "kmgt".startIndex, to: power)) { factor *= base }
    } else if base == 1024 {
      return nil
    }
    guard let number = TimeSpan.number(text), number * factor >= 1, number * factor < 1e18 else { return nil }
    bytes = Int(number * factor)
  }
  /// As an option of the command.
  init(option text: String) throws {
    guard let value = ByteCount(argument: text) else { throw ValidationError("it is no size; write 500MB or 2GiB") }
    self = value
  }
}

/// Where the calls run.
enum Placement: String, ExpressibleByArgument, CaseIterable {
  case processes
  case threads
  case interpreters
  case freeThreaded = "free-threaded"
  case auto

  /// As the executor calls it; of `auto` the first choice.
  var mode: PythonMode {
    switch self {
    case .processes, .auto: .processes
    case .threads: .threads
    case .interpreters: .interpreters
    case .freeThreaded: .freeThreaded
    }
  }
}

/// What the lines of the input are.
enum InputFormat: String, ExpressibleByArgument, CaseIterable {
  case lines, json, csv
}

/// What an `--output` file is.
enum OutputFormat: String, ExpressibleByArgument, CaseIterable {
  case jsonl, csv, sqlite

  /// By the extension of the file's name.
  init(path: String) {
    let name = path.lowercased()
    if name.hasSuffix(".csv") {
      self = .csv
    } else if [".db", ".sqlite", ".sqlite3"].contains(where: name.hasSuffix) {
      self = .sqlite
    } else {
      self = .jsonl
    }
  }
}

/// When the progress line is shown.
enum ProgressOption: String, ExpressibleByArgument, CaseIterable {
  case auto, always, never
}
