import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// In a worker of a process pool: a host whose memory ends while its interpreter has enough.
private struct CrampedHost: Job {
  /// A file of functions.
  var path: String
  func run() async throws -> [String] {
    try await withExecutor(PythonExecutor(maxWorkers: 1)) { python in
      let argument = PythonCall<Int>("\(path):size", [UInt8](repeating: 1, count: 96 << 20))
      let before = try await python.submit(PythonCall<Int>("\(path):pid")).value
      let pages = try String(contentsOfFile: "/proc/self/statm", encoding: .utf8).split(separator: " ").first.flatMap { Int($0) } ?? 0
      var limit = rlimit()
      getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
      limit.rlim_cur = rlim_t(pages * 4096 + 64 << 20)
      setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
      func told<Output>(_ call: PythonCall<Output>) async -> String { "\(await python.submit(call).result)" }
      var lines = [await told(argument)]
      // The last comes, and cannot be copied any more.
      for mebibytes in [96, 30] { lines.append(await told(PythonCall<[UInt8]>("\(path):blob", mebibytes << 20))) }
      let after = try await python.submit(PythonCall<Int>("\(path):pid")).value
      return lines + [before == after ? "the same interpreter" : "another interpreter"]
    }
  }
}

/// What limits an executor's workers, and how many calls may wait.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct LimitTests: Sendable {
  let functions: Functions
  init() throws {
    functions = try Functions()
    try functions.folder.write(
      "grow.py",
      """
      import os
      kept = []
      def keep(size):
          kept.append(b"x" * size)
          return os.getpid()
      """)
  }
  func executor(_ setting: Setting, maxWorkers: Int = 1, _ limits: PythonPoolConfiguration) throws -> PythonExecutor {
    PythonExecutor(maxWorkers: maxWorkers, mode: setting.mode, python: try setting.python(), configuration: limits)
  }
  var pid: PythonCall<Int32> { PythonCall(functions.target("pid")) }

  @Test(arguments: Setting.modes)
  func `a full executor refuses calls, and lets those in that wait for room`(setting: Setting) async throws {
    let python = try executor(setting, PythonPoolConfiguration(maxPending: 1))
    let gate = functions.gate()
    let running = python.submit(PythonCall<String>(functions.target("wait"), gate.path))
    let waiting = python.submit(PythonCall<Int>(functions.target("echo"), 1))
    #expect((await failure(of: python.submit(pid)) as? JobError)?.code == .queueFull)
    #expect((await failure(of: python.measure(pid)) as? JobError)?.code == .queueFull)
    var streamed: (any Error)?
    do { for try await _ in python.stream(PythonCall<Int>("builtins:range", 3)) {} } catch { streamed = error }
    #expect((streamed as? JobError)?.code == .queueFull)
    let call = PythonCall<Int>(functions.target("echo"), 2)
    async let later = python.submitWaiting(call).value
    let given = Task { await python.submitWaiting(call) }
    given.cancel()
    #expect((await failure(of: given.value) as? JobError)?.code == .cancelled)
    let calls = (0..<30).map { PythonCall<Int>(functions.target("echo"), $0) }
    async let mapped = python.map(calls).reduce(into: []) { $0.append($1) }
    await gate.open("x")
    #expect(try await running.value == "x")
    #expect(try await waiting.value == 1)
    #expect(try await later == 2)
    #expect(try await mapped == Array(0..<30))
    await python.shutdown()
    #expect((await failure(of: python.submitWaiting(call)) as? JobError)?.code == .executorShutDown)
  }
  private func failure<Output>(of future: Future<Output>) async -> any Error {
    if case .failure(let error) = await future.result { return error }
    return CancellationError()
  }

  @Test(arguments: Setting.modes)
  func `after so many calls another worker takes over, and no call is lost`(setting: Setting) async throws {
    try await withExecutor(executor(setting, PythonPoolConfiguration(jobsPerWorker: 3))) { (python) async throws in
      var pids: [Int32] = []
      for _ in 0..<9 { pids.append(try await python.submit(pid).value) }
      #expect(Set(pids).count == 3 && Set(pids[0..<3]).count == 1 && Set(pids[3..<6]).count == 1, "\(pids)")
    }
    try await withExecutor(executor(setting, maxWorkers: 2, PythonPoolConfiguration(jobsPerWorker: 5))) { (python) async throws in
      let calls = (0..<100).map { PythonCall<Int>(functions.target("echo"), $0) }
      #expect(try await python.map(calls).reduce(into: []) { $0.append($1) } == Array(0..<100))
    }
  }

  @Test(arguments: Setting.modes)
  func `a worker that has grown makes room for another after its call`(setting: Setting) async throws {
    let grow = { (size: Int) in PythonCall<Int32>("\(functions.folder.path)/grow.py:keep", size) }
    try await withExecutor(executor(setting, PythonPoolConfiguration(softMemoryLimit: 150 << 20))) { (python) async throws in
      let first = try await python.submit(grow(1 << 20)).value
      #expect(try await python.submit(grow(200 << 20)).value == first)
      let second = try await python.submit(grow(1 << 20)).value
      #expect(second != first)
      #expect(try await python.submit(grow(1 << 20)).value == second)
    }
  }

  @Test(arguments: Setting.modes)
  func `a worker without calls ends, and the next call starts another`(setting: Setting) async throws {
    try await withExecutor(executor(setting, PythonPoolConfiguration(idleTimeout: .milliseconds(50)))) { (python) async throws in
      let first = try await python.submit(pid).value
      #expect(await isGone(first))
      #expect(try await python.submit(pid).value != first)
    }
  }

  @Test func `the number of processes may change while calls run`() async throws {
    let python = PythonExecutor(maxWorkers: 5)
    #expect(python.resize(to: 1) && python.maxWorkers == 1)
    try await withExecutor(python) { (python) async throws in
      let gates = (0..<3).map { _ in functions.gate() }
      let calls = gates.map { python.submit(PythonCall<String>(functions.target("wait"), $0.path)) }
      await isRunning(calls[0])
      #expect(calls[1].state == .pending)
      #expect(python.resize(to: 3) && python.maxWorkers == 3)
      for call in calls { await isRunning(call) }
      // All three are let go together, and from then on there is one.
      #expect(python.resize(to: 0) && python.maxWorkers == 1)
      for (number, gate) in gates.enumerated() { await gate.open("\(number)") }
      for (number, call) in calls.enumerated() { #expect(try await call.value == "\(number)") }
      let pids = try await python.map((0..<40).map { _ in pid }).reduce(into: Set()) { $0.insert($1) }
      #expect(pids.count == 1)
    }
    let threads = PythonExecutor(maxWorkers: 2, mode: .threads)
    #expect(!threads.resize(to: 4) && threads.maxWorkers == 2)
    await threads.shutdown()
  }

  static let memoryFunctions = """
    import os, resource
    def pid(): return os.getpid()
    def size(x): return len(x)
    def blob(n): return b"x" * n
    def limit(more):
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * 4096 + more, -1))
        return os.getpid()
    """
  static let isSanitized = unsafe getenv("HEDDLE_TEST_SANITIZED") != nil

  @Test(.enabled(if: !isSanitized)) func `what does not fit the host fails its call alone`() async throws {
    try functions.folder.write("memory.py", Self.memoryFunctions)
    let path = "\(functions.folder.path)/memory.py"
    let told = try await withExecutor(ProcessPoolExecutor(maxWorkers: 1)) { pool in try await pool.submit(CrampedHost(path: path)).value }
    try #require(told.count == 4, "\(told)")
    #expect(told[0].contains("notEncodable") && told[0].contains("no memory in this process"), "\(told[0])")
    for line in told[1...2] { #expect(line.contains("notDecodable") && line.contains("no memory in this process"), "\(line)") }
    #expect(told[3] == "the same interpreter")
  }

  @Test(.enabled(if: !isSanitized), arguments: Setting.modes)
  func `arguments that do not fit an interpreter fail their call alone`(setting: Setting) async throws {
    // Its allocator reserves address space by the gigabyte, in which they fit whatever the limit is.
    if setting.mode == .freeThreaded { try Test.cancel("a free-threaded build has the space already") }
    try functions.folder.write("memory.py", Self.memoryFunctions)
    let path = "\(functions.folder.path)/memory.py"
    try await withExecutor(executor(setting, PythonPoolConfiguration())) { (python) async throws in
      let worker = try await python.submit(PythonCall<Int>("\(path):limit", 64 << 20)).value
      let error = await failure(of: python.submit(PythonCall<Int>("\(path):size", [UInt8](repeating: 1, count: 128 << 20))))
      let raised = try #require(error as? PythonFailure, "\(error)")
      #expect(raised.type.hasSuffix("MemoryError") && raised.message.contains("no memory in this interpreter"), "\(raised)")
      #expect(try await python.submit(PythonCall<Int>("\(path):size", [1, 2])).value == 2)
      #expect(try await python.submit(PythonCall<Int>("\(path):pid")).value == worker)
    }
  }
}
