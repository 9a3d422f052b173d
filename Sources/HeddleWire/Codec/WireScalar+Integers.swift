// The integers: one way to write and read for all widths, in `WireScalar where Self: FixedWidthInteger`. Each type names it itself because a
// protocol extension cannot make a type conform.

extension Int: WireScalar {
  static var blockKind: BlockKind? { .int64 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Int {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> Int { try convertInteger(element) }
}

extension Int8: WireScalar {
  static var blockKind: BlockKind? { .int8 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Int8 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> Int8 { try convertInteger(element) }
}

extension Int16: WireScalar {
  static var blockKind: BlockKind? { .int16 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Int16 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> Int16 { try convertInteger(element) }
}

extension Int32: WireScalar {
  static var blockKind: BlockKind? { .int32 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Int32 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> Int32 { try convertInteger(element) }
}

extension Int64: WireScalar {
  static var blockKind: BlockKind? { .int64 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Int64 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> Int64 { try convertInteger(element) }
}

extension Int128: WireScalar {
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Int128 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> Int128 { try convertInteger(element) }
}

extension UInt: WireScalar {
  static var blockKind: BlockKind? { .uint64 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> UInt {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> UInt { try convertInteger(element) }
}

extension UInt8: WireScalar {
  static var blockKind: BlockKind? { .uint8 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> UInt8 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> UInt8 { try convertInteger(element) }
}

extension UInt16: WireScalar {
  static var blockKind: BlockKind? { .uint16 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> UInt16 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> UInt16 { try convertInteger(element) }
}

extension UInt32: WireScalar {
  static var blockKind: BlockKind? { .uint32 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> UInt32 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> UInt32 { try convertInteger(element) }
}

extension UInt64: WireScalar {
  static var blockKind: BlockKind? { .uint64 }
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> UInt64 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> UInt64 { try convertInteger(element) }
}

extension UInt128: WireScalar {
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) { writeInteger(to: buffer) }
  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> UInt128 {
    try readInteger(from: reader, at: &position)
  }
  static func convert(_ element: WireElement) throws(ReadFailure) -> UInt128 { try convertInteger(element) }
}
