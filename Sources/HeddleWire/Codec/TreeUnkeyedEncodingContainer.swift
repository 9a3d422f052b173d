/// An unkeyed container of a tree.
struct TreeUnkeyedEncodingContainer: UnkeyedEncodingContainer {
  let context: TreeContext
  let node: TreeNode
  let codingPath: [any CodingKey]

  var count: Int { node.count }

  mutating func encodeNil() throws { node.append(TreeNode(.null)) }

  mutating func encode(_ value: Bool) throws { write(value) }
  mutating func encode(_ value: String) throws { write(value) }
  mutating func encode(_ value: Double) throws { write(value) }
  mutating func encode(_ value: Float) throws { write(value) }
  mutating func encode(_ value: Int) throws { write(value) }
  mutating func encode(_ value: Int8) throws { write(value) }
  mutating func encode(_ value: Int16) throws { write(value) }
  mutating func encode(_ value: Int32) throws { write(value) }
  mutating func encode(_ value: Int64) throws { write(value) }
  mutating func encode(_ value: Int128) throws { write(value) }
  mutating func encode(_ value: UInt) throws { write(value) }
  mutating func encode(_ value: UInt8) throws { write(value) }
  mutating func encode(_ value: UInt16) throws { write(value) }
  mutating func encode(_ value: UInt32) throws { write(value) }
  mutating func encode(_ value: UInt64) throws { write(value) }
  mutating func encode(_ value: UInt128) throws { write(value) }

  mutating func encode<Value: Encodable>(_ value: Value) throws {
    node.append(try context.node(for: value, codingPath: nextPath))
  }

  mutating func encode(contentsOf values: some Sequence<Bool>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Double>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Float>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int8>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int16>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int32>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<Int64>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt8>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt16>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt32>) throws { write(contentsOf: values) }
  mutating func encode(contentsOf values: some Sequence<UInt64>) throws { write(contentsOf: values) }

  mutating func nestedContainer<NestedKey: CodingKey>(keyedBy type: NestedKey.Type) -> KeyedEncodingContainer<NestedKey> {
    nextEncoder().container(keyedBy: type)
  }

  mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer { nextEncoder().unkeyedContainer() }

  mutating func superEncoder() -> any Encoder { nextEncoder() }

  private var nextPath: [any CodingKey] { codingPath + [WireKey(index: node.count)] }

  private func write(_ value: some WireScalar) { node.append(TreeNode(.scalar(value))) }

  /// A sequence of numbers stays in one piece where it is the first content.
  private func write<Element: BlockElement>(contentsOf values: some Sequence<Element>) {
    let array = Array(values)
    if case .unkeyed(let elements) = node.content, elements.isEmpty, !array.isEmpty {
      node.content = .block(array)
    } else {
      for value in array { write(value) }
    }
  }

  private func nextEncoder() -> TreeEncoder {
    let path = nextPath
    let child = TreeNode()
    node.append(child)
    return TreeEncoder(context: context, node: child, codingPath: path)
  }
}
