import HeddlePython
import Testing

@testable import HeddleCommand

struct RowTests {
  private func json(_ value: PythonValue) throws -> String {
    var writer = JSONWriter()
    try writer.write(MarshaledValue(bytes: MarshalEncoder().encode(value)))
    return String(decoding: writer.bytes, as: UTF8.self)
  }
  private func input(_ value: PythonValue, index: Int = 0) throws -> Input {
    Input(index: index, content: .value(MarshaledValue(bytes: try MarshalEncoder().encode(value))), format: .lines)
  }

  @Test func `values are written as python's json writes them`() throws {
    let table: [(PythonValue, String)] = [
      (nil, "null"), (true, "true"), (-5, "-5"), (.bigInteger("123456789012345678901"), "123456789012345678901"), (1.5, "1.5"),
      (.double(1e16), "1e+16"), (.double(3), "3.0"), (.double(.nan), "NaN"), (.double(-.infinity), "-Infinity"),
      ("a\"\\\n\t\u{1}é\u{1F600}\u{7f}", "\"a\\\"\\\\\\n\\t\\u0001é\u{1F600}\u{7f}\""),
      (.bytes([]), "\"\""), (.bytes([102]), "\"Zg==\""), (.bytes([102, 111]), "\"Zm8=\""), (.bytes([102, 111, 111]), "\"Zm9v\""),
      ([1, [], [:], ["k": [nil]]], "[1, [], {}, {\"k\": [null]}]"),
      ([.int(1): 2, .bool(true): 3, .none: 4, .double(1.5): 5], "{\"1\": 2, \"true\": 3, \"null\": 4, \"1.5\": 5}"),
    ]
    for (value, expected) in table { #expect(try json(value) == expected) }
    #expect(throws: JSONWriter.Unwritable.self) { try json([.bytes([1]): 1]) }
    #expect(throws: JSONWriter.Unwritable.self) { try JSONWriter().writing([UInt8(ascii: "y")]) }
  }

  @Test func `a row is one line of json as documented`() throws {
    let table: [(CallOutcome.Ending, String)] = [
      (.value(["n": 1]), #"{"index": 3, "input": "a.jpg", "ok": true, "value": {"n": 1}, "seconds": 0.12, "attempts": 2}"#),
      (
        .raised(PythonFailure(type: "ValueError", message: "no\ngood", traceback: "T")),
        #"{"index": 3, "input": "a.jpg", "ok": false, "error": {"code": "exception", "type": "ValueError", "message": "no\ngood", "#
          + #""traceback": "T"}, "seconds": 0.12, "attempts": 2}"#
      ),
      (
        .failed(code: "workerDied", message: "died", exit: "SIGSEGV"),
        #"{"index": 3, "input": "a.jpg", "ok": false, "error": {"code": "workerDied", "message": "died", "exit": "SIGSEGV"}, "#
          + #""seconds": 0.12, "attempts": 2}"#
      ),
    ]
    for (ending, expected) in table {
      let row = Row(try input("a.jpg", index: 3), CallOutcome(ending: ending, seconds: 0.12000004, attempts: 2))
      #expect(String(decoding: row.line, as: UTF8.self) == expected + "\n")
    }
    let odd = Row(try input(1), CallOutcome(ending: .value([.bytes([1]): 1]), seconds: 0, attempts: 1))
    #expect(odd.failure?.code == "notDecodable")
  }

  @Test func `an input becomes the arguments that its format says`() throws {
    func call(_ value: PythonValue, _ format: InputFormat) throws -> PythonValue {
      let input = Input(index: 0, content: .value(MarshaledValue(bytes: try MarshalEncoder().encode(value))), format: format)
      return try MarshalDecoder().decode(PythonValue.self, from: #require(input.arguments()))
    }
    #expect(try call("a", .lines) == [["a"], [:]])
    #expect(try call(7, .json) == [[7], [:]])
    #expect(try call([1, 2], .json) == [[1, 2], [:]])
    #expect(try call(["k": 1], .json) == [[], ["k": 1]])
    #expect(try call(["k": "1"], .csv) == [[], ["k": "1"]])
  }
}

extension JSONWriter {
  fileprivate func writing(_ bytes: [UInt8]) throws {
    var copy = self
    try copy.write(MarshaledValue(bytes: bytes))
  }
}
