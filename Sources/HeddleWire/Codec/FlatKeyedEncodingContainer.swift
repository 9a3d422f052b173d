/// What a keyed container of a flat message knows; see `ContainerBox`.
@safe final class FlatKeyedPlace {
  /// Whose container it is.
  ///
  /// SAFETY: writers are never freed.
  let writer: Unmanaged<FlatWriter>
  /// SAFETY: one of the writer's, which keeps its memos.
  let memo: Unmanaged<KeyMemo>
  @exclusivity(unchecked) var handle: FlatWriter.Handle
  /// Where in the memo's sequence the next key is expected.
  @exclusivity(unchecked) var cursor = 0

  init(writer: FlatWriter, memo: KeyMemo, handle: FlatWriter.Handle) {
    unsafe self.writer = .passUnretained(writer)
    unsafe self.memo = .passUnretained(memo)
    unsafe self.handle = handle
  }
}

/// A keyed container of a flat message.
struct FlatKeyedEncodingContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let place: FlatKeyedPlace

  private var writer: FlatWriter {
    @inline(__always) get { unsafe place.writer.takeUnretainedValue() }
  }
  private var handle: FlatWriter.Handle {
    @inline(__always) get { unsafe place.handle }
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
    writer.keyedContainer(open(.keyed, key))
  }

  mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    FlatUnkeyedEncodingContainer(writer: writer, handle: open(.unkeyed, key))
  }

  mutating func superEncoder() -> any Encoder {
    superEncoder(symbol: writer.symbols.symbol(named: WireKey.superKey.stringValue))
  }

  mutating func superEncoder(forKey key: Key) -> any Encoder {
    superEncoder(symbol: symbol(of: key))
  }

  @inline(__always)
  private func symbol(of key: Key) -> Int {
    unsafe place.writer._withUnsafeGuaranteedRef { writer in symbol(of: key, in: writer) }
  }

  @inline(__always)
  private func symbol(of key: Key, in writer: FlatWriter) -> Int {
    unsafe place.memo._withUnsafeGuaranteedRef { memo in unsafe memo.symbol(of: key, at: &place.cursor, in: writer.symbols) }
  }

  @inline(__always)
  private func begin(_ key: Key) throws {
    unsafe try place.writer._withUnsafeGuaranteedRef { writer in try writer.beginEntry(handle, symbol(of: key, in: writer)) }
  }

  @inline(__always)
  private func write(_ value: some WireScalar, _ key: Key) throws {
    unsafe try place.writer._withUnsafeGuaranteedRef { writer in
      try writer.beginEntry(handle, symbol(of: key, in: writer))
      value.write(to: writer.buffer)
    }
  }

  /// These calls cannot throw, so a violation gives a container whose first write throws.
  private func open(_ tag: WireTag, _ key: Key) -> FlatWriter.Handle {
    guard (try? begin(key)) != nil else { return .dead }
    return writer.open(tag, at: writer.buffer.count, depth: writer.depth)
  }

  private func superEncoder(symbol: Int) -> any Encoder {
    guard (try? writer.beginEntry(handle, symbol)) != nil else { return FlatEncoder(writer, start: -1, depth: 0) }
    return FlatEncoder(writer, start: writer.promise(), depth: writer.depth)
  }
}
