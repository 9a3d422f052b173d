/// The first byte of every value of a message.
///
/// A tag says what follows and so how far to skip; README.md beside this file has the layouts. Numbers are part of the format.
enum WireTag: UInt8 {
  /// Nothing follows. It is zero because a message begins with a zero byte: position 0 reads as nil, which a super that was never
  /// written needs.
  case null = 0
  case no = 1
  case yes = 2
  /// A zigzag varint; any integer within `Int64`, whatever its width was.
  case integer = 3
  /// Eight bytes; an integer above `Int64.max` and within `UInt64`.
  case unsigned = 4
  /// Sixteen bytes, signed.
  case wide = 5
  /// Sixteen bytes, unsigned, above `Int128.max`.
  case wideUnsigned = 6
  case float = 7
  case double = 8
  /// A varint byte count and UTF-8.
  case string = 9
  /// Four bytes of length, then entries: a key number as varint, and a value.
  case keyed = 10
  /// Four bytes of length, four of element count, then values.
  case unkeyed = 11
  /// A `BlockKind` byte, a varint count, then the elements as they lie in memory.
  case block = 12
  /// A `BlockKind` byte, a varint count and a varint segment number; the elements are the segment.
  case segment = 13

  /// As `init(rawValue:)`, which compares one by one.
  @inline(__always)
  init?(_ byte: UInt8) {
    guard byte <= WireTag.segment.rawValue else { return nil }
    // SAFETY: the cases are numbered from 0 to 13 in the order of their declaration, which is what they are in memory.
    self = unsafe unsafeBitCast(byte, to: WireTag.self)
  }
}

/// What the elements of a block are.
///
/// Numbers are part of the format.
enum BlockKind: UInt8 {
  case int8 = 1
  case uint8 = 2
  case int16 = 3
  case uint16 = 4
  case int32 = 5
  case uint32 = 6
  case int64 = 7
  case uint64 = 8
  case float = 9
  case double = 10
  /// One byte an element, 0 or 1.
  case bool = 11

  /// Size of one element.
  ///
  /// Unit: bytes.
  var stride: Int {
    switch self {
    case .int8, .uint8, .bool: 1
    case .int16, .uint16: 2
    case .int32, .uint32, .float: 4
    case .int64, .uint64, .double: 8
    }
  }
}

/// Sizes that both ends agree on, and bounds that keep a bad type or message from taking the process down.
enum WireLimit {
  /// How deep containers may nest.
  ///
  /// Unit: containers.
  ///
  /// `JSONDecoder` has the same bound. Each level is several frames of a thread's stack.
  static let nesting = 512

  /// How many calls of `encode(to:)` or `init(from:)` may be open.
  ///
  /// Unit: calls.
  ///
  /// Single values nest without a container (an optional takes one such call a level), so this is above `nesting`; a type that
  /// passes itself to its own single value container ends here instead of in a stack overflow.
  static let calls = 1_200

  /// From which size on a block travels as a segment instead of being copied into the message.
  ///
  /// Unit: bytes.
  static let segment = 65_536

  /// What is kept free behind a value that a buffer grows for: the ends of what surrounds it, and the names of keys.
  ///
  /// Unit: bytes.
  static let tail = 4_096

  /// Above which size a scratch buffer is given back after a message.
  ///
  /// Unit: bytes.
  static let scratch = 1 << 20

  /// The largest message without its segments, because lengths and positions are four bytes.
  ///
  /// Unit: bytes.
  static let message = Int(UInt32.max)

  /// Bytes before the first value: a null tag, the version, two zero bytes, and four bytes with the position of the key table.
  static let header = 8

  /// The first byte of a bare message: a single value follows, which is no container, and there are no keys.
  static let bare: UInt8 = 1

  /// The format's version, the second byte of a message.
  static let version: UInt8 = 1

  /// A header whose table position is still zero.
  static let versionWord = UInt64(version) << 8

  /// Bytes of a keyed container before its entries: tag and length.
  static let keyedHead = 5

  /// Bytes of an unkeyed container before its elements: tag, length and count.
  static let unkeyedHead = 9
}
