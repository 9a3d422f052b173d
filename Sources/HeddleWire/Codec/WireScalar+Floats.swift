extension Float: WireScalar {
  static var blockKind: BlockKind? { .float }

  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) {
    buffer.append(byte: WireTag.float.rawValue)
    buffer.append(fixed: bitPattern)
  }

  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Float {
    guard try reader.tag(at: position) == .float else { return try readConverting(from: reader, at: &position) }
    var end = position + 1
    let bits = try reader.fixed(UInt32.self, at: &end)
    position = end
    return Float(bitPattern: bits)
  }

  /// A double that is finite and becomes infinite as a float does not fit; one that is only rounded does, as in JSON.
  static func convert(_ element: WireElement) throws(ReadFailure) -> Float {
    switch element {
    case .float(let value): return value
    case .double(let value):
      let rounded = Float(value)
      guard rounded.isFinite || !value.isFinite else { throw .doesNotFit(number: "\(value)") }
      return rounded
    case .integer(let value): return Float(value)
    case .large(let value):
      // UInt128.max rounds to 2^128, which is beyond the largest float.
      let rounded = Float(value)
      guard rounded.isFinite else { throw .doesNotFit(number: "\(value)") }
      return rounded
    case .null: throw .null
    case .bool, .string, .keyed, .unkeyed: throw .mismatch(found: element.name)
    }
  }
}

extension Double: WireScalar {
  static var blockKind: BlockKind? { .double }

  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) {
    buffer.append(byte: WireTag.double.rawValue)
    buffer.append(fixed: bitPattern)
  }

  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Double {
    guard try reader.tag(at: position) == .double else { return try readConverting(from: reader, at: &position) }
    var end = position + 1
    let bits = try reader.fixed(UInt64.self, at: &end)
    position = end
    return Double(bitPattern: bits)
  }

  static func convert(_ element: WireElement) throws(ReadFailure) -> Double {
    switch element {
    case .double(let value): return value
    case .float(let value): return Double(value)
    case .integer(let value): return Double(value)
    case .large(let value): return Double(value)
    case .null: throw .null
    case .bool, .string, .keyed, .unkeyed: throw .mismatch(found: element.name)
    }
  }
}
