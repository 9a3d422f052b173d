extension MessageReader {
  /// Reads a value of any type; `init(from:)` is called only where the type has no way of its own.
  @inline(__always)
  func value<Value: Decodable>(_ type: Value.Type, at place: Place) throws -> Value {
    switch kinds.kind(of: type) {
    case .ordinary: return try call(type, at: place)
    case .scalar(let scalar): return try scalarValue(type, as: scalar, at: place)
    case .data(let data): return try optionalValue(type, data: data, block: nil, at: place)
    case .block(let block): return try optionalValue(type, data: nil, block: block, at: place)
    }
  }

  /// A function of its own, because an optional of a type that is not known costs a look-up of metadata wherever it is inlined.
  @inline(never)
  private func optionalValue<Value: Decodable>(
    _ type: Value.Type, data: (any RangeReplaceableCollection<UInt8>.Type)?, block: (any BlockArray.Type)?, at place: Place
  ) throws -> Value {
    if let data, let value = try dataValue(type, as: data, at: place) { return value }
    if let block, let value = try blockValue(type, as: block, at: place) { return value }
    return try call(type, at: place)
  }

  /// A lone integer, the commonest output, without what an existential costs.
  @inline(__always)
  func integer(at place: Place) throws -> Int {
    var position = Int(place.position)
    do throws(ReadFailure) { return try Int.read(from: self, at: &position) } catch { throw unreadable(error, Int.self, at: place) }
  }

  @inline(never)
  private func unreadable(_ failure: ReadFailure, _ type: Any.Type, at place: Place) -> any Error {
    decodingError(failure, type, codingPath: codingPath(of: place))
  }

  @inline(__always)
  private func call<Value: Decodable>(_ type: Value.Type, at place: Place) throws -> Value {
    try counted(codingPath: codingPath(of: place)) { try Value(from: WireDecoder(self, place)) }
  }

  /// Bounds how many `init(from:)` are open.
  @inline(__always)
  func counted<Value>(codingPath: @autoclosure () -> [any CodingKey], _ body: () throws -> Value) throws -> Value {
    guard openCalls < WireLimit.calls else { throw nestedTooDeep(codingPath: codingPath()) }
    openCalls &+= 1
    defer { openCalls &-= 1 }
    return try body()
  }

  private func scalarValue<Value>(_ type: Value.Type, as scalar: any WireScalar.Type, at place: Place) throws -> Value {
    func opened<Scalar: WireScalar>(_ type: Scalar.Type) throws -> Value {
      precondition(Scalar.self == Value.self)
      var position = Int(place.position)
      do {
        let value = try Scalar.read(from: self, at: &position)
        // SAFETY: the two types are the same one.
        return unsafe unsafeBitCast(value, to: Value.self)
      } catch {
        throw decodingError(error, type, codingPath: codingPath(of: place))
      }
    }
    return try opened(scalar)
  }

  /// Reads a block of bytes into Data; nil where the value is anything else.
  private func dataValue<Value>(_ type: Value.Type, as data: any RangeReplaceableCollection<UInt8>.Type, at place: Place) throws -> Value? {
    func opened<Bytes: RangeReplaceableCollection<UInt8>>(_ type: Bytes.Type) throws -> Value? {
      precondition(Bytes.self == Value.self)
      guard let array = try blockValue([UInt8].self, as: [UInt8].self, at: place) else { return nil }
      do { try Room.need(array.count) } catch { throw decodingError(error, type, codingPath: codingPath(of: place)) }
      // SAFETY: the two types are the same one.
      return unsafe unsafeBitCast(Bytes(array), to: Value.self)
    }
    return try opened(data)
  }

  /// Reads a block into an array; nil where the value is anything else, such as elements written one by one or of another kind.
  private func blockValue<Value>(_ type: Value.Type, as block: any BlockArray.Type, at place: Place) throws -> Value? {
    func opened<Block: BlockArray>(_ type: Block.Type) throws -> Value? {
      precondition(Block.self == Value.self)
      let position = Int(place.position)
      do {
        let tag = try tag(at: position)
        guard tag == .block || tag == .segment else { return nil }
        let head = try bytes.blockHead(at: position)
        guard head.kind == Block.kind else { return nil }
        guard head.end <= Int(place.limit) else { throw ReadFailure.truncated(position) }
        let array: Block
        switch head.place {
        case .inline(let start):
          try Room.need(head.byteCount)
          let elements = bytes.slice(start..<start + head.byteCount)
          array = try unsafe Block.make(count: head.count) { destination in unsafe elements.copy(to: destination) }
        case .segment(let segment):
          array = try segments.array(type, segment: segment, head: head, at: position)
        }
        // SAFETY: the two types are the same one.
        return unsafe unsafeBitCast(array, to: Value.self)
      } catch let failure as ReadFailure {
        throw decodingError(failure, type, codingPath: codingPath(of: place))
      }
    }
    return try opened(block)
  }
}
