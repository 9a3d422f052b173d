/// Which types travel as a block; remembered, because the cast that finds out is slow.
final class BlockTypes {
  private let table = TypeTable<(any BlockArray.Type)?>()

  @inline(__always)
  func type<Value>(for type: Value.Type) -> (any BlockArray.Type)? {
    // Blocks are arrays, which are generic.
    table.value(for: type) { PlainName.isNone(of: type, in: []) ? nil : type as? any BlockArray.Type }
  }
}

/// Gives a value the static type that its dynamic type is known to be.
func reinterpret<Value>(_ value: Value, as type: any BlockArray.Type) -> any BlockArray {
  func opened<Block: BlockArray>(_ type: Block.Type) -> any BlockArray {
    precondition(Value.self == Block.self)
    // SAFETY: the two types are the same one.
    return unsafe unsafeBitCast(value, to: Block.self)
  }
  return opened(type)
}
