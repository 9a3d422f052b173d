/// Looks at bytes as UTF-8 without making a `String` of them.
///
/// Of slices of arrays only: the tool does this for each input and each row, and generic code of another module is some ten times as slow.
package enum UTF8Text {
  /// How many bytes from the start are valid UTF-8.
  package static func validPrefixLength(_ bytes: ArraySlice<UInt8>) -> Int {
    var place = bytes.startIndex
    while place < bytes.endIndex {
      if bytes[place] < 0x80 {
        place += 1
      } else {
        guard let size = sequenceLength(bytes, at: place) else { break }
        place += size
      }
    }
    return place - bytes.startIndex
  }

  /// The length of the sequence that starts at a place; nil where none does.
  package static func sequenceLength(_ bytes: ArraySlice<UInt8>, at place: Int) -> Int? {
    let first = bytes[place]
    if first < 0x80 { return 1 }
    guard place + 1 < bytes.endIndex else { return nil }
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
    guard count > 0, range.contains(bytes[place + 1]), place + count <= bytes.endIndex else { return nil }
    for next in 2..<max(count, 2) where bytes[place + next] & 0xc0 != 0x80 { return nil }
    return count
  }
}
