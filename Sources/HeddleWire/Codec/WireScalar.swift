/// A value without parts: what containers write and read directly.
protocol WireScalar: Decodable, Sendable {
  /// The kind of blocks whose elements are this type, where there is one.
  static var blockKind: BlockKind? { get }

  /// Appends tag and value.
  func write(to buffer: borrowing WriteBuffer)

  /// Reads the value whose tag is at `position` and moves `position` behind it.
  ///
  /// On any error `position` is where it was.
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Self

  /// Makes this type's value of a value of another type, as JSON would.
  static func convert(_ element: WireElement) throws(ReadFailure) -> Self
}

/// Why a value cannot be read as the type asked for; the container that knows the place makes a `DecodingError` of it.
enum ReadFailure: Error {
  /// The bytes are no message.
  case corrupted(String)
  /// There is a value of another type.
  case mismatch(found: String)
  /// There is nil.
  case null
  /// There is a number, which this type cannot hold.
  case doesNotFit(number: String)
  /// There is no memory here for so many bytes.
  case noMemory(Int)

  /// The message is not the one that is being read.
  static var outlived: ReadFailure { .corrupted("A decoder or container is used after the value that it belongs to was decoded.") }
}

/// A value of a message, whatever its type.
enum WireElement {
  case null
  case bool(Bool)
  case integer(Int128)
  /// Above `Int128.max`.
  case large(UInt128)
  case float(Float)
  case double(Double)
  case string(String)
  case keyed
  case unkeyed

  /// The name used in errors.
  var name: String {
    switch self {
    case .null: "null"
    case .bool: "bool"
    case .integer, .large, .float, .double: "number"
    case .string: "string"
    case .keyed: "dictionary"
    case .unkeyed: "array"
    }
  }
}

extension WireScalar {
  static var blockKind: BlockKind? { nil }

  /// The path for every pair of written and wanted type that is not the usual one.
  @inline(never)
  static func readConverting(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Self {
    var end = position
    let value = try convert(reader.element(at: &end))
    position = end
    return value
  }
}

extension Bool: WireScalar {
  static var blockKind: BlockKind? { .bool }

  func write(to buffer: borrowing WriteBuffer) {
    buffer.append(byte: (self ? WireTag.yes : .no).rawValue)
  }

  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Bool {
    let tag = try reader.tag(at: position)
    guard tag == .yes || tag == .no else { return try readConverting(from: reader, at: &position) }
    position += 1
    return tag == .yes
  }

  static func convert(_ element: WireElement) throws(ReadFailure) -> Bool {
    if case .bool(let value) = element { return value }
    throw element.isNull ? .null : .mismatch(found: element.name)
  }
}

extension String: WireScalar {
  @inline(__always)
  func write(to buffer: borrowing WriteBuffer) {
    buffer.append(byte: WireTag.string.rawValue)
    buffer.append(utf8: self)
  }

  @inline(__always)
  static func read(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> String {
    guard try reader.tag(at: position) == .string else { return try readConverting(from: reader, at: &position) }
    var end = position + 1
    let value = try reader.text(at: &end)
    position = end
    return value
  }

  static func convert(_ element: WireElement) throws(ReadFailure) -> String {
    if case .string(let value) = element { return value }
    throw element.isNull ? .null : .mismatch(found: element.name)
  }
}

extension WireElement {
  var isNull: Bool {
    if case .null = self { true } else { false }
  }
}

/// What the integers of all widths share.
extension WireScalar where Self: FixedWidthInteger {
  @inline(__always)
  func writeInteger(to buffer: borrowing WriteBuffer) {
    if let narrow = Int64(exactly: self) {
      buffer.append(integer: narrow)
    } else {
      writeLargeInteger(to: buffer)
    }
  }

  @inline(never)
  private func writeLargeInteger(to buffer: borrowing WriteBuffer) {
    if let unsigned = UInt64(exactly: self) {
      buffer.append(byte: WireTag.unsigned.rawValue)
      buffer.append(fixed: unsigned)
    } else if let wide = Int128(exactly: self) {
      buffer.append(byte: WireTag.wide.rawValue)
      buffer.append(fixed: wide)
    } else {
      buffer.append(byte: WireTag.wideUnsigned.rawValue)
      buffer.append(fixed: UInt128(self))
    }
  }

  @inline(__always)
  static func readInteger(from reader: MessageReader, at position: inout Int) throws(ReadFailure) -> Self {
    guard try reader.tag(at: position) == .integer else { return try readConverting(from: reader, at: &position) }
    var end = position + 1
    let zigzag = try reader.varint(at: &end)
    let number = Int64(bitPattern: zigzag &>> 1) ^ -Int64(bitPattern: zigzag & 1)
    guard let value = Self(exactly: number) else { throw .doesNotFit(number: "\(number)") }
    position = end
    return value
  }

  static func convertInteger(_ element: WireElement) throws(ReadFailure) -> Self {
    switch element {
    case .integer(let number):
      guard let value = Self(exactly: number) else { throw .doesNotFit(number: "\(number)") }
      return value
    case .large(let number):
      guard let value = Self(exactly: number) else { throw .doesNotFit(number: "\(number)") }
      return value
    case .null: throw .null
    case .float, .double: throw .mismatch(found: "a floating-point number")
    case .bool, .string, .keyed, .unkeyed: throw .mismatch(found: element.name)
    }
  }
}
