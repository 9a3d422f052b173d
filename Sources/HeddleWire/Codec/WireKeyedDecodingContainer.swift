/// What a keyed container of a message knows; see `ContainerBox`.
@safe final class WireKeyedPlace {
  /// Whose container it is.
  ///
  /// SAFETY: readers are never freed.
  let reader: Unmanaged<MessageReader>
  @exclusivity(unchecked) var container: MessageReader.KeyedPlace
  /// The message that it was opened in.
  @exclusivity(unchecked) var message: UInt32
  /// The numbers of the key type in the message's table.
  ///
  /// SAFETY: the reader keeps the table as long as its message, and nobody looks here in another one.
  @exclusivity(unchecked) var numbers: Unmanaged<KeyNumbers>

  init(reader: MessageReader, container: MessageReader.KeyedPlace, message: UInt32, numbers: Unmanaged<KeyNumbers>) {
    unsafe self.reader = .passUnretained(reader)
    unsafe self.container = container
    unsafe self.message = message
    unsafe self.numbers = unsafe numbers
  }
}

/// A keyed container of a message: keys are found in any order, those in written order at once.
///
/// One word without a reference that is counted: the standard library copies it for each call.
@safe
struct WireKeyedDecodingContainer<Key: CodingKey>: KeyedDecodingContainerProtocol {
  /// SAFETY: one of the reader's, which keeps its places.
  let place: Unmanaged<WireKeyedPlace>

  init(place: Unmanaged<WireKeyedPlace>) { unsafe self.place = unsafe place }

  private var reader: MessageReader {
    @inline(__always) get { unsafe place._withUnsafeGuaranteedRef { place in unsafe place.reader.takeUnretainedValue() } }
  }
  private var container: MessageReader.KeyedPlace {
    @inline(__always) get { unsafe place._withUnsafeGuaranteedRef { place in unsafe place.container } }
  }
  /// The message that it was opened in.
  private var message: UInt32 {
    @inline(__always) get { unsafe place._withUnsafeGuaranteedRef { place in unsafe place.message } }
  }

  var codingPath: [any CodingKey] { message == reader.message ? reader.codingPath(of: containerPlace) : [] }

  /// Keys that `Key` has no case for are left out, as everywhere.
  var allKeys: [Key] {
    var keys: [Key] = []
    // Entries that cannot be read are an error to whoever reads them; this property cannot throw.
    guard message == reader.message else { return [] }
    try? reader.forEachEntry(of: container) { (number, _) throws(ReadFailure) in
      if let key = Key(stringValue: try reader.keys.name(of: number)) { keys.append(key) }
    }
    return keys
  }

  func contains(_ key: Key) -> Bool { withReader { reader in (try? find(key, reader)) ?? nil != nil } }

  func decodeNil(forKey key: Key) throws -> Bool {
    try withReader { reader in try reader.isNull(at: try require(key, reader)) }
  }

  func decode(_ type: Bool.Type, forKey key: Key) throws -> Bool { try read(type, key) }
  func decode(_ type: String.Type, forKey key: Key) throws -> String { try read(type, key) }
  func decode(_ type: Double.Type, forKey key: Key) throws -> Double { try read(type, key) }
  func decode(_ type: Float.Type, forKey key: Key) throws -> Float { try read(type, key) }
  func decode(_ type: Int.Type, forKey key: Key) throws -> Int { try read(type, key) }
  func decode(_ type: Int8.Type, forKey key: Key) throws -> Int8 { try read(type, key) }
  func decode(_ type: Int16.Type, forKey key: Key) throws -> Int16 { try read(type, key) }
  func decode(_ type: Int32.Type, forKey key: Key) throws -> Int32 { try read(type, key) }
  func decode(_ type: Int64.Type, forKey key: Key) throws -> Int64 { try read(type, key) }
  func decode(_ type: Int128.Type, forKey key: Key) throws -> Int128 { try read(type, key) }
  func decode(_ type: UInt.Type, forKey key: Key) throws -> UInt { try read(type, key) }
  func decode(_ type: UInt8.Type, forKey key: Key) throws -> UInt8 { try read(type, key) }
  func decode(_ type: UInt16.Type, forKey key: Key) throws -> UInt16 { try read(type, key) }
  func decode(_ type: UInt32.Type, forKey key: Key) throws -> UInt32 { try read(type, key) }
  func decode(_ type: UInt64.Type, forKey key: Key) throws -> UInt64 { try read(type, key) }
  func decode(_ type: UInt128.Type, forKey key: Key) throws -> UInt128 { try read(type, key) }

  func decode<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value {
    try withReader { reader in try decode(type, at: try require(key, reader), reader) }
  }

  func decodeIfPresent(_ type: Bool.Type, forKey key: Key) throws -> Bool? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: String.Type, forKey key: Key) throws -> String? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: Double.Type, forKey key: Key) throws -> Double? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: Float.Type, forKey key: Key) throws -> Float? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: Int.Type, forKey key: Key) throws -> Int? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: Int8.Type, forKey key: Key) throws -> Int8? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: Int16.Type, forKey key: Key) throws -> Int16? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: Int32.Type, forKey key: Key) throws -> Int32? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: Int64.Type, forKey key: Key) throws -> Int64? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: Int128.Type, forKey key: Key) throws -> Int128? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: UInt.Type, forKey key: Key) throws -> UInt? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: UInt8.Type, forKey key: Key) throws -> UInt8? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: UInt16.Type, forKey key: Key) throws -> UInt16? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: UInt32.Type, forKey key: Key) throws -> UInt32? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: UInt64.Type, forKey key: Key) throws -> UInt64? { try readIfPresent(type, key) }
  func decodeIfPresent(_ type: UInt128.Type, forKey key: Key) throws -> UInt128? { try readIfPresent(type, key) }

  func decodeIfPresent<Value: Decodable>(_ type: Value.Type, forKey key: Key) throws -> Value? {
    try withReader { reader in
      guard let position = try present(key, reader) else { return nil }
      return try decode(type, at: position, reader)
    }
  }

  func nestedContainer<NestedKey: CodingKey>(
    keyedBy type: NestedKey.Type, forKey key: Key
  ) throws -> KeyedDecodingContainer<NestedKey> {
    try nestedDecoder(at: try require(key)).container(keyedBy: type)
  }

  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer {
    try nestedDecoder(at: try require(key)).unkeyedContainer()
  }

  func superDecoder() throws -> any Decoder { try superDecoder(under: WireKey.superKey) }

  func superDecoder(forKey key: Key) throws -> any Decoder { try superDecoder(under: key) }

  // MARK: Look-up

  private var containerPlace: MessageReader.Place {
    MessageReader.Place(position: container.position, limit: container.end, depth: container.depth)
  }

  /// Calls `body` with the reader, without counting a reference: that of each of a container's calls took a quarter of a small message's time.
  @inline(__always)
  private func withReader<Result>(_ body: (MessageReader) throws -> Result) rethrows -> Result {
    unsafe try place._withUnsafeGuaranteedRef { place in unsafe try place.reader._withUnsafeGuaranteedRef(body) }
  }

  @inline(__always)
  private func find(_ key: Key, _ reader: MessageReader) throws(ReadFailure) -> Int? {
    // The message that it was opened in has to be the one that is being read still.
    try reader.check(message)
    let number = unsafe place._withUnsafeGuaranteedRef { place in
      unsafe place.numbers._withUnsafeGuaranteedRef { numbers in
        numbers.isByte ? numbers.number(of: key, in: reader) : KeyNumbers.unknown
      }
    }
    if number != KeyNumbers.unknown { return try reader.find(number, in: container) }
    return try reader.find(named: key.stringValue, in: container)
  }

  /// The position of a key's value, nil where it is nil or missing.
  @inline(__always)
  private func present(_ key: Key, _ reader: MessageReader) throws -> Int? {
    do throws(ReadFailure) {
      guard let position = try find(key, reader), try reader.tag(at: position) != .null else { return nil }
      return position
    } catch {
      throw unreadable(error, key)
    }
  }

  private func require(_ key: Key) throws -> Int { try withReader { reader in try require(key, reader) } }

  @inline(__always)
  private func require(_ key: Key, _ reader: MessageReader) throws -> Int {
    do throws(ReadFailure) {
      if let position = try find(key, reader) { return position }
    } catch {
      throw unreadable(error, key)
    }
    throw missing(key)
  }

  // Out of line: what is only made for an error is not to be set up for each value.
  @inline(never)
  private func unreadable(_ failure: ReadFailure, _ key: any CodingKey) -> any Error {
    reader.decodingError(failure, Any.self, codingPath: codingPath + [key])
  }
  @inline(never)
  private func missing(_ key: Key) -> any Error {
    DecodingError.keyNotFound(
      key, .init(codingPath: codingPath, debugDescription: "No value is associated with the key \"\(key.stringValue)\"."))
  }
  @inline(never)
  private func unreadable(_ failure: ReadFailure, _ type: Any.Type, at position: Int) -> any Error {
    reader.decodingError(failure, type, codingPath: reader.codingPath(of: container.place(ofValueAt: position)))
  }

  // MARK: Values

  @inline(__always)
  private func read<Scalar: WireScalar>(_ type: Scalar.Type, _ key: Key) throws -> Scalar {
    try withReader { reader in try read(type, at: try require(key, reader), reader) }
  }

  @inline(__always)
  private func readIfPresent<Scalar: WireScalar>(_ type: Scalar.Type, _ key: Key) throws -> Scalar? {
    try withReader { reader in
      guard let position = try present(key, reader) else { return nil }
      return try read(type, at: position, reader)
    }
  }

  @inline(__always)
  private func read<Scalar: WireScalar>(_ type: Scalar.Type, at start: Int, _ reader: MessageReader) throws -> Scalar {
    var position = start
    do throws(ReadFailure) {
      let value = try Scalar.read(from: reader, at: &position)
      try reader.advance(container, to: position)
      return value
    } catch {
      throw unreadable(error, type, at: start)
    }
  }

  @inline(__always)
  private func decode<Value: Decodable>(_ type: Value.Type, at position: Int, _ reader: MessageReader) throws -> Value {
    let value = try reader.value(type, at: container.place(ofValueAt: position))
    do throws(ReadFailure) {
      try reader.advance(container, to: try reader.end(ofValueAt: position))
    } catch {
      throw unreadable(error, type, at: position)
    }
    return value
  }

  private func nestedDecoder(at position: Int) -> WireDecoder {
    let end = try? reader.end(ofValueAt: position)
    if let end { try? reader.advance(container, to: end) }
    return WireDecoder(reader, container.place(ofValueAt: position))
  }

  private func superDecoder(under key: any CodingKey) throws -> any Decoder {
    do throws(ReadFailure) {
      try reader.check(message)
      if let position = try reader.find(named: key.stringValue, in: container) { return nestedDecoder(at: position) }
    } catch {
      throw unreadable(error, key)
    }
    return WireDecoder(reader, reader.addAbsent(key: key.stringValue, in: containerPlace))
  }
}
