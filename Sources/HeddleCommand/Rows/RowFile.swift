import HeddleSystem

/// A file that rows are appended to: opened, locked against a second run, and put in order by way of a copy.
///
/// What stores that write rows one after another have in common; how a row looks is theirs. While a run goes on, rows are only appended. At
/// the end `tidy` writes the rows that count to a second file and gives it the name of the first, which is one step: whoever is killed
/// before it has the old file, after it the new one.
class RowFile {
  let path: String
  var file: Descriptor
  /// Where the next row begins.
  ///
  /// Unit: bytes.
  var size: Int
  /// Whether it was made by this run.
  private let isNew: Bool
  /// The rows that were there.
  final var ledger = Ledger()
  /// Rows of failures that are in the file and that no row replaces.
  final var failuresLeft = 0
  /// Whether some row takes the place of another.
  final var hasReplacements = false
  private var originFile: OriginFile

  /// Opens, locks and, for `goOn`, reads and repairs the file.
  ///
  /// - Throws: `UsageError`: it is there and may not be, another run has it, or it holds something else than rows.
  init(path: String, mode: ResultMode) throws {
    self.path = path
    originFile = OriginFile(besides: path)
    isNew = !Files.exists(path)
    file = try Descriptor.openResults(path, mode: mode)
    size = file.fileSize
    guard mode == .goOn else { return }
    // A run that was killed while it tidied has left its copy.
    Files.remove(temporaryPath)
    try readRows()
    failuresLeft = ledger.failures
    originFile.read()
  }
  private var temporaryPath: String { path + ".tidy" }

  /// Enters the rows that are there in the ledger, and takes a torn last one away.
  func readRows() throws { preconditionFailure("RowFile is abstract") }
  /// Writes the rows that count, without what says that they replace others.
  func copyRows(to new: borrowing Descriptor, inOrder: Bool) throws { preconditionFailure("RowFile is abstract") }
  /// That the file is none of ours.
  final var isForeign: UsageError { UsageError("\(path) holds something else than results; name another file with --output") }

  /// What has made the rows that were there, as far as it is known.
  final var origins: [Origin] { originFile.origins }
  /// Notes what makes the rows from here on.
  final func note(_ origin: Origin) {
    if size == 0 { originFile.remove() }
    originFile.note(origin)
  }
  /// Empties the file.
  ///
  /// Not done before everything else was found to be right, so that a mistyped target costs nobody his results.
  final func clear() {
    file.truncate(to: 0)
    size = 0
  }
  /// Takes the file away again where this run has made it and has written nothing.
  final func removeIfNew() {
    guard isNew && size == 0 else { return }
    Files.remove(path)
    originFile.remove()
  }
  /// Appends a row, whole or not at all.
  final func append(_ line: [UInt8], replaces: Bool) throws(SystemError) { try append(line, replacing: replaces ? 1 : 0) }
  /// Appends rows, all or none, of which so many take the place of others.
  final func append(_ lines: [UInt8], replacing count: Int) throws(SystemError) {
    do throws(SystemError) { try file.writeAll(lines) } catch {
      file.truncate(to: size)
      throw error
    }
    size += lines.count
    if count > 0 {
      hasReplacements = true
      failuresLeft -= count
    }
  }
  /// Leaves one row an input, and the rows in the order of the inputs where that is wished.
  final func tidy(inOrder: Bool) throws(SystemError) {
    guard hasReplacements || inOrder else { return }
    let temporary = temporaryPath
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
