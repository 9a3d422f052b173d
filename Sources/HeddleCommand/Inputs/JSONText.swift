import HeddlePython

/// Reads JSON as Python's `json` does and writes it as marshal: integers of any length, `NaN` and `Infinity`, lone surrogates.
struct JSONText {
  /// What is wrong with a text, and where.
  struct SyntaxError: Error, CustomStringConvertible {
    let description: String
  }

  /// Appends the one value that `text` is to `writer`.
  static func write(_ text: [UInt8], into writer: inout MarshalWriter) throws(SyntaxError) {
    var reader = JSONText(text: text)
    try reader.value(into: &writer, depth: 0)
    reader.skipSpace()
    if reader.position < text.count { throw reader.error("something follows the value") }
  }
  /// The members of the object that `text` is, each in marshal's bytes; nil where it is no object.
  static func members(of text: [UInt8]) -> [(name: String, value: MarshaledValue)]? {
    var reader = JSONText(text: text)
    var members: [(name: String, value: MarshaledValue)] = []
    do throws(SyntaxError) {
      reader.skipSpace()
      guard reader.take("{") else { return nil }
      try reader.separated(until: "}") { (reader) throws(SyntaxError) in
        var name = MarshalWriter()
        try reader.string(into: &name)
        try reader.colon()
        var value = MarshalWriter()
        try reader.value(into: &value, depth: 1)
        members.append((String(decoding: name.bytes.dropFirst(5), as: UTF8.self), MarshaledValue(bytes: value.bytes)))
      }
      reader.skipSpace()
      return reader.position == text.count ? members : nil
    } catch { return nil }
  }

  private let text: [UInt8]
  private var position = 0
  private init(text: [UInt8]) { self.text = text }

  private mutating func value(into writer: inout MarshalWriter, depth: Int) throws(SyntaxError) {
    guard depth < MarshalLimit.depth else { throw error("it nests deeper than \(MarshalLimit.depth)") }
    skipSpace()
    guard position < text.count else { throw error("a value is missing") }
    switch text[position] {
    case UInt8(ascii: "{"):
      position += 1
      writer.beginDictionary()
      var inner = writer
      writer = MarshalWriter()
      try separated(until: "}") { (reader) throws(SyntaxError) in
        try reader.string(into: &inner)
        try reader.colon()
        try reader.value(into: &inner, depth: depth + 1)
      }
      writer = inner
      writer.endDictionary()
    case UInt8(ascii: "["):
      position += 1
      let mark = writer.beginListOfUnknownCount()
      var inner = writer
      writer = MarshalWriter()
      var count = 0
      try separated(until: "]") { (reader) throws(SyntaxError) in
        try reader.value(into: &inner, depth: depth + 1)
        count += 1
      }
      writer = inner
      writer.setCount(count, at: mark)
    case UInt8(ascii: "\""): try string(into: &writer)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): try number(into: &writer)
    default:
      if take("null") { writer.writeNone(); return }
      if take("true") { writer.write(true); return }
      if take("false") { writer.write(false); return }
      if take("NaN") { writer.write(Double.nan); return }
      if take("Infinity") { writer.write(Double.infinity); return }
      throw error("this is no value; text needs quotes")
    }
  }

  /// Elements up to the closing character, with commas between them.
  private mutating func separated(until end: Character, _ element: (inout JSONText) throws(SyntaxError) -> Void) throws(SyntaxError) {
    skipSpace()
    if take(end) { return }
    while true {
      skipSpace()
      try element(&self)
      skipSpace()
      if take(end) { return }
      guard take(",") else { throw error("a comma or \(end) is missing") }
    }
  }
  private mutating func colon() throws(SyntaxError) {
    skipSpace()
    guard take(":") else { throw error("a colon is missing") }
  }

  private mutating func number(into writer: inout MarshalWriter) throws(SyntaxError) {
    if take("-Infinity") { return writer.write(-Double.infinity) }
    let start = position
    _ = take("-")
    let first = position
    skipDigits()
    guard position > first, text[first] != UInt8(ascii: "0") || position == first + 1 else { throw error("this is no number") }
    var isInteger = true
    if take(".") {
      isInteger = false
      let fraction = position
      skipDigits()
      guard position > fraction else { throw error("digits are missing after the point") }
    }
    if take("e") || take("E") {
      isInteger = false
      if !take("+") { _ = take("-") }
      let exponent = position
      skipDigits()
      guard position > exponent else { throw error("digits are missing in the exponent") }
    }
    let digits = String(decoding: text[start..<position], as: UTF8.self)
    if isInteger {
      guard writer.write(decimal: digits) else { throw error("an integer has too many digits") }
    } else {
      // Digits with a point or an exponent are always a Double; where they are too large, it is infinite, as in Python.
      writer.write(Double(digits) ?? .infinity)
    }
  }
  private mutating func skipDigits() {
    while position < text.count, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(text[position]) { position += 1 }
  }

  private mutating func string(into writer: inout MarshalWriter) throws(SyntaxError) {
    skipSpace()
    guard take("\"") else { throw error("a text in quotes is missing") }
    var content: [UInt8] = []
    var pending: UInt32?
    func flush(_ content: inout [UInt8]) {
      if let high = pending { Self.append(high, to: &content) }
      pending = nil
    }
    while position < text.count {
      let byte = text[position]
      position += 1
      switch byte {
      case UInt8(ascii: "\""):
        flush(&content)
        return writer.write(encoded: content)
      case UInt8(ascii: "\\"):
        guard position < text.count else { break }
        let code = text[position]
        position += 1
        if code == UInt8(ascii: "u") {
          let unit = try hexadecimal()
          if let high = pending, (0xdc00...0xdfff).contains(unit) {
            Self.append(0x10000 + (high - 0xd800) << 10 + (unit - 0xdc00), to: &content)
            pending = nil
          } else {
            flush(&content)
            if (0xd800...0xdbff).contains(unit) { pending = unit } else { Self.append(unit, to: &content) }
          }
          continue
        }
        flush(&content)
        switch code {
        case UInt8(ascii: "n"): content.append(0x0a)
        case UInt8(ascii: "r"): content.append(0x0d)
        case UInt8(ascii: "t"): content.append(0x09)
        case UInt8(ascii: "b"): content.append(0x08)
        case UInt8(ascii: "f"): content.append(0x0c)
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): content.append(code)
        default: throw error("\\\(Character(UnicodeScalar(code))) is no escape")
        }
      case 0..<0x20: throw error("a control character stands in a text")
      default:
        flush(&content)
        content.append(byte)
      }
    }
    throw error("a text is not closed")
  }
  private mutating func hexadecimal() throws(SyntaxError) -> UInt32 {
    guard text.count - position >= 4, let unit = UInt32(String(decoding: text[position..<(position + 4)], as: UTF8.self), radix: 16) else {
      throw error("four hexadecimal digits are missing after \\u")
    }
    position += 4
    return unit
  }
  /// A code point as UTF-8; a surrogate as three bytes, as marshal holds it.
  private static func append(_ point: UInt32, to bytes: inout [UInt8]) {
    switch point {
    case 0..<0x80: bytes.append(UInt8(point))
    case 0..<0x800: bytes += [UInt8(0xc0 | point >> 6), UInt8(0x80 | point & 0x3f)]
    case 0..<0x10000: bytes += [UInt8(0xe0 | point >> 12), UInt8(0x80 | point >> 6 & 0x3f), UInt8(0x80 | point & 0x3f)]
    default:
      bytes += [
        UInt8(0xf0 | point >> 18), UInt8(0x80 | point >> 12 & 0x3f), UInt8(0x80 | point >> 6 & 0x3f), UInt8(0x80 | point & 0x3f),
      ]
    }
  }

  private mutating func skipSpace() {
    while position < text.count, [0x20, 0x09, 0x0a, 0x0d].contains(text[position]) { position += 1 }
  }
  private mutating func take(_ word: some StringProtocol) -> Bool {
    guard text[position...].starts(with: word.utf8) else { return false }
    position += word.utf8.count
    return true
  }
  private mutating func take(_ character: Character) -> Bool {
    guard position < text.count, text[position] == character.asciiValue else { return false }
    position += 1
    return true
  }
  private func error(_ sentence: String) -> SyntaxError { SyntaxError(description: "\(sentence) (column \(position + 1))") }
}
