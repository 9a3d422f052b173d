import FoundationEssentials
import Heddle

/// Encodes any `Encodable` value as CPython's `marshal` does, version 2: what has keys as a `dict` with `str` keys, what has none as a
/// `list`, `Data` and `[UInt8]` as `bytes`, integers of any width as `int`, and `URL` and `Decimal` as `str`.
///
/// Of a `SharedBuffer` it is written where it lies; its memory travels beside the message. Containers may be asked for and filled in any order, as with `JSONEncoder`: each is a node of its own, and the nodes are written
/// into one another at the end.
package struct MarshalEncoder {
  package init() {}

  /// The value's bytes.
  ///
  /// - Throws: What the value's own `encode(to:)` throws; `EncodingError` where it nests deeper than `MarshalLimit.depth`.
  package func encode(_ value: some Encodable) throws -> [UInt8] {
    var writer = MarshalWriter()
    try encode(value, into: &writer)
    return writer.bytes
  }
  /// Appends the value to what `writer` has.
  package func encode(_ value: some Encodable, into writer: inout MarshalWriter) throws {
    if try !writer.writeKnown(value) {
      let node = MarshalNode()
      try value.encode(to: NodeEncoder(node: node, path: nil))
      node.write(into: &writer)
    }
  }
}

/// A value that is being encoded: bytes that stand already, and between them nodes that are not finished.
private final class MarshalNode {
  enum Kind {
    /// Nothing was asked for. Written as an empty dictionary. Next: any other.
    case untouched
    case single
    case list
    case dictionary
    case part(SharedPart)
  }
  var kind = Kind.untouched
  var writer = MarshalWriter()
  /// Elements of a list.
  var count = 0
  /// The unfinished ones: where they belong in the bytes, and under which key.
  var children: [(offset: Int, key: String?, node: MarshalNode)] = []

  var isDictionary: Bool {
    switch kind {
    case .untouched, .dictionary: true
    case .single, .list, .part: false
    }
  }

  func makeChild(key: String?) -> MarshalNode {
    let node = MarshalNode()
    children.append((writer.bytes.count, key, node))
    return node
  }
  /// Forgets what was written: a single value replaces the one before it.
  func reset(to kind: Kind) {
    self.kind = kind
    writer = MarshalWriter()
    children = []
    count = 0
  }

  func write(into output: inout MarshalWriter) {
    switch kind {
    case .single: break
    case .part(let part): return output.write(part)
    case .list: output.beginList(count: count)
    case .untouched, .dictionary: output.beginDictionary()
    }
    var written = 0
    for child in children {
      output.append(marshaled: writer.bytes[written..<child.offset])
      child.node.write(into: &output)
      written = child.offset
    }
    output.append(marshaled: writer.bytes[written...])
    if isDictionary { output.endDictionary() }
  }
}

private struct NodeEncoder: Encoder {
  let node: MarshalNode
  let path: CodingStep?
  var codingPath: [any CodingKey] { path?.keys ?? [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if case .dictionary = node.kind {} else { node.reset(to: .dictionary) }
    return KeyedEncodingContainer(KeyedNodeContainer<Key>(node: node, path: path))
  }
  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if case .list = node.kind {} else { node.reset(to: .list) }
    return UnkeyedNodeContainer(node: node, path: path)
  }
  func singleValueContainer() -> any SingleValueEncodingContainer { SingleNodeContainer(node: node, path: path) }
}

extension NodeEncoder: SharedPartEncoder {
  func encode(_ part: SharedPart) { node.reset(to: .part(part)) }
}

/// Encodes a value that is no primitive into a node of its own.
private func encode(_ value: some Encodable, as node: MarshalNode, path: CodingStep?) throws {
  if path?.depth ?? 0 > MarshalLimit.depth {
    throw EncodingError.invalidValue(
      value, .init(codingPath: [], debugDescription: "the value nests deeper than \(MarshalLimit.depth); pass something flatter"))
  }
  try value.encode(to: NodeEncoder(node: node, path: path))
}

private struct SingleNodeContainer: SingleValueEncodingContainer {
  let node: MarshalNode
  let path: CodingStep?
  var codingPath: [any CodingKey] { path?.keys ?? [] }

  private func write(_ body: (inout MarshalWriter) -> Void) {
    node.reset(to: .single)
    body(&node.writer)
  }
  func encodeNil() { write { $0.writeNone() } }
  func encode(_ value: Bool) { write { $0.write(value) } }
  func encode(_ value: String) { write { $0.write(value) } }
  func encode(_ value: Double) { write { $0.write(value) } }
  func encode(_ value: Float) { write { $0.write(Double(value)) } }
  func encode(_ value: Int) { write { $0.write(value) } }
  func encode(_ value: Int8) { write { $0.write(value) } }
  func encode(_ value: Int16) { write { $0.write(value) } }
  func encode(_ value: Int32) { write { $0.write(value) } }
  func encode(_ value: Int64) { write { $0.write(value) } }
  func encode(_ value: Int128) { write { $0.write(value) } }
  func encode(_ value: UInt) { write { $0.write(value) } }
  func encode(_ value: UInt8) { write { $0.write(value) } }
  func encode(_ value: UInt16) { write { $0.write(value) } }
  func encode(_ value: UInt32) { write { $0.write(value) } }
  func encode(_ value: UInt64) { write { $0.write(value) } }
  func encode(_ value: UInt128) { write { $0.write(value) } }
  func encode(_ value: some Encodable) throws {
    var writer = MarshalWriter()
    if try writer.writeKnown(value) {
      node.reset(to: .single)
      node.writer = writer
    } else {
      // The value takes this place itself: what it asks for is this node's.
      node.reset(to: .untouched)
      try HeddlePython.encode(value, as: node, path: path)
    }
  }
}

private struct UnkeyedNodeContainer: UnkeyedEncodingContainer {
  let node: MarshalNode
  let path: CodingStep?
  var codingPath: [any CodingKey] { path?.keys ?? [] }
  var count: Int { node.count }

  private func write(_ body: (inout MarshalWriter) -> Void) {
    node.count += 1
    body(&node.writer)
  }
  private func child() -> (MarshalNode, CodingStep) {
    let step = CodingStep(parent: path, key: IndexKey(node.count))
    node.count += 1
    return (node.makeChild(key: nil), step)
  }
  func encodeNil() { write { $0.writeNone() } }
  func encode(_ value: Bool) { write { $0.write(value) } }
  func encode(_ value: String) { write { $0.write(value) } }
  func encode(_ value: Double) { write { $0.write(value) } }
  func encode(_ value: Float) { write { $0.write(Double(value)) } }
  func encode(_ value: Int) { write { $0.write(value) } }
  func encode(_ value: Int8) { write { $0.write(value) } }
  func encode(_ value: Int16) { write { $0.write(value) } }
  func encode(_ value: Int32) { write { $0.write(value) } }
  func encode(_ value: Int64) { write { $0.write(value) } }
  func encode(_ value: Int128) { write { $0.write(value) } }
  func encode(_ value: UInt) { write { $0.write(value) } }
  func encode(_ value: UInt8) { write { $0.write(value) } }
  func encode(_ value: UInt16) { write { $0.write(value) } }
  func encode(_ value: UInt32) { write { $0.write(value) } }
  func encode(_ value: UInt64) { write { $0.write(value) } }
  func encode(_ value: UInt128) { write { $0.write(value) } }
  func encode(_ value: some Encodable) throws {
    if try node.writer.writeKnown(value) {
      node.count += 1
    } else {
      let (child, step) = child()
      try HeddlePython.encode(value, as: child, path: step)
    }
  }
  func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    let (child, step) = child()
    return NodeEncoder(node: child, path: step).container(keyedBy: type)
  }
  func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
    let (child, step) = child()
    return NodeEncoder(node: child, path: step).unkeyedContainer()
  }
  func superEncoder() -> any Encoder {
    let (child, step) = child()
    return NodeEncoder(node: child, path: step)
  }
}

private struct KeyedNodeContainer<Key: CodingKey>: KeyedEncodingContainerProtocol {
  let node: MarshalNode
  let path: CodingStep?
  var codingPath: [any CodingKey] { path?.keys ?? [] }

  private func write(_ key: Key, _ body: (inout MarshalWriter) -> Void) {
    node.writer.write(key.stringValue)
    body(&node.writer)
  }
  /// The node under a key: the one that is there, as two containers under one key are one.
  private func child(_ key: some CodingKey, shared: Bool) -> (MarshalNode, CodingStep) {
    let step = CodingStep(parent: path, key: key)
    let name = key.stringValue
    if shared, let known = node.children.last(where: { $0.key == name }) { return (known.node, step) }
    node.writer.write(name)
    return (node.makeChild(key: name), step)
  }
  func encodeNil(forKey key: Key) { write(key) { $0.writeNone() } }
  func encode(_ value: Bool, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: String, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: Double, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: Float, forKey key: Key) { write(key) { $0.write(Double(value)) } }
  func encode(_ value: Int, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: Int8, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: Int16, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: Int32, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: Int64, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: Int128, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: UInt, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: UInt8, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: UInt16, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: UInt32, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: UInt64, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: UInt128, forKey key: Key) { write(key) { $0.write(value) } }
  func encode(_ value: some Encodable, forKey key: Key) throws {
    var writer = MarshalWriter()
    if try writer.writeKnown(value) {
      node.writer.write(key.stringValue)
      node.writer.append(marshaled: writer.bytes)
    } else {
      let (child, step) = child(key, shared: false)
      try HeddlePython.encode(value, as: child, path: step)
    }
  }
  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) -> KeyedEncodingContainer<Nested> {
    let (child, step) = child(key, shared: true)
    return NodeEncoder(node: child, path: step).container(keyedBy: type)
  }
  func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
    let (child, step) = child(key, shared: true)
    return NodeEncoder(node: child, path: step).unkeyedContainer()
  }
  func superEncoder() -> any Encoder { superEncoder(key: SuperKey()) }
  func superEncoder(forKey key: Key) -> any Encoder { superEncoder(key: key) }
  private func superEncoder(key: some CodingKey) -> any Encoder {
    let (child, step) = child(key, shared: false)
    return NodeEncoder(node: child, path: step)
  }
}

extension MarshalWriter {
  /// Writes a value whose type needs no container of its own, or is written otherwise than its own `encode(to:)` would.
  ///
  /// - Returns: Whether it was one.
  fileprivate mutating func writeKnown<T: Encodable>(_ value: T) throws -> Bool {
    if let value = cast(value, String.self) { write(value); return true }
    if let value = cast(value, Int.self) { write(value); return true }
    if let value = cast(value, Double.self) { write(value); return true }
    if let value = cast(value, Bool.self) { write(value); return true }
    if let value = cast(value, Float.self) { write(Double(value)); return true }
    if let value = cast(value, Int32.self) { write(value); return true }
    if let value = cast(value, UInt8.self) { write(value); return true }
    if let value = cast(value, Int64.self) { write(value); return true }
    if let value = cast(value, UInt64.self) { write(value); return true }
    if let value = cast(value, [UInt8].self) { write(bytes: value); return true }
    if let value = cast(value, Data.self) { write(bytes: value); return true }
    if let value = cast(value, [Double].self) { write(doubles: value); return true }
    if let value = cast(value, [Float].self) { write(doubles: value.lazy.map(Double.init)); return true }
    if let value = cast(value, [Int].self) { write(integers: value); return true }
    if let value = cast(value, [Int32].self) { write(integers: value); return true }
    if let value = cast(value, [Int64].self) { write(integers: value); return true }
    if let value = cast(value, [UInt32].self) { write(integers: value); return true }
    if let value = cast(value, [String].self) {
      beginList(count: value.count)
      for element in value { write(element) }
      return true
    }
    if let value = cast(value, PythonValue.self) { try write(value); return true }
    if let value = cast(value, MarshaledValue.self) { append(marshaled: value.bytes); return true }
    if let value = cast(value, URL.self) { write(value.absoluteString); return true }
    if let value = cast(value, Decimal.self) { write(value.description); return true }
    return false
  }
}

/// `value` as a `U` where its type is exactly that.
///
/// Cheaper than `as?`, which asks the runtime each time.
func cast<T, U>(_ value: T, _ type: U.Type) -> U? {
  // SAFETY: the types are the same.
  T.self == U.self ? unsafe unsafeBitCast(value, to: U.self) : nil
}
