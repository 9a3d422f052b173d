import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// Every mode on every Python that has it; those that this machine lacks are skipped by name.
struct Setting: Sendable, CustomStringConvertible, CustomTestStringConvertible {
  var mode: PythonMode
  /// nil: the Python that is found without a name.
  var version: String?
  var description: String { "\(mode) on Python\(version.map { " \($0)" } ?? "")" }
  var testDescription: String { description }

  static let versions = ["3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0", "3.14"]
  static let all =
    [PythonMode.processes, .threads].flatMap { mode in versions.map { Setting(mode: mode, version: $0) } }
    + [Setting(mode: .interpreters, version: "3.12.1"), Setting(mode: .interpreters, version: "3.13.0")]
    + [Setting(mode: .interpreters, version: "3.14"), freeThreaded]
    + [Setting(mode: .processes, version: "3.13t")]
  /// Each mode once.
  static let modes = [
    Setting(mode: .processes), Setting(mode: .threads), Setting(mode: .interpreters, version: "3.13.0"), freeThreaded,
  ]
  static let freeThreaded = Setting(mode: .freeThreaded, version: "3.13t")
  var isOneProcess: Bool { mode != .processes }

  /// The interpreter's path; the test is skipped where there is none.
  func python() throws -> String? {
    guard let version else { return nil }
    if let path = Pythons.path(version) { return path }
    try Test.cancel("no Python \(version) on this machine")
  }
  var isHere: Bool { version.map { Pythons.path($0) != nil } ?? true }
  func executor(maxWorkers: Int = 2, settings: PythonSettings = PythonSettings()) throws -> PythonExecutor {
    var settings = settings
    settings.python = try python()
    return PythonExecutor(maxWorkers: maxWorkers, mode: mode, settings: settings)
  }
}

/// Functions that the tests call, in a folder of their own.
struct Functions: Sendable {
  let folder: TemporaryFolder
  init() throws {
    folder = try TemporaryFolder()
    try folder.write("work.py", Self.text)
  }
  func target(_ function: String) -> String { "\(folder.path)/work.py:\(function)" }
  /// A place where a function and its test meet: `wait` in Python returns what the test writes.
  func gate() -> Gate {
    let path = "\(folder.path)/\(UUID().uuidString)"
    _ = unsafe mkfifo(path, 0o600)
    return Gate(path: path)
  }

  static let text = """
    import os, subprocess, sys, threading, time
    print("printed at import")
    def echo(x): return x
    def kind(x): return type(x).__name__
    def both(*args, **keywords): return [list(args), keywords]
    def power(n): return 2 ** n
    class Tool:
        scale = 3
        @classmethod
        def triple(cls, x): return cls.scale * x
    def fail():
        try:
            {}["k"]
        except KeyError as cause:
            error = ValueError("no good")
            error.__notes__ = ["a note"]
            raise error from cause
    def unsendable(): return {"inner": [object()]}
    def leave(): sys.exit(3)
    def die(code): os._exit(code)
    def segfault():
        import ctypes
        ctypes.string_at(0)
    def loop():
        while True: pass
    def pid(): return os.getpid()
    def wait(path):
        with open(path) as gate: return gate.read()
    def tell(path, text):
        with open(path, "w") as gate: gate.write(text)
    def hang(path):
        child = subprocess.Popen(["sleep", "600"])
        tell(path, "%d %d" % (os.getpid(), child.pid))
        while True: pass
    def hold_gil(path):
        import ctypes
        # A sub-interpreter of some versions starts no program.
        try: child = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
        except RuntimeError: child = 0
        tell(path, "%d %d" % (os.getpid(), child))
        ctypes.PyDLL(None).sleep(600)
    def once(path, name, *arguments):
        "Does it the first time, and answers later ones."
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return "again"
        return globals()[name](*arguments)
    def loud(x):
        print("printed", x); os.write(1, b"raw\\n"); sys.stderr.write("err\\n"); subprocess.call(["echo", "from a child"]); return x
    def zeros(n): return bytes(n)
    def size(data): return len(data)
    def square(x): return x * x
    def forks():
        child = os.fork()
        if child == 0: return "the child's"
        return os.waitpid(child, 0)[1]
    def pool():
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as workers: return workers.map(square, range(4))
    def take(n): return len(bytearray(n))
    def prefix(): return sys.prefix
    def add(n): return sum(range(n))
    """
}

/// A pipe with a name: either side waits for the other.
struct Gate: Sendable {
  let path: String
  /// What a Python function writes; returns once it has.
  func read() async -> String {
    await withCheckedContinuation { [path] continuation in
      Thread.detachNewThread {
        let file = FileHandle(forReadingAtPath: path)
        let data = (try? file?.readToEnd()) ?? Data()
        try? file?.close()
        continuation.resume(returning: String(decoding: data, as: UTF8.self))
      }
    }
  }
  /// Lets the Python function that waits there go, after `whenItIsThere`; returns once it has come.
  func open(_ text: String = "", whenItIsThere: @escaping @Sendable () -> Void = {}) async {
    await withCheckedContinuation { [path] continuation in
      Thread.detachNewThread {
        let file = FileHandle(forWritingAtPath: path)
        whenItIsThere()
        file?.write(Data(text.utf8))
        try? file?.close()
        continuation.resume()
      }
    }
  }
}
/// Returns once a worker has started the call, or it has ended.
func isRunning(_ future: AnyFuture) async {
  while !future.isDone && future.state != .running { try? await Task.sleep(for: .milliseconds(2)) }
}
/// Whether a process goes within ten seconds.
///
/// A zombie of another parent counts as gone.
func isGone(_ pid: Int32) async -> Bool {
  for _ in 0..<1000 {
    let status = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    if status.isEmpty || status.contains(") Z ") { return true }
    try? await Task.sleep(for: .milliseconds(10))
  }
  return false
}

/// What one thread tells another.
final class Box: Sendable {
  let value = Locked<Int32>(0)
}

struct Point: Codable, Hashable, Sendable {
  struct Label: Codable, Hashable, Sendable {
    var text: String?
    var sizes: [Int: Double] = [:]
  }
  var x: Int
  var labels: [Label]
}

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

  @Test func `a call that never ends is killed on time with what it started`() async throws {
    try await withExecutor(PythonExecutor(maxWorkers: 2)) { (python) async throws in
      let gate = functions.gate()
      let start = ContinuousClock.now
      let call = python.submit(PythonCall<Int>(functions.target("hang"), gate.path), options: JobOptions(timeout: .seconds(1)))
      let pids = await gate.read().split(separator: " ").compactMap { Int32($0) }
      let others = (0..<100).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
      let error = await #expect(throws: JobError.self) { try await call.value }
      let elapsed = ContinuousClock.now - start
      #expect(error?.code == .timedOut && elapsed >= .seconds(1) && elapsed < .seconds(3), "\(elapsed)")
      for (number, future) in others.enumerated() { #expect(try await future.value == number) }
      #expect(pids.count == 2)
      for pid in pids { #expect(await isGone(pid)) }
    }
  }
  @Test func `on threads a call that never ends loses its future on time and holds up nobody`() async throws {
    try await withExecutor(PythonExecutor(maxWorkers: 2, mode: .threads)) { (python) async throws in
      let limit = JobOptions(timeout: .milliseconds(300))
      // One of two threads; then both, so that the process is replaced; then one that keeps the GIL.
      for function in [["loop"], ["loop", "loop"], ["hold_gil"]] {
        let lost = function.map { name in
          let call = name == "loop" ? PythonCall<Int>(functions.target(name)) : PythonCall(functions.target(name), "/dev/null")
          return python.submit(call, options: limit)
        }
        for future in lost {
          let error = await #expect(throws: JobError.self) { try await future.value }
          #expect(error?.code == .timedOut)
        }
        let others = (0..<20).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
        for (number, future) in others.enumerated() { #expect(try await future.value == number) }
      }
    }
  }
  @Test func `on threads one long call does not hold up more than its thread`() async throws {
    try await withExecutor(PythonExecutor(maxWorkers: 2, mode: .threads)) { (python) async throws in
      let gate = functions.gate()
      let long = python.submit(PythonCall<String>(functions.target("wait"), gate.path))
      // More than the window of a worker, in count and in bytes.
      let outputs = try await python.map((0..<1000).map { PythonCall<Int>(functions.target("size"), Data(count: 8 * $0)) }, inFlight: 900)
        .reduce(into: []) { $0.append($1) }
      #expect(outputs == (0..<1000).map { 8 * $0 })
      #expect(!long.isDone)
      await gate.open("at last")
      #expect(try await long.value == "at last")
    }
  }

  @Test(arguments: Setting.modes)
  func `a waiting call is cancelled and a running one where that can be`(setting: Setting) async throws {
    // One thread that nobody shares is stopped like a process.
    try await withExecutor(setting.executor(maxWorkers: setting.isOneProcess ? 2 : 1)) { (python) async throws in
      let gate = functions.gate()
      let other = functions.gate()
      let beside = setting.isOneProcess ? python.submit(PythonCall<String>(functions.target("wait"), other.path)) : nil
      let running = python.submit(PythonCall<String>(functions.target("wait"), gate.path))
      await isRunning(running)
      let waiting = (0..<10).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
      for future in waiting[..<5] {
        #expect(future.cancel())
        #expect(future.state == .cancelled)
      }
      if !setting.isOneProcess {
        #expect(running.cancel())
        let error = await #expect(throws: JobError.self) { try await running.value }
        #expect(error?.code == .cancelled && running.state == .cancelled)
      } else {
        #expect(!running.cancel())
        await gate.open("done")
        #expect(try await running.value == "done")
        await other.open()
        #expect(try await beside?.value == "")
      }
      for number in 5..<10 { #expect(try await waiting[number].value == number) }
    }
  }

  @Test(arguments: Setting.modes)
  func `each cause of failure is tried again as often as its policy says`(setting: Setting) async throws {
    // A worker that takes a stuck one's place loads the file within the limit: four times what that takes at this moment, on this machine.
    let limit = try await withExecutor(setting.executor()) { (python) async throws in
      let start = MonotonicTime.now
      _ = try await python.submit(PythonCall<Int>(functions.target("echo"), 1)).value
      return max(.milliseconds(500), (MonotonicTime.now - start) * 4)
    }
    try await withExecutor(setting.executor()) { (python) async throws in
      func options(_ policy: RetryPolicy, timeout: Duration? = nil) -> JobOptions {
        var policy = policy
        policy.backoff = .immediate
        return JobOptions(timeout: timeout, retry: policy)
      }
      func once(_ function: String, _ policy: RetryPolicy) -> Future<String> {
        let flag = "\(functions.folder.path)/\(UUID().uuidString)"
        let call =
          function == "die"
          ? PythonCall<String>(functions.target("once"), flag, function, 9) : PythonCall<String>(functions.target("once"), flag, function)
        return python.submit(call, options: options(policy, timeout: function == "loop" ? limit : nil))
      }
      for (function, policy) in [
        ("die", RetryPolicy(crashes: 1)), ("fail", RetryPolicy(errors: 1)), ("loop", RetryPolicy(timeouts: 1)),
      ] {
        #expect(try await once(function, policy).value == "again", "\(function)")
        await #expect(throws: (any Error).self, "\(function)") { try await once(function, .none).value }
      }
      let error = await #expect(throws: JobError.self) {
        try await python.submit(PythonCall<Int>(functions.target("die"), 9), options: options(RetryPolicy(crashes: 2))).value
      }
      #expect(error?.attempt == 3)
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

  @Test func `a storm of calls and kills loses nothing and does nothing twice`() async throws {
    let python = PythonExecutor(maxWorkers: 2)
    let count = 20_000
    let options = JobOptions(retry: RetryPolicy(crashes: 100, backoff: .immediate))
    let pids = Locked(Set<Int32>())
    let ended = Locked(Array(repeating: 0, count: count))
    let killer = Task {
      while !Task.isCancelled {
        let pid = try? await python.submit(PythonCall<Int32>(functions.target("pid")), options: options).value
        if let pid {
          pids.withLock { _ = $0.insert(pid) }
          kill(pid, SIGKILL)
        }
        try? await Task.sleep(for: .milliseconds(250))
      }
    }
    var next = 0
    for try await output in python.map((0..<count).lazy.map { PythonCall<Int>(functions.target("square"), $0) }, options: options) {
      #expect(output == next * next)
      ended.withLock { $0[next] += 1 }
      next += 1
    }
    killer.cancel()
    await killer.value
    await python.shutdown()
    #expect(next == count && ended.withLock { $0.allSatisfy { $0 == 1 } })
    for pid in pids.withLock({ $0 }) { #expect(await isGone(pid)) }
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

  @Test(arguments: Setting.modes, [true, false])
  func `an executor that goes leaves no process`(setting: Setting, shutsDown: Bool) async throws {
    for end in [ShutdownMode.finishAll, .finishRunning, .kill(after: .zero)] {
      var python: PythonExecutor? = try setting.executor()
      let pid = try await python!.submit(PythonCall<Int32>(functions.target("pid"))).value
      let futures = (0..<100).map { python!.submit(PythonCall<Int>(functions.target("echo"), $0)) }
      if shutsDown {
        await python!.shutdown(end)
        #expect(!futures.contains { !$0.isDone })
        // At once, not some time later.
        #expect(kill(pid, 0) != 0)
        let late = await #expect(throws: JobError.self) { try await python!.submit(PythonCall<Int>("math:floor", 1.5)).value }
        #expect(late?.code == .executorShutDown)
      } else {
        python = nil
        for (number, future) in futures.enumerated() { #expect(try await future.value == number) }
        #expect(await isGone(pid))
      }
    }
  }

  @Test func `after shutdown no thread, descriptor or process is left`() async throws {
    let target = functions.target("echo")
    await #expect(processExitsWith: .success) { [target = target as String] in
      func names(_ folder: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }
      func threads() -> [String] {
        names("/proc/self/task").compactMap { try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8) }
          .filter { $0.hasPrefix("heddle-") }
      }
      // The first round opens what the libraries keep.
      var before = 0
      for round in 0..<4 {
        for setting in Setting.modes where setting.isHere {
          let python = try setting.executor()
          for future in (0..<10).map({ python.submit(PythonCall<Int>(target, $0)) }) { _ = try await future.value }
          precondition(!threads().isEmpty, "the threads of a pool that runs have names")
          await python.shutdown(round % 2 == 0 ? .finishAll : .kill(after: .zero))
        }
        let now = names("/proc/self/fd").count
        if round == 0 { before = now }
        precondition(now <= before, "descriptors: \(before) before, \(now) in round \(round)")
        // One that was joined may be listed a little longer.
        for _ in 0..<1000 where !threads().isEmpty { try await Task.sleep(for: .milliseconds(2)) }
        precondition(threads().isEmpty, "threads: \(threads())")
      }
      let children = (try? String(contentsOfFile: "/proc/self/task/\(getpid())/children", encoding: .utf8)) ?? ""
      precondition(children.isEmpty, "children: \(children)")
    }
  }

  @Test(arguments: Setting.modes)
  func `an interpreter that keeps the GIL for ever dies with its parent, and what has left its group`(setting: Setting) async throws {
    let gate = functions.gate()
    let (target, name, path, interpreter) = (functions.target("hold_gil"), setting.mode.rawValue, gate.path, try setting.python())
    let (pid, stray) = (Box(), Box())
    let reader = Future<Void>(in: nil)
    // On a thread of its own: an exit test blocks one of the cooperative pool's.
    Thread.detachNewThread { [path] in
      let file = FileHandle(forReadingAtPath: path)
      let text = String(decoding: (try? file?.readToEnd()) ?? Data(), as: UTF8.self)
      let numbers = text.split(separator: " ").map { Int32($0) ?? 0 }
      pid.value.withLock { $0 = numbers.first ?? 0 }
      stray.value.withLock { $0 = numbers.last ?? 0 }
      // Says to the process below that its function is past the gate.
      try? FileManager.default.removeItem(atPath: path)
      reader.succeed(())
    }
    await #expect(processExitsWith: .signal(SIGKILL)) {
      [
        target = target as String, path = path as String, name = name as String, interpreter = interpreter as String?
      ] in
      let python = PythonExecutor(maxWorkers: 1, mode: PythonMode(rawValue: name)!, python: interpreter)
      let call = python.submit(PythonCall<Int>(target, path))
      while FileManager.default.fileExists(atPath: path) && !call.isDone { try await Task.sleep(for: .milliseconds(5)) }
      kill(getpid(), SIGKILL)
    }
    try await reader.value
    let number = pid.value.withLock { $0 }
    #expect(number > 0)
    #expect(await isGone(number))
    let left = stray.value.withLock { $0 }
    #expect(left > 0 || setting.mode == .interpreters)
    if left > 0 { #expect(await isGone(left), "\(left) is in a session of its own") }
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
