/// The encoder's keys: a symbol for each key string that it has met, and the number that a symbol has in the message being written.
///
/// Symbols outlive a message so that the usual key costs two loads and no hash; numbers are given anew in each message, in order of first
/// use, because a message must stand alone. Keys without bound (those of dictionaries) pass through here too, so a table that grew past
/// its limits is emptied before the next message.
final class SymbolTable {
  private struct Symbol {
    /// Where the table's entry for this key lies in `text`.
    let textStart: Int
    let textEnd: Int
    /// The message that `number` belongs to.
    var message: UInt64 = 0
    var number = 0
    /// Serial of the frame that wrote this key last; see `FlatWriter.isRepeated(_:in:)`.
    var frame: UInt64 = 0
  }

  /// Most symbols kept between messages.
  ///
  /// A program has this many keys in its types seldom; a dictionary has them soon.
  private static let symbolLimit = 1_024
  /// Most text kept between messages.
  ///
  /// Unit: bytes.
  private static let textLimit = 65_536

  private struct State {
    var message: UInt64 = 0
    /// How many keys this message has, and the bytes of their entries.
    var usedCount = 0
    var usedByteCount = 0
  }

  private let state = Cell(State())
  private let symbols = PlainArray<Symbol>()
  private var names: ContiguousArray<String> = []
  /// The symbols of this message, and behind them leftovers of others; a symbol's number is its place.
  private let used = PlainArray<Int>()
  private var indexes: [String: Int] = [:]
  private let text = WriteBuffer()
  private let memos = ObjectTable<KeyMemo>()

  /// Forgets the numbers of the last message, and the symbols where they became many.
  func beginMessage() {
    state.value.message &+= 1
    state.value.usedCount = 0
    state.value.usedByteCount = 0
    if used.count > Self.symbolLimit { used.removeAll() }
    guard symbols.count > Self.symbolLimit || text.count > Self.textLimit else { return }
    symbols.removeAll()
    names.removeAll()
    indexes.removeAll()
    text.removeAll()
    memos.forEach { memo in memo.removeAll() }
  }

  /// What is known about the keys of a type; this table keeps it.
  @inline(__always)
  func memo<Key: CodingKey>(for type: Key.Type) -> Unmanaged<KeyMemo> {
    unsafe memos.object(for: type) { KeyMemo(for: type) }
  }

  func symbol(named name: String) -> Int {
    if let known = indexes[name] { return known }
    let start = text.count
    text.append(utf8: name)
    names.append(name)
    symbols.append(Symbol(textStart: start, textEnd: text.count))
    indexes[name] = symbols.count - 1
    return symbols.count - 1
  }

  func name(of symbol: Int) -> String {
    names[symbol]
  }

  /// The number of a symbol in this message, the next free one at its first use.
  @inline(__always)
  func number(of symbol: Int) -> Int {
    if symbols[symbol].message == state.value.message { return symbols[symbol].number }
    let number = state.value.usedCount
    symbols[symbol].message = state.value.message
    symbols[symbol].number = number
    symbols[symbol].frame = 0
    state.value.usedCount = number &+ 1
    state.value.usedByteCount &+= symbols[symbol].textEnd &- symbols[symbol].textStart
    if number < used.count { used[number] = symbol } else { used.append(symbol) }
    return number
  }

  /// How many keys this message has so far.
  var usedCount: Int { state.value.usedCount }
  /// Takes the numbers of the keys behind the first `count` back: what used them is not in the message.
  func takeBack(to count: Int) {
    for number in count..<state.value.usedCount {
      let symbol = used[number]
      symbols[symbol].message = 0
      state.value.usedByteCount &-= symbols[symbol].textEnd &- symbols[symbol].textStart
    }
    state.value.usedCount = count
  }

  /// Notes that a frame writes this key now, and returns the serial of the frame that did so last, 0 where none did in this message.
  func noteUse(of symbol: Int, by frame: UInt64) -> UInt64 {
    let previous = symbols[symbol].frame
    symbols[symbol].frame = frame
    return previous
  }

  /// The size of the table that this message has so far, at most.
  ///
  /// Unit: bytes.
  var tableByteCount: Int { state.value.usedByteCount + 5 }
  /// Appends how many keys the message has and their strings, in order of their numbers.
  func appendTable(to buffer: borrowing WriteBuffer) {
    buffer.append(varint: UInt64(state.value.usedCount))
    for number in 0..<state.value.usedCount {
      let symbol = symbols[used[number]]
      // SAFETY: the range was written by `symbol(named:)`, and `text` only grows until it is emptied together with the symbols.
      unsafe buffer.append(contentsOf: UnsafeRawBufferPointer(rebasing: text.bytes[symbol.textStart..<symbol.textEnd]))
    }
  }
}

/// Which symbols the keys of one `CodingKey` type have.
///
/// A synthesized key type without payload is one byte or none, and that byte names the case: the look-up is one load. Any other type is
/// expected to bring its keys in the order of last time, so that the look-up is one comparison.
final class KeyMemo {
  /// Whether the type's values are one byte at most, without references.
  let isByte: Bool
  /// For byte keys: the symbol by byte, -1 where not known yet.
  private let byteSymbols: PlainArray<Int>
  /// For other keys: names and symbols in order of first use, `sequenceLimit` at most.
  private var sequence: ContiguousArray<(name: String, symbol: Int)> = []

  /// Longest sequence remembered.
  ///
  /// Types with more keys than this are dictionaries, whose order changes anyway.
  private static let sequenceLimit = 64

  /// The box for the next container with keys of this type.
  @exclusivity(unchecked) var box = ContainerBox<FlatKeyedPlace>()

  init<Key: CodingKey>(for type: Key.Type) {
    // Equal bytes of such a value mean the same key, because it can refer to nothing else.
    isByte = MemoryLayout<Key>.size <= 1 && _isPOD(type)
    byteSymbols = PlainArray(repeating: -1, count: isByte ? 256 : 0)
  }

  /// Forgets the symbols; whoever has a container of these keys still has this memo.
  func removeAll() {
    for byte in 0..<byteSymbols.count { byteSymbols[byte] = -1 }
    sequence = []
  }

  /// The symbol of a key.
  /// - Parameter cursor: Where in the sequence the caller's container is; start at 0.
  @inline(__always)
  func symbol<Key: CodingKey>(of key: Key, at cursor: inout Int, in symbols: SymbolTable) -> Int {
    guard isByte else { return symbol(named: key.stringValue, at: &cursor, in: symbols) }
    let byte = byteValue(of: key)
    let known = byteSymbols[byte]
    if known >= 0 { return known }
    let symbol = symbols.symbol(named: key.stringValue)
    byteSymbols[byte] = symbol
    return symbol
  }

  private func symbol(named name: String, at cursor: inout Int, in symbols: SymbolTable) -> Int {
    if cursor < sequence.count, sequence[cursor].name == name {
      cursor += 1
      return sequence[cursor - 1].symbol
    }
    let symbol = symbols.symbol(named: name)
    if cursor == sequence.count, cursor < Self.sequenceLimit {
      sequence.append((name, symbol))
      cursor += 1
    }
    return symbol
  }
}

/// The only byte of a value whose type has one at most.
@inline(__always)
func byteValue<Value>(of value: Value) -> Int {
  if MemoryLayout<Value>.size == 0 { return 0 }
  // SAFETY: there is a byte.
  return unsafe withUnsafePointer(to: value) { pointer in unsafe Int(UnsafeRawPointer(pointer).load(as: UInt8.self)) }
}
