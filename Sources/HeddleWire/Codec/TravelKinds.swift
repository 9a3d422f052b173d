/// How a type is read.
enum TravelKind {
  /// By its `init(from:)`.
  case ordinary
  /// Directly: what its `init(from:)` would do by way of a single value container.
  case scalar(any WireScalar.Type)
  /// As a block, where it was written as one.
  case block(any BlockArray.Type)
}

/// How each type is read; remembered, because the casts that find out are slow.
final class TravelKinds {
  private let table = TypeTable<TravelKind>()

  @inline(__always)
  func kind<Value>(of type: Value.Type) -> TravelKind {
    table.value(for: type) {
      if let scalar = type as? any WireScalar.Type { return .scalar(scalar) }
      if let block = type as? any BlockArray.Type { return .block(block) }
      return .ordinary
    }
  }
}
