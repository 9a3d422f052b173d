import HeddlePython
import HeddleSystem

/// The `--output` file: one row a line, locked against a second run, readable after any interruption.
///
/// A row that takes the place of an earlier failure says so (`"replaces": true`), so that the file is right at every moment for a reader
/// that knows this, above all for the next `--resume`.
final class ResultFile: RowFile, ResultStore {
  var knowsCells: Bool { false }
  func append(_ row: Row) throws(SystemError) { try append(row.line, replaces: row.replaces) }
  /// In one write, which is most of what a row costs.
  func append(_ rows: [Row]) -> RowsWritten {
    var lines = rows.first?.line ?? []
    for row in rows.dropFirst() { lines += row.line }
    do throws(SystemError) {
      try append(lines, replacing: rows.count { $0.replaces })
      return RowsWritten(count: rows.count)
    } catch {
      // As many as there is room for.
      return RowsWritten(of: rows) { (row) throws(SystemError) in try append(row) }
    }
  }

  // MARK: Rows that are there

  private struct ParsedRow {
    let index: Int
    let key: InputKey
    let succeeded: Bool
    let replaces: Bool

    /// nil: the line is no row.
    init?(_ line: [UInt8]) {
      guard let members = JSONText.members(of: line) else { return nil }
      func member(_ name: String) -> MarshaledValue? { members.first { $0.name == name }?.value }
      guard let input = member("input"), case .bool(let succeeded)? = member("ok")?.kind, let index = member("index"),
        let number = try? MarshalDecoder().decode(Int.self, from: index.bytes)
      else { return nil }
      self.index = number
      key = InputKey(input)
      self.succeeded = succeeded
      replaces = member("replaces")?.kind == .bool(true)
    }
  }

  /// Calls `body` with every line and where it begins.
  private func forEachLine(_ body: ([UInt8], Int) throws -> Void) throws {
    file.rewind()
    let reader = LineReader { [unowned self] in try self.file.readBlock(into: &$0, limit: LineReader.blockSize) }
    var offset = 0
    while let line = try reader.next() {
      try body(line, offset)
      offset += line.count + 1
    }
  }
  override func readRows() throws {
    var end = 0
    var torn: Int?
    try forEachLine { line, offset in
      end = offset + line.count
      let isLast = end >= size
      guard let row = ParsedRow(line) else {
        // The last line without its newline: its writer was killed, or the machine lost power.
        guard isLast else { throw isForeign }
        torn = offset
        return
      }
      ledger.add(row.key, succeeded: row.succeeded, replaces: row.replaces)
      hasReplacements = hasReplacements || row.replaces
    }
    if let torn {
      file.truncate(to: torn)
      size = torn
    } else if end == size, size > 0 {
      // Whole but for its newline.
      do { try append([UInt8(ascii: "\n")], replaces: false) } catch { throw UsageError("cannot write to \(path): \(error.reason)") }
    }
  }
  override func copyRows(to new: borrowing Descriptor, inOrder: Bool) throws {
    // First how many failures of each input count no more; then, from the oldest on, they are left out.
    var replaced: [InputKey: Int] = [:]
    var places: [(index: Int, offset: Int, length: Int)] = []
    try forEachLine { line, _ in
      if let row = ParsedRow(line), row.replaces { replaced[row.key, default: 0] += 1 }
    }
    var buffer: [UInt8] = []
    func flush(_ new: borrowing Descriptor) throws {
      try new.writeAll(buffer)
      buffer.removeAll(keepingCapacity: true)
    }
    let marker = Array((Row.replacesMember + "}").utf8)
    try forEachLine { line, offset in
      guard let row = ParsedRow(line) else { return }
      if !row.succeeded, let count = replaced[row.key], count > 0 {
        replaced[row.key] = count - 1
        return
      }
      if inOrder {
        places.append((row.index, offset, line.count))
        return
      }
      buffer += line
      Self.finish(&buffer, marker: marker)
      if buffer.count > LineReader.blockSize { try flush(new) }
    }
    places.sort { ($0.index, $0.offset) < ($1.index, $1.offset) }
    for place in places {
      buffer += try file.readSlice(at: place.offset, count: place.length)
      Self.finish(&buffer, marker: marker)
      if buffer.count > LineReader.blockSize { try flush(new) }
    }
    try flush(new)
  }
  /// Ends the line in `buffer` without the member that says that it replaces another.
  private static func finish(_ buffer: inout [UInt8], marker: [UInt8]) {
    if buffer.suffix(marker.count).elementsEqual(marker) {
      buffer.removeLast(marker.count)
      buffer.append(UInt8(ascii: "}"))
    }
    buffer.append(UInt8(ascii: "\n"))
  }
}
