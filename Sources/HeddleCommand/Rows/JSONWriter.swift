import HeddlePython

/// Writes values as JSON text, in the style of Python's `json`: `, ` and `: ` between things, `NaN` and `Infinity` as words.
///
/// Other than there, text stays UTF-8 and is not escaped to ASCII, and bytes are written as base64.
struct JSONWriter {
  /// What has been written.
  private(set) var bytes: [UInt8] = []

  /// What has no form in JSON, as a sentence.
  struct Unwritable: Error, CustomStringConvertible {
    let description: String
  }
  /// How deep a value may nest: as deep as the bridge sends.
  static let depth = 1000

  mutating func write(raw text: String) { bytes.append(contentsOf: text.utf8) }
  mutating func write(_ value: String) { write(utf8: Array(value.utf8)[...]) }
  mutating func write(_ value: Double) {
    if value.isNaN {
      write(raw: "NaN")
    } else if value.isInfinite {
      write(raw: value < 0 ? "-Infinity" : "Infinity")
    } else {
      write(raw: value.description)
    }
  }

  /// Writes a value from marshal's bytes.
  ///
  /// Where that fails nothing has been added.
  mutating func write(_ value: MarshaledValue) throws(Unwritable) {
    let start = bytes.count
    do {
      try write(MarshalIndex.root, of: MarshalIndex(value.bytes, depth: Self.depth))
    } catch {
      bytes.removeSubrange(start...)
      if let error = error as? Unwritable { throw error }
      guard case DecodingError.dataCorrupted(let context) = error else { throw Unwritable(description: "\(error)") }
      throw Unwritable(description: context.debugDescription)
    }
  }
  private mutating func write(_ entry: Int, of index: MarshalIndex) throws(Unwritable) {
    switch index.kind(entry) {
    case .none: write(raw: "null")
    case .bool(let value): write(raw: value ? "true" : "false")
    case .integer: write(raw: try decimal(entry, of: index))
    case .double: write(index.double(entry))
    case .string: write(utf8: index.content(entry))
    case .bytes:
      bytes.append(UInt8(ascii: "\""))
      writeBase64(index.content(entry))
      bytes.append(UInt8(ascii: "\""))
    case .list:
      write(raw: "[")
      var next = entry + 1
      let end = index.next(entry)
      while next < end {
        if next > entry + 1 { write(raw: ", ") }
        try write(next, of: index)
        next = index.next(next)
      }
      write(raw: "]")
    case .dictionary:
      write(raw: "{")
      var key = entry + 1
      let end = index.next(entry)
      while key < end {
        if key > entry + 1 { write(raw: ", ") }
        try write(key: key, of: index)
        write(raw: ": ")
        let value = index.next(key)
        try write(value, of: index)
        key = index.next(value)
      }
      write(raw: "}")
    }
  }
  /// A key, as Python's `json` makes text of it.
  private mutating func write(key: Int, of index: MarshalIndex) throws(Unwritable) {
    switch index.kind(key) {
    case .string: write(utf8: index.content(key))
    case .integer: write(try decimal(key, of: index))
    case .bool(let value): write(value ? "true" : "false")
    case .none: write("null")
    case .double:
      write(raw: "\"")
      write(index.double(key))
      write(raw: "\"")
    case .bytes, .list, .dictionary:
      throw Unwritable(description: "a dictionary has a key that is bytes or a tuple, which JSON has not; use str or int as keys")
    }
  }
  private func decimal(_ entry: Int, of index: MarshalIndex) throws(Unwritable) -> String {
    guard let text = index.decimal(entry) else {
      throw Unwritable(description: "an integer is too long to be written in decimal; return str or hex of it")
    }
    return text
  }

  /// Text in quotes.
  ///
  /// What is no UTF-8 is escaped: a lone surrogate as itself, anything else as U+FFFD.
  mutating func write(utf8 text: ArraySlice<UInt8>) {
    bytes.append(UInt8(ascii: "\""))
    // What goes as it is goes in one piece.
    var begin = text.startIndex
    var place = begin
    while place < text.endIndex {
      let byte = text[place]
      let size = byte < 0x80 ? 1 : UTF8Text.sequenceLength(text, at: place)
      if let size, byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
        place += size
        continue
      }
      bytes.append(contentsOf: text[begin..<place])
      place += size == nil ? write(lone: text[place...]) : 1
      if size != nil { write(character: byte) }
      begin = place
    }
    bytes.append(contentsOf: text[begin...])
    bytes.append(UInt8(ascii: "\""))
  }
  /// Writes in its stead what is no UTF-8, and answers how long that was.
  private mutating func write(lone text: ArraySlice<UInt8>) -> Int {
    let tail = Array(text.dropFirst().prefix(2))
    guard text.first == 0xed, tail.count == 2, tail[0] >= 0xa0, tail.allSatisfy({ $0 & 0xc0 == 0x80 }) else {
      write(raw: "\\ufffd")
      return 1
    }
    write(raw: "\\u")
    write(raw: String(0xd000 | UInt32(tail[0] & 0x3f) << 6 | UInt32(tail[1] & 0x3f), radix: 16))
    return 3
  }
  private mutating func write(character byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"):
      bytes.append(UInt8(ascii: "\\"))
      bytes.append(byte)
    case 0x20...: bytes.append(byte)
    case 0x0a: write(raw: "\\n")
    case 0x0d: write(raw: "\\r")
    case 0x09: write(raw: "\\t")
    case 0x08: write(raw: "\\b")
    case 0x0c: write(raw: "\\f")
    default: write(raw: "\\u00" + (byte < 16 ? "0" : "") + String(byte, radix: 16))
    }
  }

  private static let base64 = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
  private mutating func writeBase64(_ content: ArraySlice<UInt8>) {
    var position = content.startIndex
    while position < content.endIndex {
      let group = content[position..<min(position + 3, content.endIndex)]
      var bits: UInt32 = 0
      for byte in group { bits = bits << 8 | UInt32(byte) }
      bits <<= UInt32(8 * (3 - group.count))
      for place in 0..<4 {
        bytes.append(place <= group.count ? Self.base64[Int(bits >> UInt32(18 - 6 * place) & 63)] : UInt8(ascii: "="))
      }
      position += 3
    }
  }
}
