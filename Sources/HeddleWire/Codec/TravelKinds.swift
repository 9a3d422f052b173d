import CHeddle

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
  /// All that travel otherwise and have no generic parameters.
  private static let names: [String] = [
    "Int", "Int8", "Int16", "Int32", "Int64", "Int128", "UInt", "UInt8", "UInt16", "UInt32", "UInt64", "UInt128", "Bool", "String", "Float",
    "Double", "Data",
  ]
  private static let dataNames = ["FoundationEssentials.Data", "Foundation.Data"]

  @inline(__always)
  func kind<Value>(of type: Value.Type) -> TravelKind {
    table.value(for: type) {
      if PlainName.isNone(of: type, in: Self.names) { return .ordinary }
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

/// The name of a type in its module, where that is a struct or an enum without generic parameters.
enum PlainName {
  /// Whether a type has such a name, and it is none of those.
  ///
  /// A cast asks the runtime, which looks through the conformances of all libraries, 20 µs a cast and type of a worker's first job.
  static func isNone(of type: Any.Type, in names: [String]) -> Bool {
    // SAFETY: a type is a pointer to its metadata.
    guard let name = unsafe heddle_plain_type_name(unsafeBitCast(type, to: UnsafeRawPointer.self)) else { return false }
    return unsafe !names.contains(String(cString: name))
  }
}
