import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// What counts buffers runs alone among those that make some.
@Suite(.serialized)
enum SharedMemoryTests {}

extension SharedMemoryTests {
  /// Memory that Swift and Python see at once, in every mode on every Python.
  @Suite(.timeLimit(.minutes(3)), .serialized)
  struct SharedBufferTests: Sendable {
    let folder: TemporaryFolder

    init() throws {
      folder = try TemporaryFolder()
      try folder.write("shared.py", Self.text)
    }
    func target(_ function: String) -> String { "\(folder.path)/shared.py:\(function)" }

    static let text = """
      import array, gc, os
      KEPT = []
      def about(view): return [view.format, len(view), view.nbytes, view.readonly]
      def fill(view, start):
          for place in range(len(view)): view[place] = start + place
          return len(view)
      def total(view): return sum(view)
      def same(view): return view
      def part(view, start, end): return view[start:end]
      def many(parts): return {"sum": sum(sum(part) for part in parts), "back": list(reversed(parts))}
      def spoil(view): view[0] = 1
      def keep(view): KEPT.append(view)
      def kept(): return KEPT.pop()
      def makes(kind, count):
          if kind == "bytearray": return bytearray(range(256)) * (count // 256)
          if kind == "memoryview": return memoryview(array.array("f", range(count)))
          if kind == "array": return array.array("i", range(count))
          return bytes(bytearray(range(256)) * (count // 256))
      def footprint():
          gc.collect()
          names = []
          for name in os.listdir("/proc/self/fd"):
              try: names.append(os.readlink("/proc/self/fd/" + name))
              except OSError: pass
          with open("/proc/self/maps") as maps: mapped = sum("heddle-buffer" in line for line in maps)
          return [sum("heddle-buffer" in name for name in names), mapped, len(names)]
      def die(view, how):
          view[0] = 7
          if how == "exit": os._exit(9)
          import ctypes
          ctypes.string_at(0)
      def stream(view, count):
          for place in range(count): yield view[place : place + 2]
      async def later(view):
          import asyncio
          await asyncio.sleep(0.001)
          view[1] = 5
          return view
      def crowd(view):
          import resource
          soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
          resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) - 1, hard))
      """

    @Test(arguments: Setting.all)
    func `a buffer is a memoryview of the same memory, to be written where that was asked for`(setting: Setting) async throws {
      try await withExecutor(setting.executor()) { (python) async throws in
        struct About: Decodable, Equatable {
          var format: String
          var count: Int
          var size: Int
          var isReadOnly: Bool
          init(_ format: String, _ count: Int, _ size: Int, _ isReadOnly: Bool) {
            (self.format, self.count, self.size, self.isReadOnly) = (format, count, size, isReadOnly)
          }
          init(from decoder: any Decoder) throws {
            var list = try decoder.unkeyedContainer()
            self.init(try list.decode(String.self), try list.decode(Int.self), try list.decode(Int.self), try list.decode(Bool.self))
          }
        }
        func look<Element>(_ buffer: SharedBuffer<Element>, _ expected: About) async throws {
          #expect(try await python.submit(PythonCall<About>(target("about"), buffer)).value == expected)
        }
        let numbers = try SharedBuffer<Int32>(count: 1000, access: .readWrite)
        try await look(numbers, About("i", 1000, 4000, false))
        #expect(try await python.submit(PythonCall<Int>(target("fill"), numbers, 5)).value == 1000)
        #expect(numbers[0] == 5 && numbers[999] == 1004)
        numbers[3] = 100
        #expect(try await python.submit(PythonCall<Int>(target("total"), numbers)).value == numbers.reduce(0) { $0 + Int($1) })
        // Each its part.
        let parts = (0..<10).map { numbers.extracting($0 * 100..<($0 + 1) * 100) }
        for (number, future) in parts.enumerated().map({ ($0, python.submit(PythonCall<Int>(target("fill"), $1, $0 * 1000))) }) {
          #expect(try await future.value == 100)
          #expect(numbers[number * 100 + 99] == number * 1000 + 99)
        }
        let fixed = try SharedBuffer<Double>(copying: [1.5, 2.5])
        try await look(fixed, About("d", 2, 16, true))
        let failure = await #expect(throws: PythonFailure.self) { try await python.submit(PythonCall<Int?>(target("spoil"), fixed)).value }
        #expect(failure?.type == "TypeError" && fixed[0] == 1.5)
        try await look(try SharedBuffer<UInt8>(count: 0), About("B", 0, 0, true))
        try await look(try SharedBuffer<Bool>(copying: [true]), About("?", 1, 1, true))
        try await look(try SharedBuffer<UInt64>(count: 3, access: .readWrite), About("L", 3, 24, false))
        try await look(try SharedBuffer<SIMD4<Float>>(count: 3, access: .readWrite), About("B", 48, 48, false))
      }
    }

    @Test(arguments: Setting.all)
    func `a view that comes back is the buffer that went, also a part of it and from a later call`(setting: Setting) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        let numbers = try SharedBuffer<Float>(copying: (0..<100_000).map(Float.init), access: .readWrite)
        let back = try await python.submit(PythonCall<SharedBuffer<Float>>(target("same"), numbers)).value
        #expect(back.isTriviallyIdentical(to: numbers) && back.isWritable)
        let part = try await python.submit(PythonCall<SharedBuffer<Float>>(target("part"), numbers, 10, 30)).value
        // Where a sub-interpreter has no ctypes nothing tells where a slice begins: it is copied.
        let isCopied = setting.version == "3.12.1" && setting.mode == .interpreters
        #expect(part.isTriviallyIdentical(to: numbers.extracting(10..<30)) == !isCopied)
        #expect(part.elementsEqual(numbers[10..<30]))
        let fixed = try SharedBuffer<Int>(copying: [1, 2, 3])
        #expect(try await python.submit(PythonCall<SharedBuffer<Int>>(target("same"), fixed)).value.isTriviallyIdentical(to: fixed))
        struct Many: Decodable, Sendable {
          var sum: Int
          var back: [SharedBuffer<Int>]
        }
        let other = try SharedBuffer<Int>(copying: [10], access: .readWrite)
        let many = try await python.submit(PythonCall<Many>(target("many"), [fixed, other, fixed])).value
        #expect(many.sum == 22 && many.back.map(\.count) == [3, 1, 3])
        for (mine, came) in zip([fixed, other, fixed], many.back) { #expect(came.isTriviallyIdentical(to: mine)) }
        _ = try await python.submit(PythonCall<Int?>(target("keep"), numbers)).value
        #expect(try await python.submit(PythonCall<SharedBuffer<Float>>(target("kept"))).value.isTriviallyIdentical(to: numbers))
        // And as what it would be without memory.
        #expect(try await python.submit(PythonCall<[Int]>(target("same"), fixed)).value == [1, 2, 3])
        #expect(try await python.submit(PythonCall<[Double]>(target("part"), numbers, 1, 4)).value == [1, 2, 3])
        let bytes = try await python.submit(PythonCall<Data>(target("same"), try SharedBuffer<UInt16>(copying: [1, 258]))).value
        #expect(bytes == Data([1, 0, 2, 1]))
        #expect(
          try await python.submit(PythonCall<PythonValue>(target("same"), try SharedBuffer<UInt8>(copying: [7]))).value == .bytes([7]))
      }
    }

    @Test(arguments: Setting.all)
    func `what is in no buffer comes as bytes or list, or as a buffer of its own`(setting: Setting) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        // In the message, and in memory.
        for count in [512, 1 << 17] {
          let bytes = (0..<count).map { UInt8($0 & 255) }
          for kind in ["bytearray", "bytes"] {
            #expect(try await python.submit(PythonCall<[UInt8]>(target("makes"), kind, count)).value == bytes)
            #expect(try await python.submit(PythonCall<Data>(target("makes"), kind, count)).value == Data(bytes))
            #expect(try await python.submit(PythonCall<PythonValue>(target("makes"), kind, count)).value == .bytes(bytes))
            let shared = try await python.submit(PythonCall<SharedBuffer<UInt8>>(target("makes"), kind, count)).value
            #expect(shared.elementsEqual(bytes))
            #expect(try await python.submit(PythonCall<SharedBuffer<Int32>>(target("makes"), kind, count)).value.count == count / 4)
          }
          let floats = (0..<count).map(Float.init)
          #expect(try await python.submit(PythonCall<[Float]>(target("makes"), "memoryview", count)).value == floats)
          #expect(try await python.submit(PythonCall<[Double]>(target("makes"), "memoryview", count)).value == floats.map(Double.init))
          #expect(try await python.submit(PythonCall<Data>(target("makes"), "memoryview", count)).value.count == 4 * count)
          #expect(
            try await python.submit(PythonCall<SharedBuffer<Float>>(target("makes"), "memoryview", count)).value.elementsEqual(floats))
          #expect(try await python.submit(PythonCall<[Int]>(target("makes"), "array", count)).value == Array(0..<count))
          #expect(
            try await python.submit(PythonCall<SharedBuffer<Int32>>(target("makes"), "array", count)).value.elementsEqual(0..<Int32(count)))
        }
        let error = await #expect(throws: JobError.self) {
          try await python.submit(PythonCall<SharedBuffer<Float>>(target("makes"), "array", 4)).value
        }
        #expect(error?.code == .notDecodable && error?.message.contains("int32") == true, "\(String(describing: error))")
        let flags = await #expect(throws: JobError.self) {
          try await python.submit(PythonCall<SharedBuffer<Bool>>(target("makes"), "bytes", 256)).value
        }
        #expect(flags?.code == .notDecodable && flags?.message.contains("not every pattern of bits") == true)
        let none = await #expect(throws: JobError.self) { try await python.submit(PythonCall<SharedBuffer<Int>>(target("keep"), 1)).value }
        #expect(none?.code == .notDecodable)
      }
    }

    @Test(arguments: Setting.all)
    func `nothing is left in the worker or here after calls with buffers`(setting: Setting) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        func round() async throws {
          let buffer = try SharedBuffer<Int32>(count: 1 << 18, access: .readWrite)
          for _ in 0..<20 {
            _ = try await python.submit(PythonCall<SharedBuffer<Int32>>(target("part"), buffer, 0, 5)).value
            _ = try await python.submit(PythonCall<Data>(target("makes"), "bytearray", 1 << 20)).value
            await #expect(throws: PythonFailure.self) { try await python.submit(PythonCall<Int?>(target("makes"), buffer)).value }
            for try await piece in python.stream(PythonCall<SharedBuffer<Int32>>(target("stream"), buffer, 3)) { #expect(piece.count == 2) }
          }
        }
        try await round()
        let there = try await python.submit(PythonCall<[Int]>(target("footprint"))).value
        #expect(await Self.noBufferIsLeft())
        for _ in 0..<5 { try await round() }
        #expect(try await python.submit(PythonCall<[Int]>(target("footprint"))).value == there)
        #expect(there[0] == 0 && there[1] == 0, "\(there)")
        #expect(await Self.noBufferIsLeft())
      }
    }
    /// Whether no buffer is open here any more, within ten seconds: what a call held is let go after its future has ended.
    static func noBufferIsLeft() async -> Bool {
      for _ in 0..<1000 {
        if ownBuffers() == 0 { return true }
        try? await Task.sleep(for: .milliseconds(10))
      }
      return false
    }
    /// Buffers that this process has open.
    static func ownBuffers() -> Int {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd")) ?? []
      return names.filter {
        ((try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/fd/\($0)")) ?? "").contains("heddle-buffer")
      }
      .count
    }

    @Test(arguments: Setting.modes, ["exit", "crash"])
    func `an interpreter that dies with a buffer leaves it as it was written`(setting: Setting, how: String) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        do {
          let buffer = try SharedBuffer<Int>(count: 100_000, access: .readWrite)
          let options = JobOptions(retry: RetryPolicy(crashes: 1, backoff: .immediate))
          let error = await #expect(throws: JobError.self) {
            try await python.submit(PythonCall<Int?>(target("die"), buffer, how), options: options).value
          }
          #expect(error?.code == .workerDied && error?.attempt == 2 && buffer[0] == 7)
          #expect(try await python.submit(PythonCall<Int>(target("total"), buffer)).value == 7)
        }
        #expect(await Self.noBufferIsLeft())
      }
    }

    /// Cancelled where the worker has been sent them and has not started them, for the most part: it sleeps before each.
    @Test(arguments: Setting.modes)
    func `calls with buffers that are taken back leave none behind`(setting: Setting) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        var taken = 0
        for round in 0..<(setting.isOneProcess ? 300 : 40) {
          let buffer = try SharedBuffer<Int>(count: 8, access: .readWrite)
          let future = python.submit(PythonCall<Int>(target("fill"), buffer, round))
          if round % 4 != 0, future.cancel() {
            taken += 1
          } else {
            #expect(try await future.value == 8)
            #expect(buffer[7] == round + 7)
          }
        }
        #expect(taken > 0)
        let there = try await python.submit(PythonCall<[Int]>(target("footprint"))).value
        #expect(there[0] == 0 && there[1] == 0, "\(there)")
      }
      #expect(await Self.noBufferIsLeft())
    }

    @Test(arguments: Setting.modes)
    func `buffers go through streams and coroutines`(setting: Setting) async throws {
      try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
        let buffer = try SharedBuffer<Int>(copying: 0..<10, access: .readWrite)
        var firsts: [Int] = []
        for try await piece in python.stream(PythonCall<SharedBuffer<Int>>(target("stream"), buffer, 5)) {
          #expect(piece.isTriviallyIdentical(to: buffer.extracting(firsts.count..<firsts.count + 2)))
          firsts.append(piece[0])
        }
        #expect(firsts == [0, 1, 2, 3, 4])
        #expect(try await python.submit(PythonCall<SharedBuffer<Int>>(target("later"), buffer)).value.isTriviallyIdentical(to: buffer))
        #expect(buffer[1] == 5)
      }
    }
    @Test func `buffers go through a worker that runs several coroutines at once`() async throws {
      try await withExecutor(PythonExecutor(maxWorkers: 1, concurrency: 8)) { (python) async throws in
        let buffers = try (0..<40).map { try SharedBuffer<Int>(copying: [$0, 0], access: .readWrite) }
        let futures = buffers.map { python.submit(PythonCall<SharedBuffer<Int>>(target("later"), $0)) }
        for (buffer, future) in zip(buffers, futures) {
          #expect(try await future.value.isTriviallyIdentical(to: buffer))
          #expect(buffer[1] == 5)
        }
        #expect(try await python.submit(PythonCall<Int>(target("total"), buffers[3])).value == 8)
      }
    }

    @Test func `more buffers than go with one message, and a worker without descriptors, are said`() async throws {
      try await withExecutor(PythonExecutor(maxWorkers: 1)) { (python) async throws in
        let buffers = try (0..<129).map { _ in try SharedBuffer<UInt8>(count: 1) }
        let error = await #expect(throws: JobError.self) { try await python.submit(PythonCall<Int?>(target("keep"), buffers)).value }
        #expect(error?.code == .notEncodable && error?.message.contains("128") == true)
        _ = try await python.submit(PythonCall<Int?>(target("keep"), Array(buffers.prefix(128)))).value
        _ = try await python.submit(PythonCall<Int?>(target("crowd"), 1)).value
        let fresh = try SharedBuffer<UInt8>(count: 1)
        let failure = await #expect(throws: PythonFailure.self) { try await python.submit(PythonCall<Int?>(target("keep"), fresh)).value }
        #expect(failure?.type == "OSError" && failure?.message.contains("descriptors") == true, "\(String(describing: failure))")
        // Those that it has already need none, and what it makes goes in the message.
        #expect(try await python.submit(PythonCall<Data>(target("makes"), "bytearray", 1 << 20)).value.count == 1 << 20)
      }
      let initialized = PythonExecutor(
        maxWorkers: 1, initializer: PythonCall(target("keep"), try SharedBuffer<Int>(count: 1)))
      let error = await #expect(throws: JobError.self) { try await initialized.submit(PythonCall<Int?>(target("keep"), 1)).value }
      #expect(error?.code == .notEncodable && error?.message.contains("initializer") == true)
      await initialized.shutdown()
    }
  }
}
