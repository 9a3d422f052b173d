import Glibc
import Heddle
import HeddleSystem
import Testing

/// Answers with an array of that many numbers, or throws.
private struct Sized: Job {
  var count: Int
  func run() async throws -> [Int] {
    if count < 0 { throw Refusal(code: count, reason: "negative") }
    return Array(0..<count)
  }
}
/// Cannot always travel.
private struct Shy: Job {
  var number: Int
  init(number: Int) { self.number = number }
  func run() async throws -> ShyOutput { ShyOutput(number: number) }
  func encode(to encoder: any Encoder) throws {
    if number % 10 == 3 { throw Refusal(code: number, reason: "not this one") }
    var container = encoder.singleValueContainer()
    try container.encode(number)
  }
  init(from decoder: any Decoder) throws {
    number = try decoder.singleValueContainer().decode(Int.self)
    if number % 10 == 5 { throw Refusal(code: number, reason: "not read") }
  }
}
private struct ShyOutput: Codable, Equatable {
  var number: Int
  init(number: Int) { self.number = number }
  func encode(to encoder: any Encoder) throws {
    if number % 10 == 7 { throw Refusal(code: number, reason: "not back") }
    var container = encoder.singleValueContainer()
    try container.encode(number)
  }
  init(from decoder: any Decoder) throws {
    number = try decoder.singleValueContainer().decode(Int.self)
    if number % 10 == 9 { throw Refusal(code: number, reason: "not read back") }
  }
}

/// Whether it is on the same thread before it suspends, after that, and in a child task.
private struct Stays: Job {
  var number: Int
  func run() async throws -> Bool {
    let before = Self.thread
    if number % 3 == 0 { await Task.yield() } else { try await Task.sleep(for: .microseconds(20)) }
    let after = Self.thread
    async let child = Self.thread
    return await [after, child] == [before, before]
  }
  private static var thread: UInt { UInt(pthread_self()) }
}

extension Core {
  /// Items of a map that travel together: what one is to the others stays its own.
  @Suite struct ChunkLaws {
    @Test(arguments: Kind.allCases, [nil, 1, 7, 64, 100_000])
    func `however many go together, outputs and errors are those of the items, in their order`(kind: Kind, chunk: Int?) async throws {
      try await withSubject(kind) { subject in
        // Some results fit no chunk, and some fit no frame.
        let sizes = (0..<500).map { $0 % 17 == 3 ? -$0 : $0 % 100 == 50 ? 30_000 : $0 % 100 == 51 ? 5000 : $0 % 9 }
        var number = 0
        for await result in subject.map(sizes.map { Sized(count: $0) }, chunk: chunk).results {
          switch result {
          case .success(let values): #expect(values == Array(0..<max(0, sizes[number])) && sizes[number] >= 0)
          case .failure(let error): #expect((error as? Refusal)?.code == sizes[number] && sizes[number] < 0)
          }
          number += 1
        }
        #expect(number == sizes.count)
      }
    }
    @Test(arguments: [Kind.inline, .processes], [nil, 40])
    func `an item that cannot travel, there or back, costs none of those beside it`(kind: Kind, chunk: Int?) async throws {
      try await withSubject(kind) { subject in
        var number = 0
        for await result in subject.map((0..<400).map { Shy(number: $0) }, chunk: chunk).results {
          switch number % 10 {
          case 3, 7: #expect(result.jobError?.code == .notEncodable, "\(number): \(result)")
          case 5, 9: #expect(result.jobError?.code == .notDecodable, "\(number): \(result)")
          default: #expect((try? result.get())?.number == number, "\(number): \(result)")
          }
          number += 1
        }
        #expect(number == 400)
      }
    }
    @Test(arguments: [Kind.threads, .processes]) func `a job that suspends goes on where it began, alone and among others`(kind: Kind)
      async throws
    {
      try await withSubject(kind) { subject in
        let alone = try await subject.submit(Stays(number: 1)).value
        #expect(alone)
        let together = try await subject.map((0..<300).map { Stays(number: $0) }, chunk: 50).collect()
        #expect(together.count == 300 && together.allSatisfy { $0 })
      }
    }
    @Test(arguments: Kind.allCases) func `all outputs can be collected, and the first failure is thrown`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let all = try await subject.map((0..<5000).lazy.map { Doubled(value: $0) }).collect()
        #expect(all == (0..<5000).map { $0 * 2 })
        await #expect(throws: Refusal(code: -1, reason: "negative")) {
          _ = try await subject.map([3, 2, -1, 4, -2].map { Sized(count: $0) }, chunk: 5).collect()
        }
      }
    }
    @Test(arguments: [Kind.threads, .processes]) func `tiny items go together, and those that take long do not`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        // How many are taken before the first is yielded tells how large a chunk was.
        let taken = Locked(0)
        let source = (0..<40_000).lazy.map { number in
          taken.withLock { $0 += 1 }
          return Either.doubles(Doubled(value: number))
        }
        var most = 0
        var yielded = 0
        for try await _ in subject.map(source) {
          most = max(most, taken.withLock { $0 } - yielded)
          yielded += 1
        }
        // Without optimisation an item takes microseconds in a worker, and in a sanitizer more.
        #expect(most > (kind == .threads ? 500 : Fault.isSanitized ? 20 : 70), "\(most) on the way at most")
        taken.withLock { $0 = 0 }
        most = 0
        yielded = 0
        let slow = (0..<100).lazy.map { _ in
          taken.withLock { $0 += 1 }
          return Either.naps(Naps(milliseconds: 2))
        }
        for try await _ in subject.map(slow) {
          most = max(most, taken.withLock { $0 } - yielded)
          yielded += 1
        }
        #expect(most <= 32, "\(most) on the way at most")
      }
    }
    @Test(arguments: Kind.allCases) func `the progress counts items and not chunks`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let map = subject.map(
          (0..<3000).lazy.map { $0 % 1000 == 7 ? Either.refuses(Refuses(code: $0)) : .doubles(Doubled(value: $0)) }, chunk: 100)
        var count = 0
        for await _ in map.results { count += 1 }
        var last: MapProgress?
        for await value in map.progress { last = value }
        #expect(count == 3000 && last?.done == 3000 && last?.failed == 3 && last?.isFinished == true && last?.total == 3000)
      }
    }
    @Test(arguments: [Kind.threads, .processes]) func `a map of a pool that was shut down gives each item its error`(kind: Kind)
      async throws
    {
      try await withSubject(kind) { subject in
        await subject.shutdown(.finishAll)
        var codes: [JobError.Code?] = []
        for await result in subject.map((0..<100).map { Doubled(value: $0) }, chunk: 10).results { codes.append(result.jobError?.code) }
        #expect(codes == Array(repeating: .executorShutDown, count: 100))
      }
    }
  }
}
