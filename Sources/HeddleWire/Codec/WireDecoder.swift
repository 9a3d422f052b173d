/// One place of a message: what `init(from:)` of the value there gets, and its single value container.
///
/// Three words, so that an existential holds it without an allocation; none of them a reference that is counted.
@safe
struct WireDecoder: Decoder, SingleValueDecodingContainer {
  /// SAFETY: readers are never freed.
  private let source: Unmanaged<MessageReader>
  let place: MessageReader.Place
  /// The message that the place is in.
  let message: UInt32

  @inline(__always)
  init(_ reader: MessageReader, _ place: MessageReader.Place) {
    unsafe source = .passUnretained(reader)
    self.place = place
    message = reader.message
  }

  var reader: MessageReader { unsafe source.takeUnretainedValue() }
  var codingPath: [any CodingKey] { message == reader.message ? reader.codingPath(of: place) : [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    unsafe try source._withUnsafeGuaranteedRef { reader in
      guard reader.message == message else { throw reader.outlived(type) }
      return reader.keyedContainer(try reader.openKeyed(at: place))
    }
  }

  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    do {
      try reader.check(message)
      return try WireUnkeyedDecodingContainer(reader: reader, place: place)
    } catch let failure as ReadFailure {
      throw reader.decodingError(failure, [Any].self, codingPath: codingPath)
    }
  }

  func singleValueContainer() throws -> any SingleValueDecodingContainer { self }

  func decodeNil() -> Bool { message == reader.message && (try? reader.tag(at: Int(place.position))) == .null }

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
    guard reader.message == message else { throw reader.outlived(type) }
    return try reader.value(type, at: place)
  }

  @inline(__always)
  private func read<Scalar: WireScalar>(_ type: Scalar.Type) throws -> Scalar {
    var position = Int(place.position)
    do throws(ReadFailure) {
      try reader.check(message)
      let value = try Scalar.read(from: reader, at: &position)
      guard position <= Int(place.limit) || place.position == 0 else { throw .truncated(Int(place.position)) }
      return value
    } catch {
      throw reader.decodingError(error, type, codingPath: codingPath)
    }
  }
}
