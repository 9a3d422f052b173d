/// One place of a flat message: what `encode(to:)` of the value there gets, and its single value container.
///
/// Three words, so that an existential holds it without an allocation.
struct FlatEncoder: Encoder, SingleValueEncodingContainer {
  let writer: FlatWriter
  /// Where the value's tag goes.
  let start: Int
  /// How many containers surround the value.
  let depth: Int

  var codingPath: [any CodingKey] { writer.codingPath(ofValueAt: start, depth: depth) }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    writer.keyedContainer(writer.open(.keyed, at: start, depth: depth))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    FlatUnkeyedEncodingContainer(writer: writer, handle: writer.open(.unkeyed, at: start, depth: depth))
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { self }

  func encodeNil() throws {
    try writer.claim(start, depth: depth)
    writer.buffer.append(byte: WireTag.null.rawValue)
  }

  func encode(_ value: Bool) throws { try write(value) }
  func encode(_ value: String) throws { try write(value) }
  func encode(_ value: Double) throws { try write(value) }
  func encode(_ value: Float) throws { try write(value) }
  func encode(_ value: Int) throws { try write(value) }
  func encode(_ value: Int8) throws { try write(value) }
  func encode(_ value: Int16) throws { try write(value) }
  func encode(_ value: Int32) throws { try write(value) }
  func encode(_ value: Int64) throws { try write(value) }
  func encode(_ value: Int128) throws { try write(value) }
  func encode(_ value: UInt) throws { try write(value) }
  func encode(_ value: UInt8) throws { try write(value) }
  func encode(_ value: UInt16) throws { try write(value) }
  func encode(_ value: UInt32) throws { try write(value) }
  func encode(_ value: UInt64) throws { try write(value) }
  func encode(_ value: UInt128) throws { try write(value) }

  func encode<Value: Encodable>(_ value: Value) throws {
    if let block = writer.blockType(for: Value.self) {
      try writer.claim(start, depth: depth)
      writer.append(block: reinterpret(value, as: block))
    } else {
      try writer.call(value, at: start, depth: depth)
    }
  }

  @inline(__always)
  private func write(_ value: some WireScalar) throws {
    try writer.claim(start, depth: depth)
    value.write(to: writer.buffer)
  }
}
