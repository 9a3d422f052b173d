import Foundation
import HeddleSystem
import Testing

@testable import HeddlePython

/// The Pythons that this machine has, newest first.
enum Pythons {
  /// Where the Python of that version is: a version manager's, or for `3.13t` and `3.14` one on the path.
  static func path(_ version: String) -> String? {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    return (["/root/.pyenv/versions/\(version)/bin/python3"] + folders.map { "\($0)/python\(version)" })
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }
  static let all: [PythonInterpreter] = {
    let folder = "/root/.pyenv/versions"
    let versions = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    let found = versions.compactMap { try? PythonInterpreter.find(explicit: "\(folder)/\($0)/bin/python3") }
    return found.isEmpty
      ? [try? PythonInterpreter.find()].compactMap(\.self) : found.sorted { $1.version.lexicographicallyPrecedes($0.version) }
  }()
}

struct InterpreterTests {
  @Test func `the shim of a version manager leads to the interpreter itself`() throws {
    let found = try PythonInterpreter.find()
    #expect(found.executable.hasPrefix("/") && !found.executable.contains("shims"))
    #expect(found.version.count == 3 && found.version[0] == 3)
  }

  @Test func `the places are tried in order and the error names them`() throws {
    let folder = try TemporaryFolder()
    for name in ["venv", "script/.venv", "path"] { try folder.write("\(name)/bin/python3", "#!/bin/sh\n", executable: true) }
    let path = "PATH=\(folder.path)/path/bin"
    func locate(_ environment: [String], explicit: String? = nil, script: String? = nil) throws -> String {
      try PythonInterpreter.locate(explicit: explicit, scriptFolder: script, environment: environment)
    }
    #expect(try locate([path, "VIRTUAL_ENV=\(folder.path)/venv"], script: "\(folder.path)/script") == "\(folder.path)/venv/bin/python3")
    #expect(try locate([path, "VIRTUAL_ENV="], script: "\(folder.path)/script") == "\(folder.path)/script/.venv/bin/python3")
    #expect(try locate([path], script: folder.path) == "\(folder.path)/path/bin/python3")
    #expect(try locate([path], explicit: "python3") == "\(folder.path)/path/bin/python3")
    #expect(try locate([path], explicit: "\(folder.path)/venv") == "\(folder.path)/venv/bin/python3")
    let error = #expect(throws: PythonInterpreterError.self) {
      try locate(["PATH=\(folder.path)", "VIRTUAL_ENV=/none"], script: folder.path)
    }
    for part in ["/none/bin/python3", "\(folder.path)/.venv/bin/python3", "python3 on PATH", "--python"] {
      #expect(error?.message.contains(part) == true, "\(part)")
    }
  }

  @Test func `what is no python is refused with a sentence`() throws {
    let folder = try TemporaryFolder()
    try folder.write("false", "#!/bin/sh\necho nonsense >&2\nexit 3\n", executable: true)
    try folder.write("old", "#!/bin/sh\necho 'Heddle needs Python 3.8 or later; $0 is 3.6.15' >&2\nexit 78\n", executable: true)
    try folder.write("text", "no program")
    for (name, part) in [
      ("false", "nonsense"), ("old", "is 3.6.15; name another with --python"), ("text", "is not a program"), ("none", "does not exist"),
    ] {
      let error = #expect(throws: PythonInterpreterError.self) { try PythonInterpreter.find(explicit: "\(folder.path)/\(name)") }
      #expect(error?.message.contains(part) == true, "\(String(describing: error))")
    }
  }

  @Test func `a target is checked before any worker starts`() throws {
    let folder = try TemporaryFolder()
    try folder.write("good.py", "import os\nprint('noise')\ndef f(x): return x\n")
    try folder.write("bad.py", "import os\nraise ValueError('at import')\n")
    try folder.write("dies.py", "import os\nos._exit(5)\n")
    let python = try PythonInterpreter.find(loading: PythonTarget("\(folder.path)/good.py:f"))
    #expect(try python == PythonInterpreter.find())
    #expect(throws: PythonInterpreterError.self) {
      try PythonInterpreter.find(loading: PythonTarget("json:loads"), explicit: "/bin/false")
    }
    for (name, reason, part) in [
      ("good.py:g", PythonTargetError.Reason.missingFunction, "it has f"), ("god.py:f", .missingFile, "did you mean good.py?"),
      ("bad.py:f", .importFailed, "ValueError: at import"), ("dies.py:f", .importFailed, "exit code 5"),
    ] {
      let error = #expect(throws: PythonTargetError.self) { try PythonInterpreter.find(loading: PythonTarget("\(folder.path)/\(name)")) }
      #expect(error?.reason == reason)
      #expect(error?.message.contains(part) == true, "\(String(describing: error))")
    }
  }

  @Test func `a target is a place and a function`() throws {
    #expect(try PythonTarget("a/b.py:f").place == .file("a/b.py"))
    #expect(try PythonTarget("a:b.py:f.g").function == "f.g")
    #expect(try PythonTarget("a.b:f").place == .module("a.b"))
    for wrong in ["", ":", "f", "a.py", "a.py:", ":f", "a.py:f()", "a.py:1f", "a b:f", "a..b:f", "a.py:f."] {
      #expect(throws: PythonTargetError.self, "\(wrong)") { try PythonTarget(wrong) }
    }
  }

  @Test func `a failure prints as python would`() throws {
    let failure = PythonFailure(
      type: "ValueError", message: "no", notes: ["a note"], cause: PythonFailure(type: "KeyError", message: "'k'"))
    #expect("\(failure)" == "ValueError: no\na note")
    #expect(try MarshalDecoder().decode(PythonFailure.self, from: MarshalEncoder().encode(failure)) == failure)
    #expect("\(PythonFailure(type: "E", message: "", traceback: "Traceback\nE\n"))" == "Traceback\nE")
  }
}

struct BridgeTests {
  @Test(arguments: Pythons.all)
  func `the bridge keeps its promises on every Python`(python: PythonInterpreter) async throws {
    let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "bridge_tests.py").path
    // On a thread of its own: other tests need the cooperative pool's.
    let output = try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(
          with: Result {
            try ChildProcess.run(
              path: python.executable, arguments: [python.executable, script], environment: ChildProcess.environment, limit: .seconds(120))
          })
      }
    }
    #expect(output.exit == .code(0), "\(String(decoding: output.standardError, as: UTF8.self))")
  }

  @Test(arguments: Pythons.all)
  func `python reads what is encoded and its own bytes are read`(python: PythonInterpreter) throws {
    let values: [(PythonValue, String)] = [
      (.none, "None"), (true, "True"), (-5, "-5"), (.int(.max), "9223372036854775807"), (.int(.min), "-9223372036854775808"),
      (.int(1 << 31), "2147483648"), (.bigInteger("-170141183460469231731687303715884105728"), "-170141183460469231731687303715884105728"),
      (1.5, "1.5"), (.double(-.infinity), "-inf"), ("é\u{1F600}", "'é\u{1F600}'"), (.bytes([0, 255]), "b'\\x00\\xff'"),
      ([1, [], [2]], "[1, [], [2]]"), (["k": ["n": nil]], "{'k': {'n': None}}"), (.dictionary([.init(key: 1, value: 2)]), "{1: 2}"),
    ]
    let hexadecimal = try values.map {
      try MarshalEncoder().encode($0.0).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
    let script = """
      import sys, marshal
      sys.stdout.reconfigure(encoding="utf-8")
      for text in sys.argv[1:]:
        value = marshal.loads(bytes.fromhex(text))
        print(repr(value), marshal.dumps(value, 2).hex())
      """
    let output = try ChildProcess.run(
      path: python.executable, arguments: [python.executable, "-c", script] + hexadecimal, environment: ChildProcess.environment,
      limit: .seconds(60))
    let expected = zip(values, hexadecimal).map { "\($0.0.1) \($0.1)\n" }.joined()
    #expect(String(decoding: output.standardOutput, as: UTF8.self) == expected)
  }
}

/// A folder that is removed with its owner.
final class TemporaryFolder: Sendable {
  let path: String
  init() throws {
    let url = FileManager.default.temporaryDirectory.appending(path: "heddle-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    path = url.resolvingSymlinksInPath().path
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }

  func write(_ name: String, _ text: String, executable: Bool = false) throws {
    let url = URL(filePath: "\(path)/\(name)")
    try FileManager.default.createDirectory(at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    try Data(text.utf8).write(to: url)
    if executable { try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: url.path) }
  }
}
