import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

extension SharedMemoryTests {
  /// NumPy's arrays in shared memory.
  @Suite(.timeLimit(.minutes(10)), .serialized)
  struct SharedArrayTests: Sendable {
    static let settings =
      ["3.8.18", "3.11.7", "3.13.0", "3.14"].map { Setting(mode: .processes, version: $0) }
      + [Setting(mode: .threads, version: "3.13.0"), Setting(mode: .freeThreaded, version: "3.13t")]
    let folder: TemporaryFolder

    init() throws {
      folder = try TemporaryFolder()
      try folder.write(
        "arrays.py",
        """
        import numpy, os
        def double(view):
            array = numpy.frombuffer(view, dtype="f4")
            array *= 2
            return array.__array_interface__["data"][0] == numpy.frombuffer(view.obj, dtype="u1").__array_interface__["data"][0]
        def typed(view):
            array = numpy.asarray(view)
            return [str(array.dtype), array.shape[0], bool(array.flags.writeable)]
        def rows(view, width): return numpy.asarray(view).reshape(-1, width)
        def row(view, width, number): return rows(view, width)[number]
        def column(view, width, number): return rows(view, width)[:, number]
        def fresh(count, kind): return numpy.arange(count).astype(kind)
        def grid(height, width): return {"grid": numpy.arange(height * width, dtype="i8").reshape(height, width), "name": "a"}
        def turned(height, width): return numpy.arange(height * width, dtype="f8").reshape(height, width).T
        def odd(): return [numpy.array(["a", "b"]), numpy.array([1, 2], dtype=">i4"), numpy.array(3.5), numpy.array([]), numpy.array([True, False])]
        def halves(view): return numpy.frombuffer(view, dtype="f2")
        """)
    }
    func target(_ function: String) -> String { "\(folder.path)/arrays.py:\(function)" }

    @Test(arguments: settings)
    func `a buffer is an array without a copy, and so is an array that lies in one`(setting: Setting) async throws {
      try await run(setting) { python in
        let numbers = try SharedBuffer<Float>(copying: (0..<1 << 20).map(Float.init), access: .readWrite)
        #expect(try await python.submit(PythonCall<Bool>(target("double"), numbers)).value)
        // Written there, seen here.
        #expect(numbers[0] == 0 && numbers[1] == 2 && numbers[(1 << 20) - 1] == Float(2 * ((1 << 20) - 1)))
        #expect(try await python.submit(PythonCall<PythonValue>(target("typed"), numbers)).value == ["float32", 1_048_576, true])
        let fixed = try SharedBuffer<UInt16>(copying: 0..<100)
        #expect(try await python.submit(PythonCall<PythonValue>(target("typed"), fixed)).value == ["uint16", 100, false])
        let whole = try await python.submit(PythonCall<SharedBuffer<Float>>(target("rows"), numbers, 1024)).value
        #expect(whole.isTriviallyIdentical(to: numbers))
        let row = try await python.submit(PythonCall<SharedBuffer<Float>>(target("row"), numbers, 1024, 3)).value
        #expect(row.isTriviallyIdentical(to: numbers.extracting(3 * 1024..<4 * 1024)))
        // A column lies in no piece: one copy, in the message or in memory of its own.
        let column = try await python.submit(PythonCall<SharedBuffer<Float>>(target("column"), numbers, 1024, 3)).value
        #expect(column.count == 1024 && column[2] == numbers[2 * 1024 + 3] && column.isWritable)
        let long = try await python.submit(PythonCall<SharedBuffer<Float>>(target("column"), numbers, 16, 3)).value
        #expect(long.count == 1 << 16 && long.isWritable && long[100] == numbers[100 * 16 + 3])
        let halves = try SharedBuffer<Float16>(copying: [0.5, 2])
        #expect(try await python.submit(PythonCall<SharedBuffer<Float16>>(target("halves"), halves)).value.isTriviallyIdentical(to: halves))
        // As lists too.
        #expect(
          try await python.submit(PythonCall<[[Int]]>(target("rows"), try SharedBuffer<Int>(copying: 0..<6), 3)).value == [
            [0, 1, 2], [3, 4, 5],
          ])
      }
    }

    @Test(arguments: settings)
    func `an array of its own comes in one copy, as a buffer or as what is asked for`(setting: Setting) async throws {
      try await run(setting) { python in
        for count in [1000, 100_000] {
          #expect(
            try await python.submit(PythonCall<SharedBuffer<Double>>(target("fresh"), count, "f8")).value.elementsEqual(
              (0..<count).map(Double.init)))
          #expect(try await python.submit(PythonCall<SharedBuffer<Int16>>(target("fresh"), count, "i2")).value.count == count)
          #expect(try await python.submit(PythonCall<[Double]>(target("fresh"), count, "f8")).value == (0..<count).map(Double.init))
          #expect(try await python.submit(PythonCall<[Float]>(target("fresh"), count, "f8")).value == (0..<count).map(Float.init))
          #expect(try await python.submit(PythonCall<[Int]>(target("fresh"), count, "u4")).value == Array(0..<count))
          #expect(try await python.submit(PythonCall<[UInt8]>(target("fresh"), count, "u1")).value == (0..<count).map { UInt8($0 & 255) })
          #expect(try await python.submit(PythonCall<Data>(target("fresh"), count, "u1")).value.count == count)
        }
        #expect(try await python.submit(PythonCall<[UInt8]>(target("fresh"), 200, "i4")).value == Array(0..<200))
        let wrong = await #expect(throws: JobError.self) {
          try await python.submit(PythonCall<SharedBuffer<Float>>(target("fresh"), 8, "i4")).value
        }
        #expect(wrong?.code == .notDecodable && wrong?.message.contains("int32") == true)
        struct Grid: Decodable, Equatable {
          var grid: [[Int]]
          var name: String
        }
        struct SharedGrid: Decodable, Sendable {
          var grid: SharedBuffer<Int>
          var name: String
        }
        for (height, width) in [(2, 3), (300, 100)] {
          let grid = try await python.submit(PythonCall<Grid>(target("grid"), height, width)).value
          #expect(grid.grid == (0..<height).map { row in (0..<width).map { row * width + $0 } } && grid.name == "a")
          let shared = try await python.submit(PythonCall<SharedGrid>(target("grid"), height, width)).value
          #expect(shared.grid.elementsEqual(0..<height * width))
          // Not in the order in which it lies there.
          let turned = try await python.submit(PythonCall<SharedBuffer<Double>>(target("turned"), height, width)).value
          #expect(turned[1] == Double(width) && turned[height] == 1 && turned.count == height * width)
        }
        let odd = try await python.submit(PythonCall<PythonValue>(target("odd"))).value
        #expect(odd == .list([.list(["a", "b"]), .list([1, 2]), .double(3.5), .list([]), .list([true, false])]))
      }
    }

    private func run(_ setting: Setting, _ body: (PythonExecutor) async throws -> Void) async throws {
      guard let base = try setting.python() else { return }
      let python = try PackageEnvironment.python(base, version: setting.version ?? "")
      try await withExecutor(PythonExecutor(maxWorkers: 2, mode: setting.mode, python: python)) { (executor) async throws in
        try await body(executor)
      }
      #expect(await SharedBufferTests.noBufferIsLeft())
    }
  }
}
