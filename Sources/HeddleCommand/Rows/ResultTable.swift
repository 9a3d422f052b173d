import HeddleSystem

/// The `--output` file as CSV (RFC 4180), for those who open it in a spreadsheet: one row an input, under a header.
///
/// A text stands there as it is, any other value as JSON. While a run goes on rows are only appended; `ok` ends with a `+` in one that
/// takes the place of an earlier failure, until the file is tidied.
final class ResultTable: RowFile, ResultStore {
  static let columns = ["index", "input", "ok", "value", "code", "type", "message", "exit", "traceback", "seconds", "attempts"]
  private static let mark = "+"
  var knowsCells: Bool { true }

  func append(_ row: Row) throws(SystemError) {
    let failure = row.failure
    let ok = (failure == nil ? "true" : "false") + (row.replaces ? Self.mark : "")
    let fields = [
      "\(row.input.index)", row.inputCell, ok, row.valueCell ?? "", failure?.code ?? "", failure?.type ?? "",
      failure?.message ?? "", failure?.exit ?? "", failure?.traceback ?? "", "\(row.seconds)", "\(row.attempts)",
    ]
    try append((size == 0 ? Self.line(Self.columns) : []) + Self.line(fields), replaces: row.replaces)
  }

  // MARK: Rows that are there

  /// What a field is quoted for.
  private static let special = Set(",\"\r\n".utf8)
  private static func line(_ fields: [String]) -> [UInt8] {
    let cells = fields.map { field -> [UInt8] in
      let bytes = Array(field.utf8)
      guard bytes.contains(where: special.contains) else { return bytes }
      return [UInt8(ascii: "\"")] + bytes.flatMap { $0 == UInt8(ascii: "\"") ? [$0, $0] : [$0] } + [UInt8(ascii: "\"")]
    }
    return Array(cells.joined(separator: [UInt8(ascii: ",")])) + [LineReader.newline]
  }
  /// Calls `body` with each row, where it begins and ends.
  ///
  /// - Returns: Where the last whole row ends, and whether something else than rows is there.
  private func forEachRow(_ body: (_ fields: [String], _ range: Range<Int>) throws -> Void) throws -> (end: Int, isForeign: Bool) {
    file.rewind()
    let lines = LineReader { [unowned self] in try self.file.readBlock(into: &$0, limit: LineReader.blockSize) }
    var end = 0
    var isFirst = true
    while let record = try CSVReader.record(lines) {
      // The last one is not whole: its writer was killed.
      let isTorn = lines.isUnterminated || record.complaint != nil && lines.consumed >= size
      let fields = record.fields.map { String(decoding: $0, as: UTF8.self) }
      if isFirst {
        if isTorn { return (0, !Self.line(Self.columns).starts(with: fields.joined(separator: ",").utf8)) }
        if fields != Self.columns { return (0, true) }
      } else {
        if isTorn { return (end, false) }
        guard fields.count == Self.columns.count, record.complaint == nil else { return (end, true) }
        try body(fields, end..<lines.consumed)
      }
      isFirst = false
      end = lines.consumed
    }
    return (end, false)
  }
  override func readRows() throws {
    let (end, isForeign) = try forEachRow { fields, _ in
      let replaces = fields[2].hasSuffix(Self.mark)
      ledger.add(InputKey(cell: fields[1]), succeeded: fields[2].hasPrefix("true"), replaces: replaces)
      hasReplacements = hasReplacements || replaces
    }
    if isForeign { throw self.isForeign }
    if end < size {
      file.truncate(to: end)
      size = end
    }
  }
  override func copyRows(to new: borrowing Descriptor, inOrder: Bool) throws {
    var replaced: [InputKey: Int] = [:]
    _ = try forEachRow { fields, _ in if fields[2].hasSuffix(Self.mark) { replaced[InputKey(cell: fields[1]), default: 0] += 1 } }
    var rows: [(index: Int, range: Range<Int>)] = []
    _ = try forEachRow { fields, range in
      let key = InputKey(cell: fields[1])
      if fields[2].hasPrefix("false"), let count = replaced[key], count > 0 {
        replaced[key] = count - 1
      } else {
        rows.append((Int(fields[0]) ?? 0, range))
      }
    }
    if inOrder { rows.sort { ($0.index, $0.range.lowerBound) < ($1.index, $1.range.lowerBound) } }
    var buffer = Self.line(Self.columns)
    for row in rows {
      let bytes = try file.readSlice(at: row.range.lowerBound, count: row.range.count)
      var source: [UInt8]? = bytes
      let lines = LineReader { block in
        block = source ?? []
        source = nil
      }
      guard var fields = try CSVReader.record(lines)?.fields.map({ String(decoding: $0, as: UTF8.self) }) else { continue }
      if fields[2].hasSuffix(Self.mark) { fields[2].removeLast() }
      buffer += Self.line(fields)
      if buffer.count > LineReader.blockSize {
        try new.writeAll(buffer)
        buffer = []
      }
    }
    try new.writeAll(buffer)
  }
}
