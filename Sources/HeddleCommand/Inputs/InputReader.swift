import HeddlePython

/// The inputs of a run, one after another, read when they are asked for.
struct InputReader {
  /// How many there are, where that is known before they are read.
  var total: Int?
  private var nextInput: () throws -> Input?

  /// Inputs named as arguments: text, or with `json` the text of a value each.
  init(arguments: [String], format: InputFormat) {
    var rest = arguments.makeIterator()
    self.init(total: arguments.count, format: format) {
      rest.next().map { Self.content(line: Array($0.utf8), format: format, lineNumber: nil) }
    }
  }
  /// Inputs from a file, or with `-` from standard input.
  ///
  /// - Throws: `UsageError` where the file cannot be read, or has no header where it should.
  init(path: String, format: InputFormat, terminator: UInt8 = LineReader.newline) throws {
    try self.init(lines: LineReader(path: path, terminator: terminator), format: format, isText: terminator == LineReader.newline)
  }

  /// - Parameter isText: Whether a carriage return and blank lines are dropped; between NULs every byte counts.
  init(lines: LineReader, format: InputFormat, isText: Bool = true) throws {
    if format == .csv {
      let table = try CSVReader(lines: lines)
      self.init(total: nil, format: format) { try table.next() }
      return
    }
    self.init(total: nil, format: format) {
      while var line = try lines.next() {
        if isText {
          if line.last == UInt8(ascii: "\r") { line.removeLast() }
          if lines.lineNumber == 1, line.starts(with: [0xef, 0xbb, 0xbf]) { line.removeFirst(3) }
          if line.allSatisfy({ $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "\t") }) { continue }
        }
        if line.isEmpty { continue }
        return Self.content(line: line, format: format, lineNumber: lines.lineNumber)
      }
      return nil
    }
  }
  private init(total: Int?, format: InputFormat, next: @escaping () throws -> Input.Content?) {
    var index = 0
    self.init(total: total) {
      guard let content = try next() else { return nil }
      defer { index += 1 }
      return Input(index: index, content: content, format: format)
    }
  }
  init(total: Int?, next: @escaping () throws -> Input?) {
    self.total = total
    nextInput = next
  }

  /// The next input; nil after the last.
  mutating func next() throws -> Input? { try nextInput() }

  private static func content(line: [UInt8], format: InputFormat, lineNumber: Int?) -> Input.Content {
    var writer = MarshalWriter(capacity: line.count + 5)
    if format == .json {
      do {
        try JSONText.write(line, into: &writer)
        return .value(MarshaledValue(bytes: writer.bytes))
      } catch {
        var text = MarshalWriter()
        text.write(fileSystemText: line[...])
        let place = lineNumber.map { "line \($0) of the inputs" } ?? "the input"
        return .unreadable(MarshaledValue(bytes: text.bytes), "\(place) is no JSON: \(error)")
      }
    }
    writer.write(fileSystemText: line[...])
    return .value(MarshaledValue(bytes: writer.bytes))
  }
}
