import HeddlePython
import HeddleSystem

/// The `--output` file: one row a line, locked against a second run, readable after any interruption.
///
/// While a run goes on, rows are only appended. A row that takes the place of an earlier failure says so (`"replaces": true`), so that the
/// file is right at every moment for a reader that knows this, above all for the next `--resume`. At the end `tidy` writes the rows that
/// count to a second file and gives it the name of the first, which is one step: whoever is killed before it has the old file, after it
/// the new one.
final class ResultFile: ResultStore {
  let path: String
  private var file: Descriptor
  /// Where the next row begins.
  ///
  /// Unit: bytes.
  private var size: Int
  /// Whether it was made by this run.
  private let isNew: Bool
  /// The rows that were there.
  private(set) var ledger = Ledger()
  /// Rows of failures that are in the file and that no row replaces.
  private(set) var failuresLeft = 0
  /// Whether some row takes the place of another.
  private var hasReplacements = false
  private var originFile: OriginFile

  /// Opens, locks and, for `goOn`, reads and repairs the file.
  ///
  /// - Throws: `UsageError`: it is there and may not be, another run has it, or it holds something else than rows.
  init(path: String, mode: ResultMode) throws {
    self.path = path
    originFile = OriginFile(besides: path)
    if case .create = mode, Files.exists(path) {
      throw UsageError("\(path) exists; go on with it by --resume or --retry-failed, or replace it by --overwrite")
    }
    isNew = !Files.exists(path)
    do {
      file = try Descriptor.open(path, for: .appending)
    } catch {
      throw UsageError("cannot write to \(path): \(error.reason)")
    }
    guard file.lockIfFree() else { throw UsageError("another run is writing to \(path); wait for it or name another file") }
    // A run that ended between our opening and our locking has put another file in this one's place.
    guard file.isFile(named: path) else { throw UsageError("\(path) has just been replaced by another run; try again") }
    size = file.fileSize
    switch mode {
    case .create:
      guard size == 0 else { throw UsageError("\(path) exists; go on with it by --resume or --retry-failed") }
    case .overwrite: break
    case .goOn:
      // A run that was killed while it tidied has left its copy.
      Files.remove(temporaryPath)
      try readRows()
      originFile.read()
    }
  }
  private var temporaryPath: String { path + ".tidy" }

  /// What has made the rows that were there, as far as it is known.
  var origins: [Origin] { originFile.origins }
  /// Notes what makes the rows from here on.
  func note(_ origin: Origin) {
    if size == 0 { originFile.remove() }
    originFile.note(origin)
  }

  /// Empties the file.
  ///
  /// Not done before everything else was found to be right, so that a mistyped target costs nobody his results.
  func clear() {
    file.truncate(to: 0)
    size = 0
  }

  /// Takes the file away again where this run has made it and has written nothing.
  func removeIfNew() {
    guard isNew && size == 0 else { return }
    Files.remove(path)
    originFile.remove()
  }

  func append(_ row: Row) throws(SystemError) { try append(row.line, replaces: row.replaces) }
  /// Appends a row, whole or not at all.
  func append(_ line: [UInt8], replaces: Bool) throws(SystemError) {
    do {
      try file.writeAll(line)
    } catch {
      file.truncate(to: size)
      throw error
    }
    size += line.count
    if replaces {
      hasReplacements = true
      failuresLeft -= 1
    }
  }

  /// Leaves one row an input, and the rows in the order of the inputs where that is wished.
  func tidy(inOrder: Bool) throws(SystemError) {
    guard hasReplacements || inOrder else { return }
    let temporary = temporaryPath
    Files.remove(temporary)
    var isDone = false
    defer { if !isDone { Files.remove(temporary) } }
    let new = try Descriptor.open(temporary, for: .creating)
    _ = new.lockIfFree()
    do {
      try copyRows(to: new, inOrder: inOrder)
    } catch let error as SystemError { throw error } catch { throw SystemError("read \(path)") }
    try new.synchronize()
    try Files.rename(temporary, to: path)
    isDone = true
    file = new
    size = file.fileSize
    hasReplacements = false
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
  private func readRows() throws {
    var end = 0
    var torn: Int?
    try forEachLine { line, offset in
      end = offset + line.count
      let isLast = end >= size
      guard let row = ParsedRow(line) else {
        // The last line without its newline: its writer was killed, or the machine lost power.
        guard isLast else { throw UsageError("\(path) holds something else than results; name another file with --output") }
        torn = offset
        return
      }
      ledger.add(row.key, succeeded: row.succeeded, replaces: row.replaces)
      hasReplacements = hasReplacements || row.replaces
    }
    failuresLeft = ledger.failures
    if let torn {
      file.truncate(to: torn)
      size = torn
    } else if end == size, size > 0 {
      // Whole but for its newline.
      do { try append([UInt8(ascii: "\n")], replaces: false) } catch { throw UsageError("cannot write to \(path): \(error.reason)") }
    }
  }
  private func copyRows(to new: borrowing Descriptor, inOrder: Bool) throws {
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
