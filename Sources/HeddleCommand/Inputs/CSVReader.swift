import HeddlePython

/// Rows of a CSV file (RFC 4180) as dictionaries: the first row names the columns, and every value is text.
final class CSVReader {
  private let lines: LineReader
  private let columns: [[UInt8]]

  /// Reads the header.
  ///
  /// - Throws: `UsageError` where two columns have one name, or one has none.
  init(lines: LineReader) throws {
    self.lines = lines
    guard var header = try Self.record(lines) else {
      columns = []
      return
    }
    if header.fields[0].starts(with: [0xef, 0xbb, 0xbf]) { header.fields[0].removeFirst(3) }
    columns = header.fields
    if let complaint = header.complaint { throw UsageError("the CSV header is broken: \(complaint)") }
    for (place, column) in columns.enumerated() {
      let name = String(decoding: column, as: UTF8.self)
      if column.isEmpty { throw UsageError("column \(place + 1) of the CSV header has no name; it is the name of an argument") }
      if columns[..<place].contains(column) { throw UsageError("the CSV header names \"\(name)\" twice; each column is an argument") }
    }
  }

  /// The next row that is not blank.
  func next() throws -> Input.Content? {
    guard let record = try Self.record(lines) else { return nil }
    var complaint = record.complaint
    if complaint == nil && record.fields.count != columns.count {
      complaint = "has \(record.fields.count) \(record.fields.count == 1 ? "field" : "fields") where the header has \(columns.count)"
    }
    var writer = MarshalWriter()
    if let complaint {
      writer.write(fileSystemText: Array(record.fields.joined(separator: [UInt8(ascii: ",")]))[...])
      return .unreadable(MarshaledValue(bytes: writer.bytes), "line \(lines.lineNumber) of the inputs \(complaint)")
    }
    writer.beginDictionary()
    for (column, field) in zip(columns, record.fields) {
      writer.write(fileSystemText: column[...])
      writer.write(fileSystemText: field[...])
    }
    writer.endDictionary()
    return .value(MarshaledValue(bytes: writer.bytes))
  }

  struct Record {
    var fields: [[UInt8]] = [[]]
    var complaint: String?
  }
  /// One record, which is more than one line where a quoted field holds a line's end.
  static func record(_ lines: LineReader) throws -> Record? {
    var line: [UInt8]
    repeat {
      guard let next = try lines.next() else { return nil }
      line = next
      if line.last == UInt8(ascii: "\r") { line.removeLast() }
    } while line.isEmpty

    let quote = UInt8(ascii: "\""), comma = UInt8(ascii: ",")
    var record = Record()
    var isQuoted = false
    while true {
      var position = 0
      while position < line.count {
        let byte = line[position]
        position += 1
        let field = record.fields.count - 1
        if isQuoted {
          if byte != quote {
            record.fields[field].append(byte)
          } else if position < line.count, line[position] == quote {
            record.fields[field].append(quote)
            position += 1
          } else {
            isQuoted = false
            if position < line.count, line[position] != comma { record.complaint = "has text after a closing quote" }
          }
        } else if byte == comma {
          record.fields.append([])
        } else if byte == quote && record.fields[field].isEmpty {
          isQuoted = true
        } else {
          record.fields[field].append(byte)
        }
      }
      guard isQuoted else { return record }
      guard let next = try lines.next() else {
        record.complaint = "has a quote that is never closed"
        return record
      }
      record.fields[record.fields.count - 1].append(UInt8(ascii: "\n"))
      line = next
      // The carriage return belongs to the line's end only where the record ends with it.
      if line.last == UInt8(ascii: "\r"), line.count(where: { $0 == quote }) % 2 == 1 { line.removeLast() }
    }
  }
}
