import HeddlePython
import Testing

@testable import HeddleCommand

struct InputTests {
  /// A reader over text, in blocks of that many bytes.
  private func lines(_ text: String, block: Int = 3) -> LineReader {
    var rest = Array(text.utf8)[...]
    return LineReader { buffer in
      buffer = Array(rest.prefix(block))
      rest = rest.dropFirst(block)
    }
  }
  private func read(_ text: String, _ format: InputFormat) throws -> [String] {
    var reader = try InputReader(lines: lines(text), format: format)
    var result: [String] = []
    while let input = try reader.next() {
      #expect(input.index == result.count)
      var writer = JSONWriter()
      try writer.write(input.value)
      var text = String(decoding: writer.bytes, as: UTF8.self)
      if case .unreadable(_, let sentence) = input.content { text += " ?? \(sentence)" }
      result.append(text)
    }
    return result
  }

  @Test(arguments: [1, 2, 3, 7, 100])
  func `lines do not depend on how the file is cut into blocks`(block: Int) throws {
    let reader = lines("one\n\ntwo\r\n  \nthree", block: block)
    var result: [String] = []
    while let line = try reader.next() { result.append(String(decoding: line, as: UTF8.self)) }
    #expect(result == ["one", "", "two\r", "  ", "three"])
  }

  @Test(arguments: [
    ("", []), ("\n\r\n", []), ("a\n b \r\n\nc", ["\"a\"", "\" b \"", "\"c\""]), ("é\u{1F600}\n", ["\"é\u{1F600}\""]),
    ("\u{FEFF}a\n", ["\"a\""]), ("a\rb\n", ["\"a\\rb\""]),
  ])
  func `text lines are inputs`(text: String, expected: [String]) throws {
    #expect(try read(text, .lines) == expected)
  }

  @Test(arguments: [
    ("1\n[1, \"x\"]\n{\"a\": null, \"b\": [true]}\n", ["1", "[1, \"x\"]", "{\"a\": null, \"b\": [true]}"]),
    ("12345678901234567890123\n-1.5e3\nNaN\n", ["12345678901234567890123", "-1500.0", "NaN"]),
    ("\"\\ud83d\\ude00\\n\\u0000\\ud800\"\n", ["\"\u{1F600}\\n\\u0000\\ud800\""]),
    ("1\n{oops}\n2\n", ["1", "\"{oops}\" ?? line 2 of the inputs is no JSON: a text in quotes is missing (column 2)", "2"]),
    ("[1,]\n", ["\"[1,]\" ?? line 1 of the inputs is no JSON: this is no value; text needs quotes (column 4)"]),
    ("1 2\n", ["\"1 2\" ?? line 1 of the inputs is no JSON: something follows the value (column 3)"]),
  ])
  func `json lines are inputs and a bad one is its own failure`(text: String, expected: [String]) throws {
    #expect(try read(text, .json) == expected)
  }

  @Test(arguments: [
    "", "01", "1.", ".5", "+1", "'a'", "\"a", "[1", "{\"a\" 1}", "tru", "\"\\x\"", "\"\\u12\"", "\"\u{1}\"", "1e", "[1 2]", "-",
  ])
  func `what is no json is refused`(text: String) {
    var writer = MarshalWriter()
    #expect(throws: JSONText.SyntaxError.self) { try JSONText.write(Array(text.utf8), into: &writer) }
  }

  @Test func `deep nesting is refused and not a crash`() {
    for text in [String(repeating: "[", count: 100_000), String(repeating: "{\"a\":", count: 100_000)] {
      var writer = MarshalWriter()
      #expect(throws: JSONText.SyntaxError.self) { try JSONText.write(Array(text.utf8), into: &writer) }
    }
  }

  @Test(arguments: [
    ("a,b\n1,2\n\n3,\"x, \"\"y\"\"\nz\"\r\n", ["{\"a\": \"1\", \"b\": \"2\"}", "{\"a\": \"3\", \"b\": \"x, \\\"y\\\"\\nz\"}"]),
    ("\u{FEFF}a\r\n1\r\n", ["{\"a\": \"1\"}"]),
    ("a,b\n1\n2,3", ["\"1\" ?? line 2 of the inputs has 1 field where the header has 2", "{\"a\": \"2\", \"b\": \"3\"}"]),
    ("a\n\"x\n", ["\"x\" ?? line 2 of the inputs has a quote that is never closed"]),
    ("a\n", []), ("", []),
  ])
  func `csv rows are keyword arguments`(text: String, expected: [String]) throws {
    #expect(try read(text, .csv) == expected)
  }
  @Test(arguments: ["a,a\n", "a,\n", "\"a\n"])
  func `a broken csv header stops before anything runs`(text: String) {
    #expect(throws: UsageError.self) { try read(text, .csv) }
  }

  @Test func `bytes that are no text arrive as python's own file names do`() throws {
    var writer = MarshalWriter()
    writer.write(fileSystemText: [UInt8(ascii: "a"), 0xff, 0xc3, 0xa9, 0xed, 0xa0, 0x80][...])
    #expect(writer.bytes.dropFirst(5) == [0x61, 0xed, 0xb3, 0xbf, 0xc3, 0xa9, 0xed, 0xb3, 0xad, 0xed, 0xb2, 0xa0, 0xed, 0xb2, 0x80])
    var json = JSONWriter()
    try json.write(MarshaledValue(bytes: writer.bytes))
    #expect(String(decoding: json.bytes, as: UTF8.self) == "\"a\\udcffé\\udced\\udca0\\udc80\"")
  }

  @Test func `an input that cannot be opened is a sentence`() {
    for path in ["/no/such/file", "/tmp"] {
      #expect(throws: UsageError.self) { try InputReader(path: path, format: .lines) }
    }
  }
}
