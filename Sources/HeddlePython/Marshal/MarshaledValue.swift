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
