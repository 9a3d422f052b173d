/// The decoder of one element of a block, which has no position of its own: it may lie in a segment and has no tag.
struct ElementDecoder: Decoder, SingleValueDecodingContainer {
  let reader: MessageReader
  let element: WireElement
  /// The array, for the path.
  let array: MessageReader.Place
  let index: Int

  var codingPath: [any CodingKey] { reader.codingPath(of: array) + [WireKey(index: index)] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    throw reader.decodingError(.mismatch(found: element.name), [String: Any].self, codingPath: codingPath)
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    throw reader.decodingError(.mismatch(found: element.name), [Any].self, codingPath: codingPath)
  }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

  func decodeNil() -> Bool { false }

  func decode(_ type: Bool.Type) throws -> Bool { try read(type) }
  func decode(_ type: String.Type) throws -> String { try read(type) }
  func decode(_ type: Double.Type) throws -> Double { try read(type) }
  func decode(_ type: Float.Type) throws -> Float { try read(type) }
  func decode(_ type: Int.Type) throws -> Int { try read(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try read(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try read(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try read(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try read(type) }
  func decode(_ type: Int128.Type) throws -> Int128 { try read(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try read(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try read(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try read(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try read(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try read(type) }
  func decode(_ type: UInt128.Type) throws -> UInt128 { try read(type) }

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value { try value(type) }

  func value<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try reader.counted(codingPath: codingPath) { try Value(from: self) }
  }

  private func read<Scalar: WireScalar>(_ type: Scalar.Type) throws -> Scalar {
    do throws(ReadFailure) {
      return try Scalar.convert(element)
    } catch {
      throw reader.decodingError(error, type, codingPath: codingPath)
    }
  }
}
