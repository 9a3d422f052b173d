/// What the encoders of one tree share.
final class TreeContext {
  let blocks: BlockTypes
  var openCalls = 0
  /// What travels beside the message.
  var attachments: [Attachment] = []
  /// What is wrong with the value and could not be thrown where it was found; the first one.
  var failure: EncodingError?

  init(blocks: BlockTypes) {
    self.blocks = blocks
  }
}

/// One place of a tree: what `encode(to:)` of the value there gets, and its single value container.
struct TreeEncoder: Encoder, SingleValueEncodingContainer {
  let context: TreeContext
  let node: TreeNode
  let codingPath: [any CodingKey]
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    if !node.becomeKeyed() { refuse("a keyed container") }
    checkDepth()
    return KeyedEncodingContainer(TreeKeyedEncodingContainer(context: context, node: node, codingPath: codingPath))
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    if !node.becomeUnkeyed() { refuse("an unkeyed container") }
    checkDepth()
    return TreeUnkeyedEncodingContainer(context: context, node: node, codingPath: codingPath)
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { self }

  func encodeNil() throws { replace(by: .null) }

  func encode(_ value: Bool) throws { write(value) }
  func encode(_ value: String) throws { write(value) }
  func encode(_ value: Double) throws { write(value) }
  func encode(_ value: Float) throws { write(value) }
  func encode(_ value: Int) throws { write(value) }
  func encode(_ value: Int8) throws { write(value) }
  func encode(_ value: Int16) throws { write(value) }
  func encode(_ value: Int32) throws { write(value) }
  func encode(_ value: Int64) throws { write(value) }
  func encode(_ value: Int128) throws { write(value) }
  func encode(_ value: UInt) throws { write(value) }
  func encode(_ value: UInt8) throws { write(value) }
  func encode(_ value: UInt16) throws { write(value) }
  func encode(_ value: UInt32) throws { write(value) }
  func encode(_ value: UInt64) throws { write(value) }
  func encode(_ value: UInt128) throws { write(value) }

  func encode<Value: Encodable>(_ value: Value) throws {
    if let block = context.blocks.type(for: Value.self) {
      replace(by: .block(reinterpret(value, as: block)))
    } else {
      try context.call(value, on: self)
    }
  }

  private func write(_ value: some WireScalar) { replace(by: .scalar(value)) }

  /// Of two single values at one place the last wins.
  ///
  /// A container is not thrown away for one: that would lose data without a word.
  private func replace(by content: TreeNode.Content) {
    if node.isContainer { refuse("a single value") }
    node.content = content
  }

  private func refuse(_ kind: String) {
    let description = "A value asked for \(kind) at a place where it has written something of another kind already."
    context.failure = context.failure ?? .invalidValue(kind, .init(codingPath: codingPath, debugDescription: description))
  }

  private func checkDepth() {
    if codingPath.count >= WireLimit.nesting { context.failure = context.failure ?? .nestedTooDeep(codingPath: codingPath) }
  }
}

extension TreeContext {
  /// Lets a value encode itself.
  func call(_ value: some Encodable, on encoder: TreeEncoder) throws {
    guard openCalls < WireLimit.calls, encoder.codingPath.count <= WireLimit.nesting else {
      throw EncodingError.nestedTooDeep(codingPath: encoder.codingPath)
    }
    openCalls += 1
    defer { openCalls -= 1 }
    try value.encode(to: encoder)
  }

  /// Makes a node of a value.
  func node<Value: Encodable>(for value: Value, codingPath: [any CodingKey]) throws -> TreeNode {
    if let block = blocks.type(for: Value.self) { return TreeNode(.block(reinterpret(value, as: block))) }
    let node = TreeNode()
    try call(value, on: TreeEncoder(context: self, node: node, codingPath: codingPath))
    return node
  }
}

extension EncodingError {
  static func nestedTooDeep(codingPath: [any CodingKey]) -> EncodingError {
    let description = "The value nests deeper than \(WireLimit.nesting) containers; does it contain itself?"
    return .invalidValue(codingPath.count, .init(codingPath: codingPath, debugDescription: description))
  }
}
