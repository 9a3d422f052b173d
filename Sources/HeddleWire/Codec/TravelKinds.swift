/// How a type is read.
enum TravelKind {
  /// By its `init(from:)`.
  case ordinary
  /// Directly: what its `init(from:)` would do by way of a single value container.
  case scalar(any WireScalar.Type)
  /// As a block, where it was written as one.
  case block(any BlockArray.Type)
  /// As a block of bytes, where it was written as one: Foundation's Data.
  case data(any RangeReplaceableCollection<UInt8>.Type)
}

/// How each type is read; remembered, because the casts that find out are slow.
final class TravelKinds {
  private let table = TypeTable<TravelKind>()
  private static let dataNames = ["FoundationEssentials.Data", "Foundation.Data"]

  @inline(__always)
  func kind<Value>(of type: Value.Type) -> TravelKind {
    table.value(for: type) {
      if let scalar = type as? any WireScalar.Type { return .scalar(scalar) }
      if let block = type as? any BlockArray.Type { return .block(block) }
      // Data's own `init(from:)` takes 45 ns a byte, three seconds for 64 MiB, nearly all of it in Data. The codec does not import Foundation,
      // so Data is known by its name; what it is not known as still decodes, slowly.
      if Self.dataNames.contains(_typeName(type, qualified: true)), let data = type as? any RangeReplaceableCollection<UInt8>.Type {
        return .data(data)
      }
      return .ordinary
    }
  }
}
