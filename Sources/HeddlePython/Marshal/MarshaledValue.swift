/// A value in marshal's bytes, neither looked at nor changed on its way: an argument that was written by hand, a result that is
/// written on as something else.
///
/// Only `MarshalEncoder` and `MarshalDecoder` know what to do with it.
package struct MarshaledValue: Codable, Sendable, Hashable {
  /// One value, as CPython's `marshal` writes it.
  package var bytes: [UInt8]

  package init(bytes: [UInt8]) { self.bytes = bytes }

  package init(from decoder: any Decoder) throws {
    throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "only marshal holds marshal's bytes"))
  }
  package func encode(to encoder: any Encoder) throws {
    throw EncodingError.invalidValue(self, .init(codingPath: encoder.codingPath, debugDescription: "only marshal takes marshal's bytes"))
  }
}

/// What a value in marshal's bytes is, as a writer of another format sees it.
package enum MarshalKind: Sendable, Hashable {
  case none
  case bool(Bool)
  /// Of any length.
  case integer
  case double
  case string
  case bytes
  /// Also a tuple and a set.
  case list
  case dictionary

  init(code: UInt8) {
    self =
      switch code {
      case MarshalCode.true: .bool(true)
      case MarshalCode.false: .bool(false)
      case MarshalCode.int, MarshalCode.long: .integer
      case MarshalCode.double: .double
      case MarshalCode.string: .string
      case MarshalCode.bytes: .bytes
      case MarshalCode.list, MarshalCode.tuple, MarshalCode.set, MarshalCode.frozenSet: .list
      case MarshalCode.dictionary: .dictionary
      default: .none
      }
  }
}

extension MarshaledValue {
  /// What the value is.
  package var kind: MarshalKind { MarshalKind(code: bytes.first ?? MarshalCode.none) }
}

extension MarshalIndex {
  /// What a value is.
  package func kind(_ entry: Int) -> MarshalKind { MarshalKind(code: code(entry)) }
}
