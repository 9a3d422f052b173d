/// An unkeyed container of a flat message.
struct FlatUnkeyedEncodingContainer: UnkeyedEncodingContainer {
  let writer: FlatWriter
  let handle: FlatWriter.Handle

  var codingPath: [any CodingKey] { writer.codingPath(of: handle) }
  var count: Int { writer.count(of: handle) }

  mutating func encodeNil() throws {
    try writer.beginElement(handle)
    writer.buffer.append(byte: WireTag.null.rawValue)
  }

  mutating func encode(_ value: Bool) throws { try write(value) }
  mutating func encode(_ value: String) throws { try write(value) }
  mutating func encode(_ value: Double) throws { try write(value) }
  mutating func encode(_ value: Float) throws { try write(value) }
  mutating func encode(_ value: Int) throws { try write(value) }
  mutating func encode(_ value: Int8) throws { try write(value) }
  mutating func encode(_ value: Int16) throws { try write(value) }
  mutating func encode(_ value: Int32) throws { try write(value) }
  mutating func encode(_ value: Int64) throws { try write(value) }
  mutating func encode(_ value: Int128) throws { try write(value) }
  mutating func encode(_ value: UInt) throws { try write(value) }
  mutating func encode(_ value: UInt8) throws { try write(value) }
  mutating func encode(_ value: UInt16) throws { try write(value) }
  mutating func encode(_ value: UInt32) throws { try write(value) }
  mutating func encode(_ value: UInt64) throws { try write(value) }
  mutating func encode(_ value: UInt128) throws { try write(value) }

  mutating func encode<Value: Encodable>(_ value: Value) throws {
    try writer.beginElement(handle)
    try writer.append(value)
  }

  mutating func encode(contentsOf values: some Sequence<Bool>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Double>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Float>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int8>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int16>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int32>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int64>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt8>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt16>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt32>) throws { try write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt64>) throws { try write(contentsOf: values) }

  mutating func nestedContainer<NestedKey: CodingKey>(keyedBy type: NestedKey.Type) -> KeyedEncodingContainer<NestedKey> {
    writer.keyedContainer(open(.keyed))
  }

  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    FlatUnkeyedEncodingContainer(writer: writer, handle: open(.unkeyed))
  }

  mutating func superEncoder() -> any Encoder {
    guard (try? writer.beginElement(handle)) != nil else { return FlatEncoder(writer, start: -1, depth: 0) }
    return FlatEncoder(writer, start: writer.promise(), depth: writer.depth)
  }

  @inline(__always)
  private func write(_ value: some WireScalar) throws {
    try writer.beginElement(handle)
    value.write(to: writer.buffer)
  }

  /// Numbers that come as a sequence, as those of Foundation's Data do, travel as one block.
  private func write<Element: BlockElement>(contentsOf values: some Sequence<Element>) throws {
    let array = Array(values)
    if array.isEmpty { return try writer.enter(handle) }
    if try writer.replaceContainer(handle, by: array) { return }
    for value in array { try write(value) }
  }

  private func open(_ tag: WireTag) -> FlatWriter.Handle {
    guard (try? writer.beginElement(handle)) != nil else { return .dead }
    return writer.open(tag, at: writer.buffer.count, depth: writer.depth)
  }
}
