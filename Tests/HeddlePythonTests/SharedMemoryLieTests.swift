import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

extension SharedMemoryTests {
  /// What a worker that has gone wild may say of memory: it dies for it, and nobody else.
  @Suite(.timeLimit(.minutes(2)), .serialized)
  struct SharedMemoryLieTests: Sendable {
    let folder: TemporaryFolder

    init() throws {
      folder = try TemporaryFolder()
      try folder.write("lies.py", Self.text)
    }
    func target(_ function: String) -> String { "\(folder.path)/lies.py:\(function)" }

    /// The functions reach into the bridge, which is found on the stack.
    static let text = """
      import marshal, os, sys
      def bridge(name):
          frame = sys._getframe(1)
          while name not in frame.f_globals: frame = frame.f_back
          return frame.f_globals[name]
      def local(name):
          frame = sys._getframe(1)
          while name not in frame.f_locals: frame = frame.f_back
          return frame.f_locals[name]
      class Said:
          def __init__(self, size, descriptor): self.size, self.descriptor = size, descriptor
      def record(**changes):
          facts = {"sharedMemory": 0, "offset": 0, "count": 4, "stride": 4, "format": "i", "shape": (4,), "raw": False}
          facts.update(changes)
          return frozenset((key, value) for key, value in facts.items() if value is not None)
      def file(seals=22, size=16):
          import fcntl
          number = os.memfd_create("heddle-buffer", 3)
          os.write(number, bytes(size))
          if seals: fcntl.fcntl(number, 1033, seals)
          return number
      def pid(): return os.getpid()
      def lie(kind):
          memories, count = [], None
          value = record()
          if kind == "number": value = record(sharedMemory=3)
          elif kind == "huge number": value = record(sharedMemory=1 << 100)
          elif kind == "negative number": value = record(sharedMemory=-1)
          elif kind == "nothing sent": pass
          else: memories = [Said(16, file())]
          if kind == "too many": value = record(count=5, shape=(5,))
          elif kind == "too far": value = record(offset=1)
          elif kind == "overflow": value = record(offset=1 << 62, stride=16)
          elif kind == "negative": value = record(offset=-4)
          elif kind == "no bytes": value = record(stride=0)
          elif kind == "shape": value = record(shape=(1 << 32, 1 << 32))
          elif kind == "letter": value = record(format="d")
          elif kind == "no format": value = record(format=None)
          elif kind == "pairs": value = frozenset(["sharedMemory"])
          elif kind == "inline": value = record(bytes=b"x" * 15)
          elif kind == "pipe": memories = [Said(16, os.pipe()[0])]
          elif kind == "unsealed": memories = [Said(16, file(seals=0))]
          elif kind == "shrinkable": memories = [Said(16, file(seals=4))]
          elif kind == "size": memories = [Said(1 << 40, file())]
          elif kind == "fewer": count = 2
          elif kind == "more": memories, count = memories + [Said(16, file())], 1
          elif kind == "announced": memories, count = [], 1
          elif kind == "crowd": memories, count = [], 65535
          return tell(value, memories, count)
      def tell(value, memories, count):
          transport = local("transport")
          send, frame = transport.send, transport._frame
          def lying_frame(kind, position, number, payload, flags=0, real=0):
              return frame(kind, position, number, payload, flags, real if count is None else count)
          def lying_send(kind, position, payload, cpu=0, wall=0, extra=0, more=0):
              payload = marshal.dumps(value, 2)
              if memories: payload = bridge("Parcel")(payload); payload.memories = memories
              transport._frame = lying_frame
              send(1, position, payload, cpu, wall, extra, more)
          transport.send = lying_send
          # `bridge` and `local` look at who calls.
          globals()["bridge"] = lambda name, found=bridge("Parcel"): found
      def stream(kind):
          lie(kind)
          yield 1
          yield 2
      """

    static let read = [
      "number", "huge number", "negative number", "nothing sent", "too many", "too far", "overflow", "negative", "no bytes", "shape",
      "letter",
      "no format", "pairs", "inline",
    ]
    static let handed = ["pipe", "unsealed", "shrinkable", "size", "fewer", "more", "announced", "crowd"]

    @Test(arguments: read)
    func `an array that cannot be fails its call and kills its worker`(lie: String) async throws {
      try await withExecutor(PythonExecutor(maxWorkers: 1)) { (python) async throws in
        try await expectDeath(python) {
          let error = await #expect(throws: JobError.self) {
            try await python.submit(PythonCall<SharedBuffer<Int32>>(target("lie"), lie)).value
          }
          #expect(error?.code == .notDecodable || error?.code == .workerDied, "\(String(describing: error))")
        }
        try await expectDeath(python) {
          await #expect(throws: JobError.self) { try await python.submit(PythonCall<[Int]>(target("lie"), lie)).value }
        }
        try await expectDeath(python) {
          await #expect(throws: JobError.self) {
            for try await _ in python.stream(PythonCall<SharedBuffer<Int32>>(target("stream"), lie), buffer: 1) {}
          }
        }
      }
      #expect(await SharedBufferTests.noBufferIsLeft())
    }
    @Test(arguments: handed)
    func `a descriptor of something else, or another number of them, kills the worker with a reason`(lie: String) async throws {
      try await withExecutor(PythonExecutor(maxWorkers: 1)) { (python) async throws in
        try await expectDeath(python) {
          let error = await #expect(throws: JobError.self) {
            try await python.submit(PythonCall<SharedBuffer<Int32>>(target("lie"), lie)).value
          }
          #expect(error?.code == .workerDied && error?.message.contains("shared memory") == true, "\(String(describing: error))")
        }
      }
      #expect(await SharedBufferTests.noBufferIsLeft())
    }
    /// After `body` the calls are answered by another process.
    private func expectDeath(_ python: PythonExecutor, _ body: () async throws -> Void) async throws {
      let pid = try await python.submit(PythonCall<Int32>(target("pid"))).value
      try await body()
      #expect(await isGone(pid))
      #expect(try await python.submit(PythonCall<Int32>(target("pid"))).value != pid)
    }
  }
}
