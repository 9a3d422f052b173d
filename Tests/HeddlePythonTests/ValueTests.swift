import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// Values at the edges: each arrives right, or is one clear error.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct ValueTests: Sendable {
  /// What a Python expression gives, and what becomes of it.
  struct Row: Sendable, CustomTestStringConvertible {
    var expression: String
    var expected: PythonValue?
    /// Where it is an error: its code and a part of its sentence.
    var code: JobError.Code?
    var part = ""
    var testDescription: String { expression }

    static func gives(_ expression: String, _ expected: PythonValue) -> Row { Row(expression: expression, expected: expected) }
    static func fails(_ expression: String, _ code: JobError.Code, _ part: String) -> Row {
      Row(expression: expression, code: code, part: part)
    }
  }
  static func nested(_ depth: Int) -> PythonValue { (0..<depth).reduce(1) { value, _ in [value] } }

  static let fromPython: [Row] = [
    .gives("2**63 - 1", .int(.max)), .gives("-2**63", .int(.min)), .gives("2**63", .bigInteger("9223372036854775808")),
    .gives("-2**64", .bigInteger("-18446744073709551616")), .gives("10**4000", .bigInteger("1" + String(repeating: "0", count: 4000))),
    .fails("10**200000", .notDecodable, "return str of it"), .gives("True", true), .gives("float('inf')", .double(.infinity)),
    .gives("-0.0", .double(-0.0)), .gives("5e-324", .double(.leastNonzeroMagnitude)),
    .gives("nest(300)", nested(300)),
    .gives("nest(511)", nested(511)), .fails("nest(600)", .notDecodable, "deeper than 512"),
    .fails("nest(5000)", .notEncodable, "too deep"),
    .fails("circular()", .notEncodable, "holds itself"), .gives("'a\\0b'", "a\0b"), .gives("'\\U0001F600e\\u0301'", "\u{1F600}e\u{301}"),
    .fails("'\\ud800'", .notDecodable, "lone surrogate"), .fails("['ok', 'x\\udfff']", .notDecodable, "lone surrogate"),
    .gives("'\\ud800'.encode('utf-8', 'surrogatepass')", .bytes([0xed, 0xa0, 0x80])),
    .gives("'x' * 20_000_000", .string(String(repeating: "x", count: 20_000_000))),
    .gives("len({'k' * 1_000_000: 1})", 1),
    .gives(
      "{1: 'a', None: 2, 1.5: 3, b'k': 4}",
      .dictionary([
        .init(key: 1, value: "a"), .init(key: .none, value: 2), .init(key: 1.5, value: 3),
        .init(key: .bytes([UInt8(ascii: "k")]), value: 4),
      ])),
    .gives("(1, (2, [3]), frozenset([4]))", [1, [2, [3]], [4]]),
    .gives("bytearray(b'x'), memoryview(b'y')", [.bytes([120]), .bytes([121])]),
    .fails("1j", .notEncodable, "z.real"), .fails("[object()]", .notEncodable, "type object"),
    .fails("{'f': len}", .notEncodable, "built-in"),
    .gives("__import__('decimal').Decimal('1.50'), __import__('fractions').Fraction(1, 3)", ["1.50", "1/3"]), .gives("range(0)", []),
    .gives("{}", [:]),
    .gives("''", ""), .gives("b''", .bytes([])), .gives("None", .none),
  ]

  let folder: TemporaryFolder
  init() throws {
    folder = try TemporaryFolder()
    try folder.write(
      "values.py",
      """
      def nest(n):
          value = 1
          for _ in range(n): value = [value]
          return value
      def circular():
          value = []
          value.append(value)
          return value
      def give(expression): return eval(expression)
      def same(value, expression):
          "Whether it arrived as what the expression says, of the same type."
          expected = eval(expression)
          return type(value) is type(expected) and repr(value) == repr(expected)
      def depth(value):
          n = 0
          while isinstance(value, list): value, n = value[0], n + 1
          return n
      def raises(kind): raise {"surrogate": ValueError("x\\udc80"), "none": ValueError(), "own": Own()}[kind]
      class Own(Exception):
          __module__ = "elsewhere"
      def chain():
          try:
              try: {}["a"]
              except KeyError as first: raise ValueError("second") from first
          except ValueError: raise RuntimeError("third")
      def hidden():
          try: 1 / 0
          except ZeroDivisionError: raise ValueError("alone") from None
      def syntax(): compile("1 +", "given", "exec")
      def group():
          raise ExceptionGroup("several", [ValueError("one"), ExceptionGroup("inner", [KeyError("two")])])
      def noted():
          error = ValueError("with notes")
          error.add_note("a note")
          error.add_note("another")
          raise error
      """)
  }
  func target(_ function: String) -> String { "\(folder.path)/values.py:\(function)" }

  @Test(arguments: ["3.8.18", "3.11.7", "3.12.1", "3.13.0"])
  func `what Python gives arrives right or is one clear error`(version: String) async throws {
    try await withExecutor(Setting(mode: .processes, version: version).executor(maxWorkers: 1)) { (python) async throws in
      for row in Self.fromPython {
        let result = await python.submit(PythonCall<PythonValue>(target("give"), row.expression)).result
        switch result {
        case .success(let value): #expect(value == row.expected, "\(row.expression): \(String("\(value)".prefix(200)))")
        case .failure(let error):
          let failure = error as? JobError
          #expect(row.code != nil && failure?.code == row.code, "\(row.expression): \(error)")
          #expect(failure?.message.contains(row.part) == true, "\(row.expression): \(error)")
        }
      }
      #expect(try await python.submit(PythonCall<Double>(target("give"), "float('nan')")).value.isNaN)
      #expect(try await python.submit(PythonCall<Int128>(target("give"), "-2**127")).value == .min)
      #expect(try await python.submit(PythonCall<UInt128>(target("give"), "2**128 - 1")).value == .max)
      for (expression, part) in [("2**63", "Int"), ("1.0", "float"), ("True", "bool"), ("'1'", "str")] {
        let error = await #expect(throws: JobError.self) { try await python.submit(PythonCall<Int>(target("give"), expression)).value }
        #expect(error?.code == .notDecodable && error?.message.contains(part) == true, "\(expression): \(String(describing: error))")
      }
    }
  }

  @Test(arguments: ["3.8.18", "3.11.7", "3.12.1", "3.13.0"])
  func `what Swift gives arrives right or is one clear error`(version: String) async throws {
    try await withExecutor(Setting(mode: .processes, version: version).executor(maxWorkers: 1)) { (python) async throws in
      let rows: [(any Encodable & Sendable, String)] = [
        (Int.max, "2**63-1"), (UInt64.max, "2**64-1"), (Int128.min, "-2**127"), (UInt128.max, "2**128-1"),
        (PythonValue.bigInteger("1" + String(repeating: "0", count: 4000)), "10**4000"), (Double.nan, "float('nan')"),
        (-Double.infinity, "-float('inf')"), (-0.0, "-0.0"), (Float(0.1), "0.10000000149011612"), ("a\0b\u{1F600}", "'a\\0b\\U0001F600'"),
        (String(repeating: "x", count: 20_000_000), "'x' * 20_000_000"), ([String: Int](), "{}"), ([Int?.none, 1], "[None, 1]"),
        ([1: "a"] as PythonValue, "{1: 'a'}"), (true, "True"), (Data(), "b''"),
      ]
      for (value, expression) in rows {
        let call = PythonCall<Bool>(target("same"), value, expression)
        #expect(try await python.submit(call).value, "\(expression)")
      }
      #expect(try await python.submit(PythonCall<Int>(target("depth"), Self.nested(500))).value == 500)
      let deep = await #expect(throws: JobError.self) { try await python.submit(PythonCall<Int>(target("depth"), Self.nested(5000))).value }
      #expect(deep?.code == .notEncodable && deep?.message.contains("deeper than 512") == true, "\(String(describing: deep))")
      let digits = PythonValue.bigInteger(String(repeating: "9", count: 100_000))
      let long = await #expect(throws: JobError.self) { try await python.submit(PythonCall<Bool>(target("same"), digits, "0")).value }
      #expect(long?.code == .notEncodable, "\(String(describing: long))")
    }
  }

  @Test(arguments: Setting.versions)
  func `a failure has type, message, notes and causes, and prints as Python prints it`(version: String) async throws {
    let setting = Setting(mode: .processes, version: version)
    let interpreter = try #require(try setting.python())
    try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
      func failure(_ function: String, _ argument: String? = nil) async throws -> PythonFailure {
        let call = argument.map { PythonCall<Int>(target(function), $0) } ?? PythonCall(target(function))
        return try #require(await #expect(throws: PythonFailure.self) { try await python.submit(call).value })
      }
      let chain = try await failure("chain")
      #expect([chain.type, chain.message] == ["RuntimeError", "third"] && !chain.isDirectConsequence)
      #expect(chain.causeChain.map(\.type) == ["ValueError", "KeyError"] && chain.causeChain.map(\.message) == ["second", "'a'"])
      #expect(chain.cause?.isDirectConsequence == true)
      #expect(chain.causeChain.allSatisfy { $0.traceback.contains("in chain") && $0.traceback.hasPrefix("Traceback") })
      #expect(chain.cause?.traceback.contains("\nKeyError") == false)
      #expect(try await failure("hidden").cause == nil)
      let surrogate = try await failure("raises", "surrogate")
      #expect(surrogate.message == "x\\udc80" && surrogate.traceback.hasSuffix("ValueError: x\\udc80\n"))
      #expect("\(try await failure("raises", "none"))".hasSuffix("\nValueError"))
      #expect(try await failure("raises", "own").type == "elsewhere.Own")
      #expect(try await failure("syntax").traceback.contains("    1 +"))
      // Word for word what the interpreter itself prints.
      for function in ["chain", "hidden", "syntax"]
        + (version.hasPrefix("3.11") || version.hasPrefix("3.12") || version.hasPrefix("3.13") ? ["noted", "group"] : [])
      {
        let script = "import sys; sys.path.insert(0, \(String(reflecting: folder.path)))\nfrom values import \(function) as f\nf()"
        let output = try ChildProcess.run(
          path: interpreter, arguments: [interpreter, "-B", "-c", script], environment: ChildProcess.environment, limit: .seconds(60))
        // Our text begins at the function's own frame: the script's is not there.
        let printed = String(decoding: output.standardError, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false)
        let expected = printed.filter { !$0.contains("File \"<string>\"") && !$0.contains("~^^") && !$0.hasSuffix("    f()") }
        let ours = try await failure(function).traceback.split(separator: "\n", omittingEmptySubsequences: false).filter {
          !$0.contains("~^^")
        }
        #expect(ours.joined(separator: "\n") == expected.joined(separator: "\n"))
      }
      if ["3.11", "3.12", "3.13"].contains(where: version.hasPrefix) {
        #expect(try await failure("noted").notes == ["a note", "another"])
        let group = try await failure("group")
        #expect(
          group.exceptions.map(\.type) == ["ValueError", "ExceptionGroup"] && group.exceptions.last?.exceptions.first?.message == "'two'")
        let data = try JSONEncoder().encode(group)
        #expect(try JSONDecoder().decode(PythonFailure.self, from: data) == group)
      }
    }
  }

  @Test(arguments: Setting.modes)
  func `a script finds itself as when it is run, and main is the user's`(setting: Setting) async throws {
    try folder.write("pack/__init__.py", "")
    try folder.write("pack/near.py", "value = 7\n")
    try folder.write("pack/inner.py", "from . import near\nfrom .near import value\ndef f(): return value + near.value\n")
    try folder.write("beside.py", "word = 'beside'\n")
    try folder.write(
      "script.py",
      """
      import os, pickle, sys, __main__
      print("at import")
      os.write(1, b"raw at import\\n")
      os.system("echo from a shell at import")
      import beside
      class Thing:
          pass
      def where(): return [__name__, __package__ or "", beside.word, os.path.basename(sys.argv[0])]
      def main(): return sorted(name for name in vars(__main__) if not name.startswith("__"))
      def pickled(): return type(pickle.loads(pickle.dumps(Thing()))) is Thing
      def unread(): return sys.stdin.read()
      if __name__ == "__main__":
          raise SystemExit("run as a script")
      """)
    try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
      let script = "\(folder.path)/script.py"
      #expect(try await python.submit(PythonCall<[String]>("\(script):where")).value == ["script", "", "beside", "script.py"])
      #expect(try await python.submit(PythonCall<[String]>("\(script):main")).value == [])
      #expect(try await python.submit(PythonCall<Bool>("\(script):pickled")).value)
      #expect(try await python.submit(PythonCall<String>("\(script):unread")).value == "")
      let error = await #expect(throws: PythonTargetError.self) {
        try await python.submit(PythonCall<Int>("\(folder.path)/pack/inner.py:f")).value
      }
      #expect(error?.message.contains("package.inner:function") == true, "\(String(describing: error))")
    }
  }
}
