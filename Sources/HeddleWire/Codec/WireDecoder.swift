/// One place of a message: what `init(from:)` of the value there gets, and its single value container.
///
/// Three words, so that an existential holds it without an allocation.
struct WireDecoder: Decoder, SingleValueDecodingContainer {
  let reader: MessageReader
  let place: MessageReader.Place

  var codingPath: [any CodingKey] { reader.codingPath(of: place) }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    reader.keyedContainer(try reader.openKeyed(at: place))
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    do {
      return try WireUnkeyedDecodingContainer(reader: reader, place: place)
    } catch let failure as ReadFailure {
      throw reader.decodingError(failure, [Any].self, codingPath: codingPath)
    }
  }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

  func decodeNil() -> Bool { (try? reader.tag(at: Int(place.position))) == .null }

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

  func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try reader.value(type, at: place)
  }

  @inline(__always)
  private func read<Scalar: WireScalar>(_ type: Scalar.Type) throws -> Scalar {
    var position = Int(place.position)
    do throws(ReadFailure) {
      let value = try Scalar.read(from: reader, at: &position)
      guard position <= Int(place.limit) || place.position == 0 else { throw .truncated(Int(place.position)) }
      return value
    } catch {
      throw reader.decodingError(error, type, codingPath: codingPath)
    }
  }
}
