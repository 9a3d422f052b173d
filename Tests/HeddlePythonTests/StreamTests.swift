import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// Generators, coroutines, methods: calls that are more than a function.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct StreamTests: Sendable {
  let functions: Functions
  init() throws {
    functions = try Functions()
    try functions.folder.write("gen.py", Self.text)
  }
  func target(_ function: String) -> String { "\(functions.folder.path)/gen.py:\(function)" }

  static let text = """
    import asyncio, os, sys, time
    def numbers(n):
        for i in range(n): yield i
    def told(n, path):
        "Says how far it has come, and when it is closed."
        try:
            for i in range(n):
                with open(path, "a") as file: file.write("%d " % i)
                yield i
        finally:
            with open(path, "a") as file: file.write("closed")
    def breaks(n):
        for i in range(n): yield i
        raise ValueError("after %d" % n)
    def dies(n):
        for i in range(n): yield i
        os._exit(9)
    def large(n, size):
        for i in range(n): yield bytes([i]) * size
    def gated(paths):
        for path in paths:
            with open(path) as gate: yield gate.read()
    async def slowly(n):
        for i in range(n):
            await asyncio.sleep(0)
            yield i
    async def listed(n): return list(range(n))
    def text(): return "text"
    def odd(n):
        for i in range(n): yield object()
    def pid(): return os.getpid()
    def whose(n):
        for i in range(n): yield os.getpid()

    waiting, most = 0, 0
    async def crowd(n):
        "Returns once n of them are here."
        global waiting, most
        waiting += 1
        most = max(most, waiting)
        while most < n: await asyncio.sleep(0.001)
        return waiting
    async def loop_of(x):
        return [id(asyncio.get_running_loop()), x]
    async def fails(): raise ValueError("in a coroutine")
    async def leaves(): sys.exit(3)
    async def computes(n):
        start = time.thread_time()
        while time.thread_time() - start < n: await asyncio.sleep(0)
    def blocks(path):
        with open(path) as gate: return gate.read()

    class Counter:
        made = 0
        def __init__(self, start=10):
            Counter.made += 1
            self.count = start
        def add(self, n):
            self.count += n
            return self.count
        def items(self, n):
            for i in range(n): yield i + self.count
        async def later(self, n): return n + self.count
        @staticmethod
        def free(x): return x
        @classmethod
        def objects(cls): return cls.made
    class Needs:
        def __init__(self, x): pass
        def method(self): pass
    """

  @Test(arguments: Setting.all)
  func `a generator is a sequence of what it yields`(setting: Setting) async throws {
    try await withExecutor(setting.executor()) { (python) async throws in
      for (function, count) in [("numbers", 0), ("numbers", 1), ("numbers", 5000), ("slowly", 100), ("listed", 7)] {
        var next = 0
        for try await number in python.stream(PythonCall<Int>(target(function), count)) {
          #expect(number == next)
          next += 1
        }
        #expect(next == count, "\(function)")
      }
      // Each iteration calls anew; several at once, beside plain calls.
      let stream = python.stream(PythonCall<Int>(target("numbers"), 300), buffer: 1)
      async let first = stream.reduce(0, +)
      async let second = stream.reduce(0, +)
      #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 1)).value == 1)
      #expect(try await [first, second] == [44850, 44850])
      var sizes: [Int] = []
      for try await data in python.stream(PythonCall<Data>(target("large"), 5, 1_500_000), buffer: 2) {
        sizes.append(data.count)
        #expect(data.first == UInt8(sizes.count - 1) && data.last == data.first)
      }
      #expect(sizes == Array(repeating: 1_500_000, count: 5))
    }
  }

  @Test(arguments: Setting.modes)
  func `a value comes when it is yielded and not at the end`(setting: Setting) async throws {
    try await withExecutor(setting.executor()) { (python) async throws in
      let gates = (0..<3).map { _ in functions.gate() }
      var iterator = python.stream(PythonCall<String>(target("gated"), gates.map(\.path))).makeAsyncIterator()
      for (number, gate) in gates.enumerated() {
        await gate.open("\(number)")
        #expect(try await iterator.next() == "\(number)")
      }
      #expect(try await iterator.next() == nil)
      #expect(try await iterator.next() == nil)
    }
  }

  @Test(arguments: Setting.modes, [1, 4])
  func `a generator runs no further ahead than it may and is closed with its reader`(setting: Setting, buffer: Int) async throws {
    try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
      let path = "\(functions.folder.path)/told"
      func told() -> String { (try? String(contentsOfFile: path, encoding: .utf8)) ?? "" }
      do {
        var iterator = python.stream(PythonCall<Int>(target("told"), 1000, path), buffer: buffer).makeAsyncIterator()
        for number in 0..<10 {
          #expect(try await iterator.next() == number)
          let ahead = told().split(separator: " ").count - number - 1
          #expect(ahead <= buffer, "\(ahead) ahead of \(number)")
        }
      }
      // The iterator is gone; the worker is free for the next call, and lives.
      #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 1)).value == 1)
      #expect(told().hasSuffix("closed"))
      #expect(told().split(separator: " ").count <= 10 + buffer + 1)
    }
  }

  @Test(arguments: Setting.modes)
  func `what goes wrong in a generator comes after what it had yielded`(setting: Setting) async throws {
    try await withExecutor(setting.executor()) { (python) async throws in
      func read<Element>(_ call: PythonCall<Element>) async -> (count: Int, error: (any Error)?) {
        var iterator = python.stream(call).makeAsyncIterator()
        var count = 0
        do {
          while try await iterator.next() != nil { count += 1 }
          return (count, nil)
        } catch {
          return (count, error)
        }
      }
      let raised = await read(PythonCall<Int>(target("breaks"), 100))
      let failure = raised.error as? PythonFailure
      #expect(raised.count == 100 && failure?.message == "after 100" && failure?.traceback.contains("in breaks") == true)
      let died = await read(PythonCall<Int>(target("dies"), 3))
      #expect((died.error as? JobError)?.exit == .code(9) && died.count <= 3)
      #expect(((await read(PythonCall<Int>(target("nothing"), 3))).error as? PythonTargetError)?.reason == .missingFunction)
      #expect(((await read(PythonCall<Int>(target("odd"), 3))).error as? JobError)?.code == .notEncodable)
      let text = (await read(PythonCall<String>(target("text")))).error as? JobError
      #expect(text?.code == .notEncodable && text?.message.contains("nothing to stream") == true, "\(String(describing: text))")
      let wrong = await read(PythonCall<String>(target("numbers"), 3))
      #expect((wrong.error as? JobError)?.code == .notDecodable && wrong.count == 0)
      #expect(try await python.submit(PythonCall<Int>(functions.target("echo"), 1)).value == 1)
    }
  }

  @Test(arguments: Setting.modes)
  func `a cancelled task ends its stream and the worker goes on`(setting: Setting) async throws {
    try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
      let gates = (0..<3).map { _ in functions.gate() }
      let hasRead = Future<Void>(in: nil)
      let hasLeft = Future<Void>(in: nil)
      let reader = Task {
        defer { hasLeft.succeed(()) }
        for try await text in python.stream(PythonCall<String>(target("gated"), gates.map(\.path))) {
          #expect(text == "first")
          hasRead.succeed(())
        }
      }
      await gates[0].open("first")
      try await hasRead.value
      let next = python.submit(PythonCall<Int>(functions.target("echo"), 1))
      // The generator is at its second gate when it is left, for sure: had it come past it before, it would stay at its third for ever. At its
      // next yield it is closed.
      await gates[1].open("second") {
        reader.cancel()
        try? hasLeft.wait(timeout: .seconds(60))
      }
      await #expect(throws: CancellationError.self) { try await reader.value }
      #expect(try await next.value == 1)
    }
  }

  @Test(arguments: Setting.modes)
  func `many streams that are left at once free their workers`(setting: Setting) async throws {
    try await withExecutor(setting.executor(maxWorkers: 2)) { (python) async throws in
      for round in 0..<40 {
        // More than there are workers: some wait, and never run.
        var iterators = (0..<5).map { _ in python.stream(PythonCall<Int>(target("numbers"), 1000), buffer: 3).makeAsyncIterator() }
        #expect(try await iterators[0].next() == 0)
        if round % 2 == 0 { #expect(try await iterators[0].next() == 1) }
        iterators = []
      }
      for try await count in python.map((0..<20).map { PythonCall<Int>(functions.target("echo"), $0) }) { #expect(count < 20) }
    }
  }

  @Test(arguments: [Setting.all[4], Setting.all[10], Setting(mode: .processes), Setting.freeThreaded])
  func `coroutines run on one loop as many at once as may`(setting: Setting) async throws {
    var settings = PythonSettings()
    settings.concurrency = 100
    try await withExecutor(setting.executor(maxWorkers: 1, settings: settings)) { (python) async throws in
      // None returns before all hundred are there.
      let crowd = (0..<100).map { _ in python.submit(PythonCall<Int>(target("crowd"), 100)) }
      for future in crowd { _ = try await future.value }
      let loops = try await python.map((0..<300).map { PythonCall<[Int]>(target("loop_of"), $0) }).reduce(into: [[Int]]()) { $0.append($1) }
      #expect(loops.map { $0[1] } == Array(0..<300) && Set(loops.map { $0[0] }).count == 1)
      let failure = await #expect(throws: PythonFailure.self) { try await python.submit(PythonCall<Int>(target("fails"))).value }
      #expect(failure?.message == "in a coroutine" && failure?.traceback.contains("<heddle>") == false)
      #expect(
        (await #expect(throws: PythonFailure.self) { try await python.submit(PythonCall<Int>(target("leaves"))).value })?.message == "3")
      // What blocks does so on a thread.
      let gate = functions.gate()
      let blocked = python.submit(PythonCall<String>(target("blocks"), gate.path))
      #expect(try await python.submit(PythonCall<[Int]>(target("listed"), 3)).value == [0, 1, 2])
      await gate.open("done")
      #expect(try await blocked.value == "done")
      // Streams of both kinds, many at once.
      let sums = await withTaskGroup(of: Int.self) { group in
        for number in 0..<20 {
          group.addTask {
            (try? await python.stream(PythonCall<Int>(target(number % 2 == 0 ? "slowly" : "numbers"), 200), buffer: 4).reduce(0, +)) ?? -1
          }
        }
        return await group.reduce(into: []) { $0.append($1) }
      }
      #expect(sums == Array(repeating: 19900, count: 20))
    }
  }

  @Test(arguments: Setting.modes)
  func `one coroutine after another finds the same loop`(setting: Setting) async throws {
    try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
      var loops: Set<Int> = []
      for number in 0..<5 {
        let answer = try await python.submit(PythonCall<[Int]>(target("loop_of"), number)).value
        #expect(answer[1] == number)
        loops.insert(answer[0])
      }
      #expect(loops.count == 1)
    }
  }

  @Test(arguments: Setting.modes)
  func `a method has an object that its worker keeps`(setting: Setting) async throws {
    try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
      for expected in [11, 12, 13] { #expect(try await python.submit(PythonCall<Int>(target("Counter.add"), 1)).value == expected) }
      #expect(try await python.submit(PythonCall<Int>(target("Counter.later"), 1)).value == 14)
      #expect(try await python.submit(PythonCall<Int>(target("Counter.free"), 5)).value == 5)
      #expect(try await python.submit(PythonCall<Int>(target("Counter.objects"))).value == 1)
      #expect(try await python.stream(PythonCall<Int>(target("Counter.items"), 2)).reduce(into: []) { $0.append($1) } == [13, 14])
      let error = await #expect(throws: PythonTargetError.self) { try await python.submit(PythonCall<Int>(target("Needs.method"))).value }
      #expect(error?.reason == .constructionFailed && error?.failure?.type == "TypeError")
      #expect(error?.message.contains("Needs() gives no object") == true, "\(String(describing: error))")
      #expect(try await python.submit(PythonCall<String>("builtins:str.upper", "a")).value == "A")
    }
  }
}
