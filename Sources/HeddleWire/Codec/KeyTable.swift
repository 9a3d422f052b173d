/// The keys of a message, by number.
///
/// Messages of one type have the same table, so a decoder keeps the tables that it met last and finds one again by its bytes; what was
/// learned about the keys of a `CodingKey` type stays with its table.
final class KeyTable {
  /// The table as it lies in a message.
  private let text: WriteBuffer
  private let names: ContiguousArray<String>
  /// Numbers by name; made when a table with many keys is searched the first time.
  private var numbers: [String: Int] = [:]
  private let memos = ObjectTable<KeyNumbers>()

  /// Up to which size a table is searched one by one.
  private static let smallCount = 16

  /// The table without keys.
  init() {
    let text = WriteBuffer(capacity: 1)
    text.append(varint: 0)
    self.text = text
    names = []
  }

  /// Reads a table, which has to fill `bytes`.
  init(_ bytes: WireBytes) throws(ReadFailure) {
    var position = 0
    let count = try bytes.boundedVarint(at: &position)
    var names: ContiguousArray<String> = []
    names.reserveCapacity(count)
    for _ in 0..<count { names.append(try bytes.text(at: &position)) }
    guard position == bytes.count else { throw .corrupted("Bytes follow the key table.") }
    self.names = names
    let text = WriteBuffer(capacity: bytes.count)
    text.append(contentsOf: bytes)
    self.text = text
  }

  func has(text other: WireBytes) -> Bool {
    unsafe other.equals(text.bytes)
  }

  func name(of number: Int) throws(ReadFailure) -> String {
    guard number >= 0, number < names.count else { throw .corrupted("There is no key \(number).") }
    return names[number]
  }

  /// The number of a key, -1 where the message does not have it.
  func number(of name: String) -> Int {
    if names.count <= Self.smallCount { return names.firstIndex(of: name) ?? -1 }
    if numbers.isEmpty {
      numbers = Dictionary(zip(names, names.indices)) { first, _ in first }
    }
    return numbers[name] ?? -1
  }

  /// Which numbers the keys of a type have here; the table keeps that.
  @inline(__always)
  func numbers<Key: CodingKey>(for type: Key.Type) -> Unmanaged<KeyNumbers> {
    unsafe memos.object(for: type) { KeyNumbers(for: type) }
  }
}

/// Which numbers the keys of one `CodingKey` type have in one table; see `KeyMemo`.
final class KeyNumbers {
  /// Whether the type's values are one byte at most, without references.
  let isByte: Bool
  /// The number by byte; -1 where the table lacks the key, -2 where not known yet.
  private let byteNumbers: PlainArray<Int32>

  /// What is no number.
  static var unknown: Int { -2 }

  init<Key: CodingKey>(for type: Key.Type) {
    isByte = MemoryLayout<Key>.size <= 1 && _isPOD(type)
    byteNumbers = PlainArray(repeating: -2, count: isByte ? 256 : 0)
  }

  /// The number of a key of a type that `isByte`, -1 where the message does not have it.
  @inline(__always)
  func number(of key: some CodingKey, in reader: MessageReader) -> Int {
    let byte = byteValue(of: key)
    let known = byteNumbers[byte]
    if known >= -1 { return Int(known) }
    let number = reader.keys.number(of: key.stringValue)
    byteNumbers[byte] = Int32(truncatingIfNeeded: number)
    return number
  }
}
