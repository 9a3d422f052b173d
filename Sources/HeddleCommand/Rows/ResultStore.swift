import HeddleSystem

/// Where the rows of a run go, and what a later run finds there: one row an input, locked against a second run, right at every moment.
protocol ResultStore: AnyObject {
  var path: String { get }
  /// The rows that were there.
  var ledger: Ledger { get }
  /// Rows of failures that are there and that no row replaces.
  var failuresLeft: Int { get }
  /// Whether the ledger knows an input by what a table shows of it, and not by its value.
  var knowsCells: Bool { get }
  /// What has made the rows that were there, as far as it is known.
  var origins: [Origin] { get }
  /// Notes what makes the rows from here on.
  func note(_ origin: Origin)
  /// Takes all rows away.
  ///
  /// Not done before everything else was found to be right, so that a mistyped target costs nobody his results.
  func clear() throws(SystemError)
  /// Takes itself away again where this run has made it and has written nothing.
  func removeIfNew()
  /// Adds a row, whole or not at all.
  func append(_ row: Row) throws(SystemError)
  /// Adds rows until one cannot be added.
  func append(_ rows: [Row]) -> RowsWritten
  /// Sees to it that all that was added is there, leaves one row an input, and in the order of the inputs where that is wished.
  func tidy(inOrder: Bool) throws(SystemError)
}

extension ResultStore {
  func append(_ rows: [Row]) -> RowsWritten {
    RowsWritten(of: rows) { (row) throws(SystemError) in try append(row) }
  }
}

/// How far the writing of some rows came.
struct RowsWritten {
  /// So many, from the first on, are there.
  var count: Int
  /// Why the next is not.
  var error: SystemError?

  init(count: Int) { self.count = count }
  /// Writes one after another.
  init(of rows: [Row], write: (Row) throws(SystemError) -> Void) {
    count = 0
    do throws(SystemError) {
      for row in rows {
        try write(row)
        count += 1
      }
    } catch { self.error = error }
  }
}

/// What to do with results that are there.
enum ResultMode {
  /// Refuse them.
  case create
  /// Take them away.
  case overwrite
  /// Keep them and add to them.
  case goOn
}

extension InputKey {
  init(_ input: Input, asCell: Bool) {
    self = asCell ? InputKey(cell: Row.cell(of: input)) : InputKey(input.value)
  }
}
