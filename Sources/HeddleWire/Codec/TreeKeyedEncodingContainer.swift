/// A keyed container of a tree.
struct TreeKeyedEncodingContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let context: TreeContext
  let node: TreeNode
  let codingPath: [any CodingKey]

  mutating func encodeNil(forKey key: Key) throws { node.set(TreeNode(.null), named: key.stringValue) }

  mutating func encode(_ value: Bool, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: String, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: Double, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: Float, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: Int, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: Int8, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: Int16, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: Int32, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: Int64, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: Int128, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: UInt, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: UInt8, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: UInt16, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: UInt32, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: UInt64, forKey key: Key) throws { write(value, key) }
  mutating func encode(_ value: UInt128, forKey key: Key) throws { write(value, key) }

  mutating func encode<Value: Encodable>(_ value: Value, forKey key: Key) throws {
    node.set(try context.node(for: value, codingPath: codingPath + [key]), named: key.stringValue)
  }

  /// Asked twice under one key, this gives the same container, as `JSONEncoder` does.
  mutating func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type, forKey key: Key
  ) -> KeyedEncodingContainer<NestedKey> {
    let child = node.value(named: key.stringValue) ?? TreeNode()
    node.set(child, named: key.stringValue)
    return TreeEncoder(context: context, node: child, codingPath: codingPath + [key]).container(keyedBy: type)
  }

  mutating func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    let child = node.value(named: key.stringValue) ?? TreeNode()
    node.set(child, named: key.stringValue)
    return TreeEncoder(context: context, node: child, codingPath: codingPath + [key]).unkeyedContainer()
  }

  mutating func superEncoder() -> any Encoder { superEncoder(under: WireKey.superKey) }

  mutating func superEncoder(forKey key: Key) -> any Encoder { superEncoder(under: key) }

  private func write(_ value: some WireScalar, _ key: Key) {
    node.set(TreeNode(.scalar(value)), named: key.stringValue)
  }

  private func superEncoder(under key: any CodingKey) -> any Encoder {
    let child = TreeNode()
    node.set(child, named: key.stringValue)
    return TreeEncoder(context: context, node: child, codingPath: codingPath + [key])
  }
}
