import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// The call that comes before all others in each worker.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct InitializerTests: Sendable {
  let functions: Functions
  init() throws {
    functions = try Functions()
    try functions.folder.write("state.py", Self.text)
  }
  func target(_ function: String) -> String { "\(functions.folder.path)/state.py:\(function)" }

  static let text = """
    import asyncio, os
    state = None
    def tell(path):
        with open(path, "a") as file: file.write("tried\\n")
    def setup(path, value, *, by=1):
        global state
        tell(path)
        state = [value, by]
    async def later(path, value):
        await asyncio.sleep(0)
        setup(path, value)
    def fails(path):
        tell(path)
        raise ValueError("no model")
    def third(path):
        tell(path)
        with open(path) as file:
            if len(file.readlines()) % 3: raise ValueError("not yet")
    def dies(path):
        tell(path)
        os._exit(7)
    def get(): return state
    def gated(path):
        with open(path) as gate: gate.read()
        return os.getpid()
    """

  func executor(_ setting: Setting, maxWorkers: Int = 2, _ initializer: PythonCall<PythonValue>) throws -> PythonExecutor {
    var settings = PythonSettings()
    settings.initializer = initializer
    return try setting.executor(maxWorkers: maxWorkers, settings: settings)
  }
  func tries(_ path: String) -> Int { (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: "\n").count ?? 0 }

  @Test(arguments: Setting.all)
  func `it runs once in each worker and before any call`(setting: Setting) async throws {
    let path = "\(functions.folder.path)/tries"
    let initializer = PythonCall<PythonValue>(target("setup"), path, [1, 2], keywords: ["by": 3])
    try await withExecutor(executor(setting, initializer)) { (python) async throws in
      // Both workers, each with a call that holds it.
      let gates = (0..<2).map { _ in functions.gate() }
      let held = gates.map { python.submit(PythonCall<Int32>(target("gated"), $0.path)) }
      for future in held { await isRunning(future) }
      for gate in gates { await gate.open() }
      let pids = [try await held[0].value, try await held[1].value]
      for _ in 0..<20 { #expect(try await python.submit(PythonCall<PythonValue>(target("get"))).value == [[1, 2], 3]) }
      let processes = setting.mode == .interpreters ? 2 : Set(pids).count
      #expect(tries(path) == processes)
    }
  }

  @Test(arguments: Setting.modes)
  func `it may be a coroutine, and have arguments of any size`(setting: Setting) async throws {
    let path = "\(functions.folder.path)/tries"
    let text = String(repeating: "long ", count: 200_000)
    try await withExecutor(executor(setting, maxWorkers: 1, PythonCall(target("later"), path, text))) { (python) async throws in
      #expect(try await python.submit(PythonCall<PythonValue>(target("get"))).value == [.string(text), 1])
    }
  }

  @Test(arguments: Setting.modes)
  func `one that raises is tried again and then fails the calls for its reason`(setting: Setting) async throws {
    let path = "\(functions.folder.path)/tries"
    try await withExecutor(executor(setting, maxWorkers: 1, PythonCall(target("fails"), path))) { (python) async throws in
      for _ in 0..<10 {
        let error = await #expect(throws: PythonTargetError.self) { try await python.submit(PythonCall<PythonValue>(target("get"))).value }
        #expect(error?.reason == .initializerFailed && error?.failure?.type == "ValueError")
        #expect(error?.message.contains("no model") == true && error?.failure?.traceback.contains("in fails") == true)
      }
      #expect(tries(path) == 3)
    }
    let other = "\(functions.folder.path)/other"
    try await withExecutor(executor(setting, maxWorkers: 1, PythonCall(target("third"), other))) { (python) async throws in
      #expect(try await python.submit(PythonCall<PythonValue>(target("get"))).value == .none)
      #expect(tries(other) == 3)
    }
    try await withExecutor(executor(setting, maxWorkers: 1, PythonCall(target("nothing")))) { (python) async throws in
      let error = await #expect(throws: PythonTargetError.self) { try await python.submit(PythonCall<PythonValue>(target("get"))).value }
      #expect(error?.reason == .missingFunction && error?.message.contains("initializer") == true)
    }
  }

  @Test(arguments: Setting.modes)
  func `one that ends its process does so three times and no more`(setting: Setting) async throws {
    let path = "\(functions.folder.path)/tries"
    try await withExecutor(executor(setting, maxWorkers: 2, PythonCall(target("dies"), path))) { (python) async throws in
      let futures = (0..<200).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
      for future in futures {
        let error = await #expect(throws: JobError.self) { try await future.value }
        #expect(error?.code == .workerNotStarted && error?.message.contains("exit 7") == true, "\(String(describing: error))")
      }
      // Two at once make it four; two interpreters of a process both get to it.
      #expect(tries(path) >= 3 && tries(path) <= (setting.mode == .interpreters ? 8 : 4))
    }
  }

  @Test func `what cannot be sent to it is said`() async throws {
    struct Odd: Encodable { func encode(to encoder: any Encoder) throws { throw CocoaError(.coderInvalidValue) } }
    for (call, code) in [
      (PythonCall<PythonValue>(target("setup"), Odd()), JobError.Code.notEncodable), (PythonCall("no name"), .workerNotStarted),
    ] {
      try await withExecutor(PythonExecutor(maxWorkers: 1, initializer: call)) { (python) async throws in
        let error = await #expect(throws: JobError.self) { try await python.submit(PythonCall<Int>("math:floor", 1.5)).value }
        #expect(error?.code == code && error?.message.contains("nitializer") == true, "\(String(describing: error))")
      }
    }
  }
}
