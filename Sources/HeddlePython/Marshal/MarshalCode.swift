/// The type codes of CPython's `marshal`, version 2: the first byte of every value.
///
/// Read off `Python/marshal.c`; every supported version of Python writes version 2 alike: no references, no short forms.
enum MarshalCode {
  static let none = UInt8(ascii: "N")
  static let `true` = UInt8(ascii: "T")
  static let `false` = UInt8(ascii: "F")
  /// Four bytes, two's complement.
  static let int = UInt8(ascii: "i")
  /// A signed count of digits (four bytes; its sign is the number's), then digits of 15 bits in two bytes, the lowest first.
  static let long = UInt8(ascii: "l")
  /// Eight bytes, IEEE 754.
  static let double = UInt8(ascii: "g")
  /// A length (four bytes), then UTF-8, in which a lone surrogate may stand as three bytes.
  static let string = UInt8(ascii: "u")
  /// A length (four bytes), then the bytes.
  static let bytes = UInt8(ascii: "s")
  /// A count (four bytes), then the values.
  ///
  /// So are the next three.
  static let tuple = UInt8(ascii: "(")
  static let list = UInt8(ascii: "[")
  static let set = UInt8(ascii: "<")
  static let frozenSet = UInt8(ascii: ">")
  /// An array, or a part of shared memory: both sides write what marshal has no type for as a `frozenset` of pairs, and nothing else as one.
  static var array: UInt8 { frozenSet }
  /// Key, value, key, value, …, `end`.
  static let dictionary = UInt8(ascii: "{")
  static let end = UInt8(ascii: "0")

  /// Bits in a digit of a `long`.
  static let digitBits = 15

  /// What Python calls the type of a code; for messages.
  static func typeName(_ code: UInt8) -> String {
    switch code {
    case none: "None"
    case `true`, `false`: "bool"
    case int, long: "int"
    case double: "float"
    case string: "str"
    case bytes: "bytes"
    case tuple: "tuple"
    case list: "list"
    case set: "set"
    case frozenSet: "array"
    case dictionary: "dict"
    case UInt8(ascii: "y"): "complex"
    case UInt8(ascii: "."): "ellipsis"
    case UInt8(ascii: "c"): "code"
    default: "value of code \(code)"
    }
  }
}

/// Limits of what travels to and from Python.
package enum MarshalLimit {
  /// How deep lists and dictionaries may nest for a `Codable` type: its decoding recurses, and a worker thread's stack is small.
  package static let depth = 512
  /// The longest integer, in digits of 15 bits: about 74,000 decimal digits.
  ///
  /// Writing one in decimal takes time that grows with the square of its length, and the bytes may come from a worker gone mad.
  package static let integerDigits = 1 << 14
  /// Bytes of one result; positions in it are kept in four bytes.
  package static let byteCount = Int(UInt32.max)
}
