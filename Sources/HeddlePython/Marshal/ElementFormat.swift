/// The types of elements that both sides know, by their letters in Python's `struct` and `memoryview`.
enum ElementFormat {
  /// The letter of a Swift type; nil: Python has none for it, and sees bytes.
  static func letter(of type: Any.Type) -> UInt8? { letters[ObjectIdentifier(type)] }
  private static let letters: [ObjectIdentifier: UInt8] = {
    var letters: [ObjectIdentifier: UInt8] = [
      ObjectIdentifier(Bool.self): UInt8(ascii: "?"), ObjectIdentifier(Int8.self): UInt8(ascii: "b"),
      ObjectIdentifier(UInt8.self): UInt8(ascii: "B"), ObjectIdentifier(Int16.self): UInt8(ascii: "h"),
      ObjectIdentifier(UInt16.self): UInt8(ascii: "H"), ObjectIdentifier(Int32.self): UInt8(ascii: "i"),
      ObjectIdentifier(UInt32.self): UInt8(ascii: "I"), ObjectIdentifier(Int64.self): UInt8(ascii: "l"),
      ObjectIdentifier(UInt64.self): UInt8(ascii: "L"), ObjectIdentifier(Int.self): UInt8(ascii: "l"),
      ObjectIdentifier(UInt.self): UInt8(ascii: "L"), ObjectIdentifier(Float.self): UInt8(ascii: "f"),
      ObjectIdentifier(Double.self): UInt8(ascii: "d"),
    ]
    #if !(os(macOS) && arch(x86_64))
      letters[ObjectIdentifier(Float16.self)] = UInt8(ascii: "e")
    #endif
    return letters
  }()

  /// The one letter for those that mean the same on every platform that Heddle runs on: `long long` is a `long`.
  static func canonical(_ letter: UInt8) -> UInt8 {
    switch letter {
    case UInt8(ascii: "q"): UInt8(ascii: "l")
    case UInt8(ascii: "Q"): UInt8(ascii: "L")
    default: letter
    }
  }
  /// How long an element is; nil: no such element.
  static func byteCount(of letter: UInt8) -> Int? {
    switch letter {
    case UInt8(ascii: "?"), UInt8(ascii: "b"), UInt8(ascii: "B"), UInt8(ascii: "c"): 1
    case UInt8(ascii: "h"), UInt8(ascii: "H"): 2
    case UInt8(ascii: "i"), UInt8(ascii: "I"), UInt8(ascii: "f"): 4
    case UInt8(ascii: "l"), UInt8(ascii: "L"), UInt8(ascii: "d"): 8
    default: nil
    }
  }
  /// What Python's users call it; for messages.
  static func name(of letter: UInt8) -> String {
    switch letter {
    case UInt8(ascii: "?"): "bool"
    case UInt8(ascii: "b"): "int8"
    case UInt8(ascii: "B"), UInt8(ascii: "c"): "uint8"
    case UInt8(ascii: "h"): "int16"
    case UInt8(ascii: "H"): "uint16"
    case UInt8(ascii: "i"): "int32"
    case UInt8(ascii: "I"): "uint32"
    case UInt8(ascii: "l"): "int64"
    case UInt8(ascii: "L"): "uint64"
    case UInt8(ascii: "e"): "float16"
    case UInt8(ascii: "f"): "float32"
    case UInt8(ascii: "d"): "float64"
    default: "another type"
    }
  }
}
