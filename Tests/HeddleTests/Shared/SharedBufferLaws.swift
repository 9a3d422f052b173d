import Glibc
import Heddle
import HeddleSystem
import HeddleWire
import Testing

extension Core {
  /// A buffer is the same memory on every executor.
  @Suite struct SharedBufferLaws {
    @Test(arguments: Kind.allCases) func `what the host wrote a job reads, and only where it may it writes`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let buffer = try SharedBuffer<Int32>(count: 1000)
        #expect(buffer.isWritable && buffer.access == .readOnly && buffer.allSatisfy { $0 == 0 })
        for index in buffer.indices { buffer[index] = Int32(index) }
        for round in 0..<20 {
          buffer[0] = Int32(round)
          let answer = try await subject.submit(Sums(buffer: buffer)).value
          #expect(answer == Sums.Answer(sum: 499_500 + round, isWritable: !kind.isRemote))
        }
      }
    }
    @Test(arguments: Kind.allCases) func `a buffer travels anywhere in a value, and comes back as itself`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let first = try SharedBuffer<Int32>(copying: 1...10)
        let second = try SharedBuffer<Int32>(copying: [100])
        let third = try SharedBuffer<Double>(copying: [0.5, 0.5])
        let nest = Nest(list: [first, second, first], table: ["a": third, "b": third], choice: .some(second, label: "x"), optional: first)
        let answer = try await subject.submit(CountsNest(nest: nest)).value
        #expect(answer.sum == nest.sum && nest.sum == 55 * 3 + 200 + 2)
        #expect(answer.nest.list[2].isTriviallyIdentical(to: first) && answer.nest.list[1].isTriviallyIdentical(to: second))
        #expect(answer.nest.table["b"]?.isTriviallyIdentical(to: third) == true && answer.nest.none == nil)
        #expect(answer.nest.list[0].isWritable, "it is still the one that made it")
      }
    }
    @Test(arguments: Kind.allCases) func `what a job made arrives in the host, and goes on to another executor`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let made = try await subject.submit(Makes(count: 5000)).value
        #expect(made.buffer.elementsEqual(0..<5000) && made.buffer.isWritable == !kind.isRemote && made.buffer.access == .readOnly)
        let answer = try await withSubject(.processes, workers: 1) { other in
          let pid = try await other.submit(ProcessNumber()).value
          #expect(pid != made.pid)
          return try await other.submit(Sums(buffer: made.buffer)).value
        }
        #expect(answer == Sums.Answer(sum: 4999 * 2500, isWritable: false))
      }
    }
    @Test(arguments: Kind.allCases) func `where it was asked for, every side writes and the others see it`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let buffer = try SharedBuffer<Int32>(count: 3000, access: .readWrite)
        let back = try await subject.submit(Fills(buffer: buffer, value: 7)).value
        #expect(back.isTriviallyIdentical(to: buffer) && buffer.allSatisfy { $0 == 7 })
        let parts = (0..<10).map { part in
          subject.submit(Fills(buffer: buffer.extracting(part * 300..<part * 300 + 300), value: Int32(part)))
        }
        for (part, future) in parts.enumerated() {
          let slice = try await future.value
          #expect(slice.isTriviallyIdentical(to: buffer.extracting(part * 300..<part * 300 + 300)))
        }
        #expect(buffer.indices.allSatisfy { buffer[$0] == Int32($0 / 300) })
        let made = try await subject.submit(Makes(count: 10, access: .readWrite)).value.buffer
        made[3] = 50
        let answer = try await subject.submit(Sums(buffer: made)).value
        #expect(answer == Sums.Answer(sum: 45 - 3 + 50, isWritable: true))
      }
    }
    @Test(arguments: Kind.allCases) func `an error brings a buffer along`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let error = await subject.submit(FailsWithBuffer()).result.error as? FailsWithBuffer.Failure
        #expect(error?.buffer.elementsEqual([4, 5, 6]) == true)
      }
    }
    @Test(arguments: Kind.allCases) func `many jobs share many buffers, beside large and small ones`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let buffers = try (0..<40).map { try SharedBuffer<Int32>(copying: [Int32($0), 1]) }
        let sums = (0..<400).map { subject.submit(Sums(buffer: buffers[$0 % 40])) }
        let small = (0..<400).map { subject.submit(Doubled(value: $0)) }
        let large = (0..<8).map { subject.submit(Consumes(bytes: pattern(1 << 20, seed: $0))) }
        let made = (0..<200).map { subject.submit(Makes(count: $0)) }
        for (index, future) in sums.enumerated() {
          let answer = try await future.value
          #expect(answer.sum == index % 40 + 1)
        }
        for (index, future) in made.enumerated() {
          let buffer = try await future.value.buffer
          #expect(buffer.count == index && buffer.elementsEqual(0..<Int32(index)))
        }
        for (index, future) in small.enumerated() {
          let value = try await future.value
          #expect(value == 2 * index)
        }
        for (seed, future) in large.enumerated() {
          let value = try await future.value
          #expect(value == checksum(pattern(1 << 20, seed: seed)))
        }
      }
    }
    @Test(arguments: Kind.allCases) func `a map's items bring buffers, also where they travel together`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let buffer = try SharedBuffer<Int32>(copying: 0..<10)
        var index = 0
        for try await made in subject.map((0..<600).map { Makes(count: $0 % 7) }) {
          #expect(made.buffer.elementsEqual(0..<Int32(index % 7)))
          index += 1
        }
        #expect(index == 600)
        var sum = 0
        for try await answer in subject.map((0..<300).map { _ in Sums(buffer: buffer) }) { sum += answer.sum }
        #expect(sum == 300 * 45)
      }
    }
    @Test func `a message has the same few bytes for a buffer of any size`() throws {
      let encoder = MessageEncoder()
      let sizes = try [1, 1 << 20].map { count in
        try encoder.encode(["buffer": try SharedBuffer<UInt8>(count: count)])
        #expect(encoder.attachments.count == 1 && !encoder.hasSegments)
        return encoder.bytes.count
      }
      #expect(sizes[1] - sizes[0] <= 4 && sizes[1] < 200, "\(sizes)")
    }
    @Test func `other encoders and decoders say that they cannot`() throws {
      let buffer = try SharedBuffer<Int32>(count: 3)
      let error = #expect(throws: EncodingError.self) { try buffer.encode(to: NoEncoder()) }
      #expect("\(error as Any)".contains("only an executor") && "\(error as Any)".contains("Array(buffer)"))
      let other = #expect(throws: DecodingError.self) { try SharedBuffer<Int32>(from: NoDecoder()) }
      #expect("\(other as Any)".contains("only comes in a job"))
    }
    @Test func `it is a collection that checks its bounds`() throws {
      let buffer = try SharedBuffer<Float>(copying: [3, 1, 2])
      #expect(buffer.count == 3 && Array(buffer) == [3, 1, 2] && buffer.sorted() == [1, 2, 3])
      #expect(buffer.last == 2 && buffer[1...].first == 1)
      #expect(buffer.withSpan { span in span[2] } == 2)
      buffer.withMutableSpan { $0[2] = 9 }
      #expect(buffer.extracting(1..<3).elementsEqual([1, 9]) && "\(buffer)".contains("3.0, 1.0, 9.0"))
      let empty = try SharedBuffer<Double>(count: 0)
      #expect(empty.isEmpty && Array(empty) == [] && empty.extracting(0..<0).count == 0)
    }
    @Test(arguments: [3, -1]) func `an index that is none is a trap`(index: Int) async throws {
      struct Reads: Job {
        var buffer: SharedBuffer<Float>
        var index: Int
        func run() async throws -> Float { buffer[index] }
      }
      try await withSubject(.processes, workers: 1) { pool in
        let error = await pool.submit(Reads(buffer: try SharedBuffer(count: 3), index: index)).result.jobError
        #expect(error?.code == .workerDied && (error?.exit == .signal(4) || error?.exit == .signal(5)), "\(error as Any)")
      }
    }
    @Test func `writing what is for reading only is a trap that says so`() async throws {
      try await withSubject(.processes, workers: 1) { pool in
        let error = await pool.submit(Fills(buffer: try SharedBuffer(count: 3), value: 1)).result.jobError
        #expect(error?.code == .workerDied && (error?.exit == .signal(4) || error?.exit == .signal(5)), "\(error as Any)")
      }
    }
    @Test func `elements of another size are refused`() async throws {
      struct Confuses: Job {
        struct Sent: Codable, Sendable {
          var floats: SharedBuffer<Float>
          var doubles: SharedBuffer<Double>?
          enum CodingKeys: CodingKey { case buffer }
          init(floats: SharedBuffer<Float>) { self.floats = floats }
          func encode(to encoder: any Encoder) throws {
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(floats, forKey: .buffer)
          }
          init(from decoder: any Decoder) throws {
            doubles = try decoder.container(keyedBy: CodingKeys.self).decode(SharedBuffer<Double>.self, forKey: .buffer)
            floats = try SharedBuffer(count: 1)
          }
        }
        var sent: Sent
        func run() async throws -> Int { sent.doubles?.count ?? 0 }
      }
      try await withSubject(.processes, workers: 1) { pool in
        let error = await pool.submit(Confuses(sent: .init(floats: try SharedBuffer(count: 2)))).result.jobError
        #expect(error?.code == .notDecodable && error?.message.contains("elements of 4 bytes") == true, "\(error as Any)")
      }
    }
    @Test func `elements that not every pattern of bits stands for are taken from nobody else`() async throws {
      struct MakesFlags: Job {
        func run() async throws -> SharedBuffer<Bool> { try SharedBuffer(copying: [true, false]) }
      }
      struct CountsFlags: Job {
        var flags: SharedBuffer<Bool>
        func run() async throws -> Int { flags.count { $0 } }
      }
      try await withSubject(.processes, workers: 1) { pool in
        let count = try await pool.submit(CountsFlags(flags: try SharedBuffer(copying: [true, false, true]))).value
        #expect(count == 2, "a worker believes its parent")
        let error = await pool.submit(MakesFlags()).result.jobError
        #expect(error?.code == .notDecodable && error?.message.contains("UInt8") == true, "\(error as Any)")
      }
      let refusal = #expect(throws: SharedBufferError.self) { try SharedBuffer<Int?>(count: 3, access: .readWrite) }
      #expect(refusal?.code == .unsuitableElement)
    }
    @Test func `more than fits is an error and no trap`() throws {
      for count in [1 << 40, Int.max / 8, Int.max] {
        let error = #expect(throws: SharedBufferError.self) { try SharedBuffer<Int>(count: count) }
        #expect(error?.code == .noMemory, "\(error as Any)")
      }
    }
  }
}

/// Encodes and decodes nothing.
private struct NoEncoder: Encoder {
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }
  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> { fatalError("not asked for") }
  func unkeyedContainer() -> any UnkeyedEncodingContainer { fatalError("not asked for") }
  func singleValueContainer() -> any SingleValueEncodingContainer { fatalError("not asked for") }
}
private struct NoDecoder: Decoder {
  var codingPath: [any CodingKey] { [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }
  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> { fatalError("not asked for") }
  func unkeyedContainer() throws -> any UnkeyedDecodingContainer { fatalError("not asked for") }
  func singleValueContainer() throws -> any SingleValueDecodingContainer { fatalError("not asked for") }
}
