/// An unkeyed container of a message: elements that were written one by one, or a block looked at element by element.
///
/// A value type, so that a copy reads on independently. A wrong type throws and leaves the position.
struct WireUnkeyedDecodingContainer: UnkeyedDecodingContainer {
  private let reader: MessageReader
  private let place: MessageReader.Place
  /// The message that the place is in.
  private let message: UInt32
  /// The container, where elements have tags.
  private let container: MessageReader.UnkeyedPlace
  /// What the elements are, where they are a block.
  private let kind: BlockKind?
  /// The elements of a block; in the message, so they may be touched only while it is open, or in a segment.
  private let block: WireBytes
  /// Keeps a segment alive.
  private let owner: (any Sendable)?
  private let elementCount: Int
  /// Where the next element's tag is, where elements have tags.
  private var position: Int
  private(set) var currentIndex = 0

  /// - Throws: `ReadFailure` where the value is no array, and what the source of segments throws.
  init(reader: MessageReader, place: MessageReader.Place) throws {
    self.reader = reader
    self.place = place
    message = reader.message
    position = Int(place.position) + WireLimit.unkeyedHead
    let tag = try reader.tag(at: Int(place.position))
    guard tag == .block || tag == .segment else {
      container = try reader.openUnkeyed(at: place)
      (kind, block, owner) = (nil, .empty, nil)
      elementCount = container.count
      // An array takes the count for its capacity; a String has 16 bytes.
      try Room.need(16 * elementCount)
      return
    }
    let head = try reader.bytes.blockHead(at: Int(place.position))
    guard head.end <= Int(place.limit) else { throw ReadFailure.truncated(Int(place.position)) }
    container = MessageReader.UnkeyedPlace(position: place.position, end: place.limit, depth: place.depth, count: 0)
    kind = head.kind
    elementCount = head.count
    switch head.place {
    case .inline(let start):
      block = reader.bytes.slice(start..<start + head.byteCount)
      owner = nil
    case .segment(let segment):
      (block, owner) = try reader.segments.bytes(segment: segment, head: head, at: Int(place.position))
    }
  }

  var codingPath: [any CodingKey] { isOpen ? reader.codingPath(of: place) : [] }
  /// Whether its message is being read.
  private var isOpen: Bool { reader.message == message }
  var count: Int? { elementCount }
  var isAtEnd: Bool { currentIndex >= elementCount }

  mutating func decodeNil() throws -> Bool {
    try checkNotAtEnd(Any?.self)
    guard kind == nil else { return false }
    guard try reader.isNull(at: position) else { return false }
    position += 1
    currentIndex += 1
    return true
  }

  mutating func decode(_ type: Bool.Type) throws -> Bool { try read(type) }
  mutating func decode(_ type: String.Type) throws -> String { try read(type) }
  mutating func decode(_ type: Double.Type) throws -> Double { try read(type) }
  mutating func decode(_ type: Float.Type) throws -> Float { try read(type) }
  mutating func decode(_ type: Int.Type) throws -> Int { try read(type) }
  mutating func decode(_ type: Int8.Type) throws -> Int8 { try read(type) }
  mutating func decode(_ type: Int16.Type) throws -> Int16 { try read(type) }
  mutating func decode(_ type: Int32.Type) throws -> Int32 { try read(type) }
  mutating func decode(_ type: Int64.Type) throws -> Int64 { try read(type) }
  mutating func decode(_ type: Int128.Type) throws -> Int128 { try read(type) }
  mutating func decode(_ type: UInt.Type) throws -> UInt { try read(type) }
  mutating func decode(_ type: UInt16.Type) throws -> UInt16 { try read(type) }
  mutating func decode(_ type: UInt32.Type) throws -> UInt32 { try read(type) }
  mutating func decode(_ type: UInt64.Type) throws -> UInt64 { try read(type) }
  mutating func decode(_ type: UInt128.Type) throws -> UInt128 { try read(type) }

  /// Foundation's Data reads itself through this, byte by byte.
  mutating func decode(_ type: UInt8.Type) throws -> UInt8 {
    if kind == .uint8, currentIndex < elementCount, isOpen, let byte = try? block.byte(at: currentIndex) {
      currentIndex &+= 1
      return byte
    }
    return try read(type)
  }

  mutating func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try checkNotAtEnd(type)
    guard kind == nil else {
      let value = try ElementDecoder(reader: reader, element: try blockElement(type), array: place, index: currentIndex).value(type)
      currentIndex += 1
      return value
    }
    reader.noteElement(position, index: currentIndex, in: container)
    let value = try reader.value(type, at: elementPlace(container))
    try pass(container, type)
    return value
  }

  mutating func nestedContainer<NestedKey: CodingKey>(keyedBy type: NestedKey.Type) throws -> KeyedDecodingContainer<NestedKey> {
    try checkNotAtEnd(KeyedDecodingContainer<NestedKey>.self)
    let nested = try nextDecoder().container(keyedBy: type)
    try passNested()
    return nested
  }

  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try checkNotAtEnd([Any].self)
    let nested = try nextDecoder().unkeyedContainer()
    try passNested()
    return nested
  }

  mutating func superDecoder() throws -> any Decoder {
    try checkNotAtEnd((any Decoder).self)
    let decoder = try nextDecoder()
    try passNested()
    return decoder
  }

  // MARK: Elements

  private mutating func read<Scalar: WireScalar>(_ type: Scalar.Type) throws -> Scalar {
    try checkNotAtEnd(type)
    do throws(ReadFailure) {
      guard kind == nil else {
        let value = try Scalar.convert(try rawElement())
        currentIndex &+= 1
        return value
      }
      var end = position
      let value = try Scalar.read(from: reader, at: &end)
      guard end <= Int(container.end) else { throw .truncated(position) }
      position = end
      currentIndex &+= 1
      return value
    } catch {
      throw reader.decodingError(error, type, codingPath: codingPath + [WireKey(index: currentIndex)])
    }
  }

  private func checkNotAtEnd(_ type: Any.Type) throws {
    guard isOpen else { throw reader.outlived(type) }
    guard isAtEnd else { return }
    throw DecodingError.valueNotFound(
      type,
      .init(codingPath: codingPath + [WireKey(index: currentIndex)], debugDescription: "The array has no element \(currentIndex)."))
  }

  private func elementPlace(_ container: MessageReader.UnkeyedPlace) -> MessageReader.Place {
    MessageReader.Place(position: UInt32(truncatingIfNeeded: position), limit: container.end, depth: container.depth + 1)
  }

  private func nextDecoder() throws -> any Decoder {
    guard kind == nil else {
      return ElementDecoder(reader: reader, element: try blockElement(Any.self), array: place, index: currentIndex)
    }
    reader.noteElement(position, index: currentIndex, in: container)
    return WireDecoder(reader, elementPlace(container))
  }

  private mutating func passNested() throws {
    guard kind == nil else { return currentIndex += 1 }
    try pass(container, Any.self)
  }

  /// Moves behind an element that was read.
  private mutating func pass(_ container: MessageReader.UnkeyedPlace, _ type: Any.Type) throws {
    do throws(ReadFailure) {
      let end = try reader.end(ofValueAt: position)
      guard end <= Int(container.end) else { throw .truncated(position) }
      position = end
      currentIndex &+= 1
    } catch {
      throw reader.decodingError(error, type, codingPath: codingPath + [WireKey(index: currentIndex)])
    }
  }

  private func blockElement(_ type: Any.Type) throws -> WireElement {
    do throws(ReadFailure) {
      return try rawElement()
    } catch {
      throw reader.decodingError(error, type, codingPath: codingPath + [WireKey(index: currentIndex)])
    }
  }

  /// The element of a block at the current index.
  private func rawElement() throws(ReadFailure) -> WireElement {
    try reader.check(message)
    guard let kind else { throw .corrupted("The array's elements were written one by one.") }
    return try block.blockElement(kind, at: currentIndex * kind.stride)
  }
}

extension WireBytes {
  /// One element of a block.
  func blockElement(_ kind: BlockKind, at start: Int) throws(ReadFailure) -> WireElement {
    var position = start
    return switch kind {
    case .int8: .integer(Int128(try fixed(Int8.self, at: &position)))
    case .uint8: .integer(Int128(try fixed(UInt8.self, at: &position)))
    case .int16: .integer(Int128(try fixed(Int16.self, at: &position)))
    case .uint16: .integer(Int128(try fixed(UInt16.self, at: &position)))
    case .int32: .integer(Int128(try fixed(Int32.self, at: &position)))
    case .uint32: .integer(Int128(try fixed(UInt32.self, at: &position)))
    case .int64: .integer(Int128(try fixed(Int64.self, at: &position)))
    case .uint64: .integer(Int128(try fixed(UInt64.self, at: &position)))
    case .float: .float(Float(bitPattern: try fixed(UInt32.self, at: &position)))
    case .double: .double(Double(bitPattern: try fixed(UInt64.self, at: &position)))
    case .bool: .bool(try blockBool(at: position))
    }
  }

  private func blockBool(at position: Int) throws(ReadFailure) -> Bool {
    let byte = try byte(at: position)
    guard byte <= 1 else { throw .corrupted("A Bool in an array is \(byte) instead of 0 or 1.") }
    return byte == 1
  }
}
