import HeddlePython

/// What an input is known by from one run to the next: its value, not its line number, so that a list that was sorted or has grown since
/// is no danger.
///
/// Two hashes of 64 bits: that two of ten million inputs are taken for one happens once in 10^24 runs.
struct InputKey: Hashable {
  private let first: UInt64
  private let second: UInt64

  init(_ value: MarshaledValue) { self.init(value.bytes) }
  /// What a table shows of the input.
  init(cell: String) { self.init(Array(cell.utf8)) }
  private init(_ bytes: [UInt8]) {
    var hasher = Hasher()
    hasher.combine(bytes.count)
    unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    first = UInt64(bitPattern: Int64(hasher.finalize()))
    hasher = Hasher()
    hasher.combine(first)
    unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
    second = UInt64(bitPattern: Int64(hasher.finalize()))
  }
}

/// How often each input has a row in the output file, and which inputs a run that goes on with it has to run.
///
/// An input that is named twice has two rows. Which of the two a row belongs to does not matter: they are the same call.
struct Ledger {
  private struct Counts {
    var successes: Int32 = 0
    var failures: Int32 = 0
  }
  private var counts: [InputKey: Counts] = [:]
  /// Rows that count.
  private(set) var successes = 0
  private(set) var failures = 0

  /// What is done with an input.
  enum Decision: Equatable {
    /// It has its row.
    case skip
    /// `replaces`: it has a failed row, which counts no more when this one is there.
    case run(replaces: Bool)
  }

  /// Takes in a row of the file, from its start to its end.
  mutating func add(_ key: InputKey, succeeded: Bool, replaces: Bool) {
    var entry = counts[key] ?? Counts()
    if replaces, entry.failures > 0 {
      entry.failures -= 1
      failures -= 1
    }
    if succeeded {
      entry.successes += 1
      successes += 1
    } else {
      entry.failures += 1
      failures += 1
    }
    counts[key] = entry
  }

  /// Decides about the next input and forgets one row of it.
  mutating func decide(_ key: InputKey, onlyFailed: Bool) -> Decision {
    guard var entry = counts[key] else { return onlyFailed ? .skip : .run(replaces: false) }
    defer { counts[key] = entry }
    if entry.successes > 0 {
      entry.successes -= 1
      return .skip
    }
    if entry.failures > 0 {
      entry.failures -= 1
      return .run(replaces: true)
    }
    return onlyFailed ? .skip : .run(replaces: false)
  }
}
