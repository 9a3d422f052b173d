import HeddleSystem

/// The `--output` file as CSV (RFC 4180), for those who open it in a spreadsheet: one row an input, under a header.
///
/// A text stands there as it is, any other value as JSON. While a run goes on rows are only appended; `ok` ends with a `+` in one that
/// takes the place of an earlier failure, until the file is tidied, which works as in `ResultFile`.
final class ResultTable: ResultStore {
  static let columns = ["index", "input", "ok", "value", "code", "type", "message", "exit", "traceback", "seconds", "attempts"]
  private static let mark = "+"
  let path: String
  private var file: Descriptor
  private var size: Int
  private let isNew: Bool
  private(set) var ledger = Ledger()
  private(set) var failuresLeft = 0
  private var hasReplacements = false
  private var originFile: OriginFile

  init(path: String, mode: ResultMode) throws {
    self.path = path
    originFile = OriginFile(besides: path)
    isNew = !Files.exists(path)
    file = try Descriptor.openResults(path, mode: mode)
    size = file.fileSize
    guard mode == .goOn else { return }
    Files.remove(path + ".tidy")
    try readRows()
    originFile.read()
  }
  var origins: [Origin] { originFile.origins }
  func note(_ origin: Origin) {
    if size == 0 { originFile.remove() }
    originFile.note(origin)
  }
  func clear() {
    file.truncate(to: 0)
    size = 0
  }
  func removeIfNew() {
    guard isNew && size == 0 else { return }
    Files.remove(path)
    originFile.remove()
  }
  var knowsCells: Bool { true }

  func append(_ row: Row) throws(SystemError) {
    let failure = row.failure
    let ok = (failure == nil ? "true" : "false") + (row.replaces ? Self.mark : "")
    let fields = [
      "\(row.input.index)", Row.cell(of: row.input), ok, row.value.map(Row.cell) ?? "", failure?.code ?? "", failure?.type ?? "",
      failure?.message ?? "", failure?.exit ?? "", failure?.traceback ?? "", "\(row.seconds)", "\(row.attempts)",
    ]
    let header = size == 0 ? Self.line(Self.columns) : []
    let line = header + Self.line(fields)
    do throws(SystemError) { try file.writeAll(line) } catch {
      file.truncate(to: size)
      throw error
    }
    size += line.count
    if row.replaces {
      hasReplacements = true
      failuresLeft -= 1
    }
  }

  func tidy(inOrder: Bool) throws(SystemError) {
    guard hasReplacements || inOrder else { return }
    let temporary = path + ".tidy"
    Files.remove(temporary)
    var isDone = false
    defer { if !isDone { Files.remove(temporary) } }
    let new = try Descriptor.open(temporary, for: .creating)
    _ = new.lockIfFree()
    do { try copyRows(to: new, inOrder: inOrder) } catch let error as SystemError { throw error } catch {
      throw SystemError("read \(path)")
    }
    try new.synchronize()
    try Files.rename(temporary, to: path)
    isDone = true
    file = new
    size = file.fileSize
    hasReplacements = false
  }

  // MARK: Rows that are there

  private static func line(_ fields: [String]) -> [UInt8] {
    let special = Set(",\"\r\n".utf8)
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
  private func readRows() throws {
    let (end, isForeign) = try forEachRow { fields, _ in
      let replaces = fields[2].hasSuffix(Self.mark)
      ledger.add(InputKey(cell: fields[1]), succeeded: fields[2].hasPrefix("true"), replaces: replaces)
      hasReplacements = hasReplacements || replaces
    }
    if isForeign { throw UsageError("\(path) holds something else than results; name another file with --output") }
    if end < size {
      file.truncate(to: end)
      size = end
    }
    failuresLeft = ledger.failures
  }
  private func copyRows(to new: borrowing Descriptor, inOrder: Bool) throws {
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

extension Descriptor {
  /// Opens a file for results and takes its lock.
  ///
  /// - Throws: `UsageError`: it is there and may not be, or another run has it.
  static func openResults(_ path: String, mode: ResultMode) throws -> Descriptor {
    if mode == .create, Files.exists(path) {
      throw UsageError("\(path) exists; go on with it by --resume or --retry-failed, or replace it by --overwrite")
    }
    let file: Descriptor
    do throws(SystemError) { file = try Descriptor.open(path, for: .appending) } catch {
      throw UsageError("cannot write to \(path): \(error.reason)")
    }
    guard file.lockIfFree() else { throw UsageError("another run is writing to \(path); wait for it or name another file") }
    // A run that ended between our opening and our locking has put another file in this one's place.
    guard file.isFile(named: path) else { throw UsageError("\(path) has just been replaced by another run; try again") }
    if mode == .create, file.fileSize > 0 { throw UsageError("\(path) exists; go on with it by --resume or --retry-failed") }
    return file
  }
}
