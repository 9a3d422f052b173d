import GRDB
import HeddlePython
import HeddleSystem

/// The `--output` file as an SQLite database, for those who query the result: a table `results`, one row an input.
///
/// Each row is a transaction of its own, so that it survives SIGKILL of the tool; one that takes the place of a failure removes that in
/// the same transaction. The table `origins` says what has made the rows. The lock against a second run is one on the file itself.
final class ResultDatabase: ResultStore {
  let path: String
  /// Held for the lock; opened before the database and closed after it, because closing it takes SQLite's own locks with it.
  private let lock: Descriptor
  private let isNew: Bool
  private var queue: DatabaseQueue?
  private(set) var ledger = Ledger()
  private(set) var failuresLeft = 0
  private(set) var origins: [Origin] = []
  private var isEmpty = true
  /// Marks the file as ours: "hddl".
  private static let applicationID = 0x6864_646c

  init(path: String, mode: ResultMode) throws {
    self.path = path
    isNew = !Files.exists(path)
    lock = try Descriptor.openResults(path, mode: mode)
    do { try open(reading: mode == .goOn) } catch let error as UsageError { throw error } catch {
      throw UsageError("\(path) cannot be used as a database: \(error)")
    }
  }

  private func open(reading: Bool) throws {
    var configuration = Configuration()
    // A reader elsewhere may hold it up for a moment.
    configuration.busyMode = .timeout(10)
    let queue = try DatabaseQueue(path: path, configuration: configuration)
    try queue.writeWithoutTransaction { database in
      let owner = try Int.fetchOne(database, sql: "PRAGMA application_id") ?? 0
      let tables = try Int.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master") ?? 0
      guard owner == Self.applicationID || tables == 0 else {
        throw UsageError("\(path) holds something else than results; name another file with --output")
      }
      try database.execute(sql: "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL")
      try database.inTransaction {
        try database.execute(
          sql: """
            PRAGMA application_id = \(Self.applicationID);
            CREATE TABLE IF NOT EXISTS results (
              id INTEGER PRIMARY KEY, "index" INTEGER NOT NULL, input TEXT NOT NULL, ok INTEGER NOT NULL, value, code TEXT, type TEXT,
              message TEXT, exit TEXT, traceback TEXT, seconds REAL NOT NULL, attempts INTEGER NOT NULL);
            CREATE INDEX IF NOT EXISTS failures ON results (input) WHERE ok = 0;
            CREATE TABLE IF NOT EXISTS origins (line TEXT PRIMARY KEY);
            """)
        return .commit
      }
      guard reading else { return }
      let rows = try GRDB.Row.fetchCursor(database, sql: "SELECT input, ok FROM results ORDER BY id")
      while let row = try rows.next() {
        ledger.add(InputKey(cell: row[0]), succeeded: row[1], replaces: false)
        isEmpty = false
      }
      origins = try String.fetchAll(database, sql: "SELECT line FROM origins").compactMap(Origin.init(line:))
    }
    failuresLeft = ledger.failures
    self.queue = queue
  }

  var knowsCells: Bool { true }
  func note(_ origin: Origin) {
    // As beside the other kinds of files: never a reason not to run.
    try? queue?.write { database in
      if isEmpty { try database.execute(sql: "DELETE FROM origins") }
      try database.execute(sql: "INSERT OR IGNORE INTO origins VALUES (?)", arguments: [origin.line])
    }
  }
  func clear() throws(SystemError) {
    try perform { try $0.execute(sql: "DELETE FROM results; DELETE FROM origins") }
    isEmpty = true
  }
  func removeIfNew() {
    guard isNew, isEmpty else { return }
    try? queue?.close()
    queue = nil
    for suffix in ["", "-wal", "-shm"] { Files.remove(path + suffix) }
  }

  func append(_ row: Row) throws(SystemError) {
    let cell = row.inputCell
    let failure = row.failure
    try perform { database in
      if row.replaces {
        try database.execute(
          sql: "DELETE FROM results WHERE id = (SELECT id FROM results WHERE input = ? AND ok = 0 ORDER BY id LIMIT 1)", arguments: [cell])
      }
      try database.cachedStatement(
        sql: """
          INSERT INTO results ("index", input, ok, value, code, type, message, exit, traceback, seconds, attempts)
          VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
          """
      ).execute(arguments: [
        row.input.index, cell, failure == nil, Self.value(of: row), failure?.code, failure?.type, failure?.message, failure?.exit,
        failure?.traceback, row.seconds, row.attempts,
      ])
    }
    isEmpty = false
    if row.replaces { failuresLeft -= 1 }
  }
  /// Numbers and texts as themselves, anything else as JSON.
  private static func value(of row: Row) -> DatabaseValue? {
    guard let value = row.value else { return nil }
    let decoder = MarshalDecoder()
    switch value.kind {
    case .none: return .null
    case .bool(let flag): return flag.databaseValue
    case .integer: if let number = try? decoder.decode(Int64.self, from: value.bytes) { return number.databaseValue }
    case .double: if let number = try? decoder.decode(Double.self, from: value.bytes), number.isFinite { return number.databaseValue }
    default: break
    }
    return row.valueCell?.databaseValue
  }

  func tidy(inOrder: Bool) throws(SystemError) {
    do {
      if inOrder {
        try perform { database in
          try database.execute(
            sql: """
              CREATE TEMP TABLE places AS SELECT id, row_number() OVER (ORDER BY "index", id) AS place FROM results;
              UPDATE results SET id = -(SELECT place FROM places WHERE places.id = results.id);
              UPDATE results SET id = -id;
              DROP TABLE places;
              """)
        }
      }
      // One file is left, which any SQLite reads.
      try queue?.writeWithoutTransaction { database in
        try database.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE); PRAGMA journal_mode = DELETE")
      }
      try queue?.close()
      queue = nil
    } catch let error as SystemError { throw error } catch { throw Self.systemError(error) }
  }

  private func perform(_ changes: (Database) throws -> Void) throws(SystemError) {
    do { try queue?.write(changes) } catch { throw Self.systemError(error) }
  }
  private static func systemError(_ error: any Error) -> SystemError {
    if let error = error as? DatabaseError, error.resultCode == .SQLITE_FULL { return .diskFull("write") }
    return .inputOutput("write to the database (\(error))")
  }
}
