/// A keyed container of a flat message.
struct FlatKeyedEncodingContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
  private let writer: FlatWriter
  private let memo: KeyMemo
  private let handle: FlatWriter.Handle
  /// Where in the memo's sequence the next key is expected.
  private var cursor = 0

  init(writer: FlatWriter, handle: FlatWriter.Handle) {
    self.writer = writer
    self.handle = handle
    memo = writer.symbols.memo(for: Key.self)
  }

  var codingPath: [any CodingKey] { writer.codingPath(of: handle) }

  mutating func encodeNil(forKey key: Key) throws {
    try begin(key)
    writer.buffer.append(byte: WireTag.null.rawValue)
  }

  mutating func encode(_ value: Bool, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: String, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: Double, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: Float, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: Int, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: Int8, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: Int16, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: Int32, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: Int64, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: Int128, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: UInt, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: UInt8, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: UInt16, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: UInt32, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: UInt64, forKey key: Key) throws { try write(value, key) }
  mutating func encode(_ value: UInt128, forKey key: Key) throws { try write(value, key) }

  mutating func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
    try begin(key)
    try writer.append(value)
  }

  mutating func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type, forKey key: Key
  ) -> KeyedEncodingContainer<NestedKey> {
    KeyedEncodingContainer(FlatKeyedEncodingContainer<NestedKey>(writer: writer, handle: open(.keyed, key)))
  }

  mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    FlatUnkeyedEncodingContainer(writer: writer, handle: open(.unkeyed, key))
  }

  mutating func superEncoder() -> any Encoder {
    superEncoder(symbol: writer.symbols.symbol(named: WireKey.superKey.stringValue))
  }

  mutating func superEncoder(forKey key: Key) -> any Encoder {
    superEncoder(symbol: memo.symbol(of: key, at: &cursor, in: writer.symbols))
  }

  @inline(__always)
  private mutating func begin(_ key: Key) throws {
    try writer.beginEntry(handle, memo.symbol(of: key, at: &cursor, in: writer.symbols))
  }

  @inline(__always)
  private mutating func write(_ value: some WireScalar, _ key: Key) throws {
    try begin(key)
    value.write(to: writer.buffer)
  }

  /// These calls cannot throw, so a violation gives a container whose first write throws.
  private mutating func open(_ tag: WireTag, _ key: Key) -> FlatWriter.Handle {
    guard (try? begin(key)) != nil else { return .dead }
    return writer.open(tag, at: writer.buffer.count, depth: writer.depth)
  }

  private func superEncoder(symbol: Int) -> any Encoder {
    guard (try? writer.beginEntry(handle, symbol)) != nil else { return FlatEncoder(writer: writer, start: -1, depth: 0) }
    return FlatEncoder(writer: writer, start: writer.promise(), depth: writer.depth)
  }
}
