import HeddlePython

/// One line of the results: what became of an input.
struct Row {
  /// The object, with a newline after it.
  let line: [UInt8]
  /// nil: it succeeded.
  let failure: RowFailure?
  let input: Input
  /// Where the input stands in the line, as JSON.
  let inputRange: Range<Int>
  /// Where the value stands there; nil: there is none.
  let valueRange: Range<Int>?
  /// What the call returned; nil: it failed.
  let value: MarshaledValue?
  /// How long the last try took.
  ///
  /// Unit: seconds.
  let seconds: Double
  let attempts: Int
  /// When the last try ended.
  ///
  /// Unit: seconds since 1970.
  let endTime: Double
  /// Which of the places a command ran in, from 1 on.
  let place: Int?
  /// Whether an earlier row of the same input, a failure, counts no more.
  let replaces: Bool

  /// The row of an input whose call ended so.
  ///
  /// - Parameters:
  ///   - replaces: Whether an earlier row in the file, a failure of the same input, counts no more. It says so in a last member, which
  ///     is taken out again when the file is tidied.
  ///   - endTime: Unit: seconds since 1970.
  init(_ input: Input, _ outcome: CallOutcome, replaces: Bool = false, endTime: Double = 0) {
    var writer = JSONWriter()
    writer.write(raw: "{\"index\": \(input.index), \"input\": ")
    let inputStart = writer.bytes.count
    // What was read as JSON or as text can be written as such.
    if (try? writer.write(input.value)) == nil { writer.write(raw: "null") }
    inputRange = inputStart..<writer.bytes.count
    var valueRange: Range<Int>?
    var failure: RowFailure?
    var returned: MarshaledValue?
    switch outcome.ending {
    case .returned(let value):
      var withValue = writer
      withValue.write(raw: ", \"ok\": true, \"value\": ")
      let start = withValue.bytes.count
      do throws(JSONWriter.Unwritable) {
        let marshaled = MarshaledValue(bytes: value)
        try withValue.write(marshaled)
        returned = marshaled
        valueRange = start..<withValue.bytes.count
        writer = withValue
      } catch { failure = RowFailure(code: "notDecodable", message: "the result cannot be written: \(error)") }
    case .raised(let error):
      failure = RowFailure(code: "exception", type: error.type, message: error.message, traceback: error.traceback, notes: error.notes)
    case .failed(let code, let message, let exit): failure = RowFailure(code: code, message: message, exit: exit)
    case .notRun: failure = RowFailure(code: "cancelled", message: "the call was not run")
    }
    if let failure {
      writer.write(raw: ", \"ok\": false, \"error\": ")
      failure.write(to: &writer)
    }
    writer.write(raw: ", \"seconds\": ")
    // Microseconds: what the clock is good for.
    seconds = (outcome.seconds * 1e6).rounded() / 1e6
    writer.write(seconds)
    writer.write(raw: ", \"attempts\": \(outcome.attempts)")
    if replaces { writer.write(raw: Self.replacesMember) }
    writer.write(raw: "}\n")
    line = writer.bytes
    self.failure = failure
    value = returned
    self.input = input
    self.valueRange = valueRange
    self.replaces = replaces
    self.endTime = endTime
    place = outcome.place
    attempts = outcome.attempts
  }

  /// The input as a table shows it, which also knows it by that.
  var inputCell: String { Self.text(of: input.value) ?? json(inputRange) }
  /// The value as a table shows it; nil: there is none.
  var valueCell: String? { value.flatMap(Self.text) ?? valueRange.map(json) }
  /// What was written as JSON already.
  private func json(_ range: Range<Int>) -> String { String(decoding: line[range], as: UTF8.self) }
  private static func text(of value: MarshaledValue) -> String? {
    value.kind == .string ? String(decoding: value.bytes.dropFirst(5), as: UTF8.self) : nil
  }
  /// An input as a table shows it, before there is a row: text as it is, anything else as JSON.
  static func cell(of input: Input) -> String {
    if let text = text(of: input.value) { return text }
    var writer = JSONWriter()
    guard (try? writer.write(input.value)) != nil else { return "null" }
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  /// How a row says that it takes the place of an earlier one.
  static let replacesMember = ", \"replaces\": true"
}

/// Why an input has no value.
struct RowFailure: Equatable {
  /// `exception`, or a `JobError` code.
  var code: String
  /// The Python type, where the function raised.
  var type: String?
  var message: String
  var traceback: String?
  var notes: [String] = []
  /// How the worker ended: `SIGSEGV`, `exit 3`.
  var exit: String?

  fileprivate func write(to writer: inout JSONWriter) {
    writer.write(raw: "{\"code\": ")
    writer.write(code)
    for (name, value) in [("type", type), ("message", message), ("traceback", traceback), ("exit", exit)] {
      guard let value else { continue }
      writer.write(raw: ", \"\(name)\": ")
      writer.write(value)
    }
    if !notes.isEmpty {
      writer.write(raw: ", \"notes\": [")
      for (place, note) in notes.enumerated() {
        if place > 0 { writer.write(raw: ", ") }
        writer.write(note)
      }
      writer.write(raw: "]")
    }
    writer.write(raw: "}")
  }

  /// What failures of one sort have in common; the summary groups by it.
  var kind: String {
    if let type { return type }
    // A command's own status says all; a worker that died has an error of its own.
    if code == "exception", let exit { return exit }
    return exit.map { "\(code) (\($0))" } ?? code
  }
}
