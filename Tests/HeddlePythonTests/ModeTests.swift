import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// What the modes promise beyond what all executors do.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct ModeTests: Sendable {
  let functions: Functions
  init() throws { functions = try Functions() }

  static let sideBySide = Setting.all.filter { $0.isOneProcess && $0.mode != .threads }

  @Test(arguments: Setting.all.filter(\.isOneProcess))
  func `calls run in one process and at once`(setting: Setting) async throws {
    try await withExecutor(setting.executor(maxWorkers: 3)) { (python) async throws in
      let gates = (0..<3).map { _ in functions.gate() }
      let waiting = gates.map { python.submit(PythonCall<String>(functions.target("wait"), $0.path)) }
      // Each has come to its gate before any may pass.
      for future in waiting { await isRunning(future) }
      for (number, gate) in gates.enumerated().reversed() { await gate.open("\(number)") }
      for (number, future) in waiting.enumerated() { #expect(try await future.value == "\(number)") }
      let pids = try await python.map((0..<50).map { _ in PythonCall<Int32>(functions.target("pid")) }).reduce(into: Set()) {
        $0.insert($1)
      }
      #expect(pids.count == 1)
    }
  }

  @Test(arguments: sideBySide)
  func `a call that keeps its GIL holds up nobody`(setting: Setting) async throws {
    let python = try setting.executor(maxWorkers: 2)
    // One call into C, which looks at nothing else until it is done.
    let long = python.submit(PythonCall<Int>(functions.target("add"), 20_000_000_000))
    await isRunning(long)
    let others = (0..<100).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
    for (number, future) in others.enumerated() { #expect(try await future.value == number) }
    #expect(!long.isDone)
    await python.shutdown(.kill(after: .zero))
  }

  @Test(arguments: sideBySide.filter { $0.mode == .interpreters })
  func `interpreters share no globals and what they may not do is said`(setting: Setting) async throws {
    try functions.folder.write(
      "apart.py",
      """
      import os, threading
      count = 0
      def add(path):
          global count
          count += 1
          with open(path) as gate: gate.read()
          return count
      def fork(): return os.fork()
      def daemon(): threading.Thread(target=print, daemon=True).start()
      def curses(): import curses
      """)
    try functions.folder.write("needs.py", "import curses\ndef f(): return 1\n")
    try await withExecutor(setting.executor(maxWorkers: 2)) { (python) async throws in
      let gates = (0..<2).map { _ in functions.gate() }
      let both = gates.map { python.submit(PythonCall<Int>("\(functions.folder.path)/apart.py:add", $0.path)) }
      for future in both { await isRunning(future) }
      for gate in gates { await gate.open() }
      for future in both { #expect(try await future.value == 1) }
      for function in ["fork", "daemon"] {
        let failure = await #expect(throws: PythonFailure.self) {
          try await python.submit(PythonCall<Int?>("\(functions.folder.path)/apart.py:\(function)")).value
        }
        #expect(failure?.notes.last?.contains(".processes") == true && failure?.traceback.contains(".processes") == true)
      }
      for target in ["needs.py:f", "apart.py:curses"] {
        let error = await #expect(throws: PythonTargetError.self) {
          try await python.submit(PythonCall<Int?>("\(functions.folder.path)/\(target)")).value
        }
        #expect(error?.reason == .unsuitedModule && error?.failure?.type == "ImportError")
        #expect(error?.message.contains("_curses") == true && error?.message.contains(".processes") == true, "\(String(describing: error))")
      }
      #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 5)).value == 5)
    }
  }

  @Test(arguments: sideBySide.filter { $0.mode == .interpreters })
  func `NumPy in a sub-interpreter is an error that names it`(setting: Setting) async throws {
    try functions.folder.write("array.py", "import numpy\ndef f(): return numpy.arange(3)\n")
    try await withExecutor(setting.executor()) { (python) async throws in
      if (try? await python.submit(PythonCall<String?>("importlib.util:find_spec", "numpy")).value) == .some(nil) {
        try Test.cancel("this Python has no NumPy")
      }
      let error = await #expect(throws: PythonTargetError.self) {
        try await python.submit(PythonCall<[Int]>("\(functions.folder.path)/array.py:f")).value
      }
      #expect(error?.reason == .unsuitedModule && error?.message.contains("numpy") == true && error?.message.contains(".processes") == true)
    }
  }

  @Test(arguments: [
    (PythonMode.interpreters, "3.11.7", "share one GIL"), (.interpreters, "3.8.18", "share one GIL"),
    (.freeThreaded, "3.13.0", "with a GIL"),
    (.freeThreaded, "3.8.18", "with a GIL"),
  ])
  func `a mode that a Python lacks is refused with what to use instead`(mode: PythonMode, version: String, part: String) async throws {
    try await withExecutor(Setting(mode: mode, version: version).executor()) { (python) async throws in
      let error = await #expect(throws: JobError.self) { try await python.submit(PythonCall<Double>("math:sqrt", 4)).value }
      #expect(error?.code == .workerNotStarted)
      for text in [part, "Python \(version)", ".processes"] {
        #expect(error?.message.contains(text) == true, "\(text): \(String(describing: error))")
      }
    }
  }

  @Test func `a module that turns the GIL on again is named`() async throws {
    // What a module does that has not said that it can do without; none of the standard library is left that does.
    try functions.folder.write(
      "old.py",
      """
      import sys, warnings
      warnings.warn("The global interpreter lock (GIL) has been enabled to load module 'oldmodule', which has not declared", RuntimeWarning)
      sys._is_gil_enabled = lambda: True
      def f(): return 1
      """)
    try await withExecutor(Setting.freeThreaded.executor()) { (python) async throws in
      #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 5)).value == 5)
      let error = await #expect(throws: PythonTargetError.self) {
        try await python.submit(PythonCall<Int>("\(functions.folder.path)/old.py:f")).value
      }
      #expect(error?.reason == .unsuitedModule)
      for part in ["oldmodule", ".processes", "PYTHON_GIL=0"] {
        #expect(error?.message.contains(part) == true, "\(part): \(String(describing: error))")
      }
    }
  }

  @Test(arguments: sideBySide)
  func `a worker leaves through what was registered for its end`(setting: Setting) async throws {
    let path = "\(functions.folder.path)/ended"
    try functions.folder.write(
      "ends.py",
      """
      import atexit, os
      def f(path):
          atexit.register(lambda: os.close(os.open(path, os.O_CREAT | os.O_EXCL)))
      """)
    try await withExecutor(setting.executor(maxWorkers: 2)) { (python) async throws in
      _ = try await python.submit(PythonCall<Int?>("\(functions.folder.path)/ends.py:f", path)).value
    }
    #expect(FileManager.default.fileExists(atPath: path))
  }

  @Test(arguments: sideBySide)
  func `thousands of small and some large calls of several functions come back each once`(setting: Setting) async throws {
    try await withExecutor(setting.executor(maxWorkers: 4)) { (python) async throws in
      let targets = ["echo", "square", "size"].map(functions.target)
      let futures = (0..<6000).map { number -> (Future<Int>, Int) in
        switch number % 3 {
        case 0: (python.submit(PythonCall<Int>(targets[0], number)), number)
        case 1: (python.submit(PythonCall<Int>(targets[1], number)), number * number)
        default:
          (
            python.submit(PythonCall<Int>(targets[2], Data(count: number % 300 == 2 ? 300_000 + number : number))),
            number % 300 == 2 ? 300_000 + number : number
          )
        }
      }
      for (future, expected) in futures { #expect(try await future.value == expected) }
      // Answers that need more room than the ring has, from all of them.
      let large = (0..<24).map { python.submit(PythonCall<Data>(functions.target("zeros"), 1_000_000 + $0)) }
      for (number, future) in large.enumerated() { #expect(try await future.value.count == 1_000_000 + number) }
    }
  }
}
