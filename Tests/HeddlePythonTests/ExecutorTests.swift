import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

extension CallTests {
  /// What a call is given, gives back and fails with.
  @Suite(.timeLimit(.minutes(2)), .serialized)
  struct ExecutorTests: Sendable {
    let functions: Functions
    init() throws { functions = try Functions() }

    @Test(arguments: Setting.all)
    func `values travel there and back as what they are`(setting: Setting) async throws {
      try await withExecutor(setting.executor()) { (python) async throws in
        func echo<Value: Codable & Equatable & Sendable>(_ value: Value, _ kind: String) async throws {
          let back = python.submit(PythonCall<Value>(functions.target("echo"), value))
          let name = python.submit(PythonCall<String>(functions.target("kind"), value))
          #expect(try await back.value == value)
          #expect(try await name.value == kind, "\(value)")
        }
        for number in [0, 1, -1, 255, 1 << 31, -1 << 31, 1 << 32, .max, .min] { try await echo(number, "int") }
        try await echo(UInt64.max, "int")
        for number in [0.5, -0.0, .infinity, .leastNonzeroMagnitude, 1e308] { try await echo(number, "float") }
        #expect(try await python.submit(PythonCall<Double>(functions.target("echo"), Double.nan)).value.isNaN)
        for text in ["", "é😀", "a\0b", String(repeating: "long ", count: 100_000)] { try await echo(text, "str") }
        try await echo(true, "bool")
        try await echo(Int?.none, "NoneType")
        try await echo([[1], [], [2, 3]], "list")
        try await echo(["k": ["n": 1.5], "é": [:]], "dict")
        try await echo(Point(x: 1, labels: [.init(text: "t", sizes: [1: 0.5]), .init()]), "dict")
        try await echo(Data([0, 255]), "bytes")
        try await echo([UInt8]([0, 255]), "bytes")
        try await echo(PythonValue.list([.none, true, .bigInteger("-340282366920938463463374607431768211456"), .bytes([0])]), "list")
        #expect(
          try await python.submit(PythonCall<PythonValue>(functions.target("power"), 128)).value
            == .bigInteger("340282366920938463463374607431768211456"))
      }
    }

    @Test(arguments: Setting.modes)
    func `a call has keywords and names methods and modules`(setting: Setting) async throws {
      try await withExecutor(setting.executor()) { (python) async throws in
        let call = PythonCall<PythonValue>(functions.target("both"), 1, "two", keywords: ["three": 3, "four": [4]])
        #expect(try await python.submit(call).value == [[1, "two"], ["three": 3, "four": [4]]])
        #expect(try await python.submit(PythonCall<Int>(functions.target("Tool.triple"), 4)).value == 12)
        #expect(try await python.submit(PythonCall<Double>("math:sqrt", 16)).value == 4)
        #expect(try await python.submit(PythonCall<String>("os.path:basename", "a/b")).value == "b")
        let options = JobOptions(priority: .high, label: "labelled")
        #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 1), options: options).value == 1)
      }
    }

    @Test(arguments: Setting.modes)
    func `an exception arrives as what Python would have printed`(setting: Setting) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        let failure = await #expect(throws: PythonFailure.self) { try await python.submit(PythonCall<Int>(functions.target("fail"))).value }
        #expect(failure?.type == "ValueError" && failure?.message == "no good" && failure?.notes == ["a note"])
        #expect(failure?.cause?.type == "KeyError" && failure?.isDirectConsequence == true)
        #expect(failure?.traceback.contains("in fail") == true && failure?.traceback.contains("<heddle>") == false)
        let exit = await #expect(throws: PythonFailure.self) { try await python.submit(PythonCall<Int>(functions.target("leave"))).value }
        #expect(exit?.type == "SystemExit" && exit?.message == "3")
        #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 1)).value == 1)
      }
    }

    @Test(arguments: Setting.modes)
    func `what cannot be called or sent fails its own call with a sentence`(setting: Setting) async throws {
      try functions.folder.write("broken.py", "import os\nraise KeyError('at import')\n")
      try await withExecutor(setting.executor()) { (python) async throws in
        for (target, reason, part) in [
          (functions.target("ecko"), PythonTargetError.Reason.missingFunction, "did you mean echo?"),
          ("\(functions.folder.path)/wrk.py:f", .missingFile, "did you mean work.py?"),
          ("\(functions.folder.path)/broken.py:f", .importFailed, "KeyError: 'at import'"),
          ("no_such_module_x:f", .missingModule, "no_such_module_x"), ("nothing", .syntax, "names no function"),
        ] {
          let error = await #expect(throws: PythonTargetError.self) { try await python.submit(PythonCall<Int>(target)).value }
          #expect(error?.reason == reason)
          #expect(error?.message.contains(part) == true, "\(String(describing: error))")
        }
        func failure<Output>(of result: Result<Output, any Error>) -> JobError? {
          if case .failure(let error) = result { error as? JobError } else { nil }
        }
        let unsendable = failure(of: await python.submit(PythonCall<PythonValue>(functions.target("unsendable"))).result)
        #expect(unsendable?.code == .notEncodable && unsendable?.message.contains("type object") == true)
        let other = failure(of: await python.submit(PythonCall<Int>(functions.target("echo"), "text")).result)
        #expect(other?.code == .notDecodable && other?.message.contains("no Int") == true)
        struct Odd: Encodable { func encode(to encoder: any Encoder) throws { throw CocoaError(.coderInvalidValue) } }
        let odd = failure(of: await python.submit(PythonCall<Int>(functions.target("echo"), Odd())).result)
        #expect(odd?.code == .notEncodable)
        #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 1)).value == 1)
      }
      let none = PythonExecutor(maxWorkers: 1, mode: setting.mode, python: "/no/such/python")
      let error = await #expect(throws: JobError.self) { try await none.submit(PythonCall<Int>("math:sqrt", 1)).value }
      #expect(error?.code == .workerNotStarted && error?.message.contains("/no/such/python does not exist") == true)
      await none.shutdown()
    }

    @Test(arguments: Setting.modes)
    func `a dead interpreter is an error that says how it died and the executor goes on`(setting: Setting) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        let table: [(PythonCall<PythonValue>, WorkerExit)] = [
          (PythonCall(functions.target("die"), 7), .code(7)), (PythonCall(functions.target("segfault")), .signal(SIGSEGV)),
        ]
        for (call, exit) in table {
          let before = python.submit(PythonCall<Int>(functions.target("echo"), 1))
          let fatal = python.submit(call)
          let after = (0..<50).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
          #expect(try await before.value == 1)
          let error = await #expect(throws: JobError.self) { try await fatal.value }
          #expect(error?.code == .workerDied && error?.exit == exit && error?.workerPID != nil && error?.ran != nil)
          for (number, future) in after.enumerated() { #expect(try await future.value == number) }
        }
        // Killed by somebody else, while it is known to run.
        let pid = try await python.submit(PythonCall<Int32>(functions.target("pid"))).value
        let gate = functions.gate()
        let victim = python.submit(PythonCall<String>(functions.target("wait"), gate.path))
        await isRunning(victim)
        kill(pid, SIGKILL)
        let error = await #expect(throws: JobError.self) { try await victim.value }
        #expect(error?.code == .workerDied && error?.exit == .signal(SIGKILL) && error?.workerPID == pid)
      }
    }

    @Test(arguments: Setting.modes)
    func `what a function prints disturbs no result`(setting: Setting) async throws {
      var settings = PythonSettings()
      settings.printsToStandardError = true
      let printed = Locked([UInt8]())
      settings.printed = { bytes in printed.withLock { $0 += bytes } }
      try await withExecutor(setting.executor(settings: settings)) { (python) async throws in
        let futures = (0..<20).map { python.submit(PythonCall<Int>(functions.target("loud"), $0)) }
        for (number, future) in futures.enumerated() { #expect(try await future.value == number) }
      }
      let text = String(decoding: printed.withLock { $0 }, as: UTF8.self)
      for part in ["printed at import", "printed 19", "raw", "err", "from a child"] { #expect(text.contains(part), "\(part)") }
    }

    @Test(arguments: Setting.modes)
    func `arguments and results of any size travel, many at once`(setting: Setting) async throws {
      try await withExecutor(setting.executor()) { (python) async throws in
        let limit = 1 << 17
        for size in [0, 1, 15, 16, limit - 60, limit - 16, limit, limit + 1, 1 << 20, 5_000_001, 1 << 26] {
          #expect(try await python.submit(PythonCall<Int>(functions.target("size"), Data(count: size))).value == size)
          #expect(try await python.submit(PythonCall<Data>(functions.target("zeros"), size)).value == Data(count: size))
        }
        // Both ways at once, small ones in between.
        let data = (0..<24).map { number in Data(repeating: UInt8(number), count: number % 3 == 0 ? 3_000_000 + number : 50_000) }
        let futures = data.map { python.submit(PythonCall<Data>(functions.target("echo"), $0)) }
        for (expected, future) in zip(data, futures) { #expect(try await future.value == expected) }
      }
    }

    @Test(arguments: Setting.modes)
    func `futures of Python and of threads are waited for together`(setting: Setting) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        try await withExecutor(ThreadPoolExecutor(maxWorkers: 1)) { (threads) async throws in
          let futures: [AnyFuture] = [python.submit(PythonCall<Int>(functions.target("echo"), 1)), threads.submit { 2 }]
          let (done, pending) = await wait(for: futures, until: .allCompleted)
          #expect(done.count == 2 && pending.isEmpty)
        }
      }
    }

    @Test(arguments: Setting.all)
    func `a function may fork, start programs and use multiprocessing`(setting: Setting) async throws {
      // Beside other threads a fork is a gamble in Python itself, and a sub-interpreter refuses.
      if setting.isOneProcess { try Test.cancel("forking beside threads is not safe in Python") }
      try await withExecutor(setting.executor()) { (python) async throws in
        for _ in 0..<3 {
          #expect(try await python.submit(PythonCall<Int>(functions.target("forks"))).value == 0)
          #expect(try await python.submit(PythonCall<[Int]>(functions.target("pool"))).value == [0, 1, 4, 9])
        }
        #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 1)).value == 1)
      }
    }

    @Test(arguments: Setting.all)
    func `a worker that may have little memory says when it needs more`(setting: Setting) async throws {
      var settings = PythonSettings()
      settings.limits.memoryLimit = 300 << 20
      try await withExecutor(setting.executor(maxWorkers: 1, settings: settings)) { (python) async throws in
        #expect(try await python.submit(PythonCall<Int>(functions.target("take"), 50 << 20)).value == 50 << 20)
        let error = await #expect(throws: JobError.self) {
          try await python.submit(PythonCall<Int>(functions.target("take"), 400 << 20)).value
        }
        #expect(error?.code == .memoryLimitExceeded && error?.message.contains("314 MB") == true, "\(String(describing: error))")
        #expect(try await python.submit(PythonCall<Int>(functions.target("take"), 1)).value == 1)
      }
    }

    @Test func `the virtual environment beside the script is used`() async throws {
      let real = try PythonInterpreter.find().executable
      let venv = "\(functions.folder.path)/.venv"
      try functions.folder.write(".venv/pyvenv.cfg", "home = \(URL(filePath: real).deletingLastPathComponent().path)\n")
      try FileManager.default.createDirectory(atPath: "\(venv)/bin", withIntermediateDirectories: true)
      try FileManager.default.createSymbolicLink(atPath: "\(venv)/bin/python3", withDestinationPath: real)
      let chosen: String? = ProcessInfo.processInfo.environment["VIRTUAL_ENV"]
      try #require(chosen == nil, "this test needs a shell without an active environment")
      try await withExecutor(PythonExecutor(maxWorkers: 1)) { (python) async throws in
        #expect(try await python.submit(PythonCall<String>(functions.target("prefix"))).value == venv)
      }
    }
  }
}
