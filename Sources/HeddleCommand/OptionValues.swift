import ArgumentParser

/// A span of time as an option: `30s`, `500ms`, `2m`, `1h`, or plain seconds.
struct TimeSpan: ExpressibleByArgument, Equatable {
  let duration: Duration

  init(_ duration: Duration) { self.duration = duration }
  init?(argument: String) {
    let units: [(String, Double)] = [("ms", 0.001), ("s", 1), ("m", 60), ("h", 3600), ("", 1)]
    for (unit, seconds) in units where argument.hasSuffix(unit) {
      guard let number = Self.number(argument.dropLast(unit.count)), number > 0, number * seconds < 1e9 else { return nil }
      duration = .seconds(number * seconds)
      return
    }
    return nil
  }
  /// As an option of the command.
  init(option text: String) throws {
    guard let value = TimeSpan(argument: text) else { throw ValidationError("it is no time; write 30s, 500ms, 2m or 1h") }
    self = value
  }
  /// Digits and at most one point: no `nan`, no `0x1p3`, no sign.
  fileprivate static func number(_ text: Substring) -> Double? {
    guard text.first?.isNumber == true, text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }) else { return nil }
    return Double(text)
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

  /// Those that can be chosen; the others are refused with a sentence of their own.
  static var allValueStrings: [String] { [Placement.processes, .threads].map(\.rawValue) }
}

/// What the lines of the input are.
enum InputFormat: String, ExpressibleByArgument, CaseIterable {
  case lines, json, csv
}

/// When the progress line is shown.
enum ProgressOption: String, ExpressibleByArgument, CaseIterable {
  case auto, always, never
}
