/// Looks at bytes as UTF-8 without making a `String` of them.
package enum UTF8Text {
  /// How many bytes from the start are valid UTF-8.
  package static func validPrefixLength(_ bytes: some Collection<UInt8>) -> Int {
    var length = 0
    var rest = bytes[...]
    while let first = rest.first {
      guard let size = sequenceLength(rest, first: first) else { break }
      length += size
      rest = rest.dropFirst(size)
    }
    return length
  }

  /// The length of the sequence that `bytes` starts with; nil where it starts with none.
  private static func sequenceLength(_ bytes: some Collection<UInt8>, first: UInt8) -> Int? {
    if first < 0x80 { return 1 }
    var tail = bytes.dropFirst().makeIterator()
    guard let second = tail.next() else { return nil }
    // The second byte's range shuts out overlong forms, surrogates, and what is past U+10FFFF.
    let (count, range): (Int, ClosedRange<UInt8>) =
      switch first {
      case 0xc2...0xdf: (2, 0x80...0xbf)
      case 0xe0: (3, 0xa0...0xbf)
      case 0xed: (3, 0x80...0x9f)
      case 0xe1...0xef: (3, 0x80...0xbf)
      case 0xf0: (4, 0x90...0xbf)
      case 0xf1...0xf3: (4, 0x80...0xbf)
      case 0xf4: (4, 0x80...0x8f)
      default: (0, 0...0)
      }
    guard count > 0, range.contains(second) else { return nil }
    for _ in 2..<max(count, 2) {
      guard let next = tail.next(), next & 0xc0 == 0x80 else { return nil }
    }
    return count
  }
}
