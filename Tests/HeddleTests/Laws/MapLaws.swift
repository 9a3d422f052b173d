import Heddle
import HeddleSystem
import Testing

extension Core {
  /// `map`, written once for every executor.
  @Suite struct MapLaws {
    @Test(arguments: Kind.allCases) func `in input order outputs come as the items came`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        var values: [Int] = []
        for try await value in subject.map((0..<300).map { Doubled(value: $0) }) { values.append(value) }
        #expect(values == (0..<300).map { $0 * 2 })
      }
    }
    @Test(arguments: Kind.allCases) func `in completion order each output comes once, and a slow item holds up nobody`(kind: Kind)
      async throws
    {
      let scratch = Scratch()
      try await withSubject(kind) { subject in
        let jobs = (0..<100).map { number in
          number == 0
            ? Either.holds(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: 0)) : .doubles(Doubled(value: number))
        }
        var values: [Int] = []
        for try await value in subject.map(jobs, order: .completion, inFlight: 10) {
          values.append(value)
          if values.count == 99 { append([1], to: scratch.path("gate")) }
        }
        #expect(values.last == 0)
        #expect(values.sorted() == (0..<100).map { $0 * 2 })
      }
    }
    @Test(arguments: Kind.allCases, [MapOrder.input, .completion])
    func `a failure ends the outputs, and is one of many results`(kind: Kind, order: MapOrder) async throws {
      try await withSubject(kind) { subject in
        let jobs = (0..<60).map { $0 % 20 == 9 ? Either.refuses(Refuses(code: $0)) : .doubles(Doubled(value: $0)) }
        var failures: [Int] = []
        var successes = 0
        for await result in subject.map(jobs, order: order).results {
          switch result {
          case .success: successes += 1
          case .failure(let error): failures.append((error as? Refusal)?.code ?? -1)
          }
        }
        #expect(failures.sorted() == [9, 29, 49] && successes == 57)
        await #expect(throws: Refusal.self) { for try await _ in subject.map(jobs, order: order) {} }
      }
    }
    @Test(arguments: Kind.allCases, [MapOrder.input, .completion])
    func `no more than inFlight items are taken before their outputs are`(kind: Kind, order: MapOrder) async throws {
      try await withSubject(kind) { subject in
        let taken = Locked(0)
        let jobs = (0..<200).lazy.map { number in
          taken.withLock { $0 += 1 }
          return Doubled(value: number)
        }
        var yielded = 0
        var most = 0
        for try await _ in subject.map(jobs, order: order, inFlight: 7) {
          most = max(most, taken.withLock { $0 } - yielded)
          yielded += 1
        }
        #expect(yielded == 200 && most == 7, "\(most) in flight")
      }
    }
    @Test(arguments: Kind.allCases) func `a map over an infinite sequence is lazy`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let taken = Locked(0)
        let endless = sequence(first: 0) { $0 + 1 }.lazy.map { number in
          taken.withLock { $0 += 1 }
          return Doubled(value: number)
        }
        let map = subject.map(endless, inFlight: 4)
        #expect(taken.withLock { $0 } == 0, "nothing starts before the sequence is iterated")
        var values: [Int] = []
        for try await value in map.prefix(50) { values.append(value) }
        #expect(values == (0..<50).map { $0 * 2 })
        #expect(taken.withLock { $0 } <= 54)
      }
    }
    @Test(arguments: Kind.allCases, [MapOrder.input, .completion])
    func `leaving a map early cancels what is in flight`(kind: Kind, order: MapOrder) async throws {
      let scratch = Scratch()
      try await withSubject(kind) { subject in
        // The others would hold for ever: only cancelled can they let the shutdown of this executor return.
        let jobs = (0..<100).map { number in
          number == 0 ? Either.doubles(Doubled(value: 0)) : .holds(Holds(started: scratch.path("started"), gate: scratch.path("never")))
        }
        for try await _ in subject.map(jobs, order: order, inFlight: 10) { break }
      }
      #expect(scratch.count("started") <= 10)
    }
    @Test(arguments: Kind.allCases) func `large batches go through a small window`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        var sum = 0
        for try await value in subject.map((0..<5000).lazy.map { Doubled(value: $0) }, order: .completion, inFlight: 64) { sum += value }
        #expect(sum == 4999 * 5000)
      }
    }
    @Test(arguments: Kind.allCases) func `the progress of a map adds up, and its last value says that it is over`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let jobs = (0..<120).map { $0 % 10 == 5 ? Either.refuses(Refuses(code: $0)) : .naps(Naps(milliseconds: 1)) }
        let map = subject.map(jobs, order: .completion)
        let updates = map.progress.every(.milliseconds(1))
        let watching = Task { await updates.reduce(into: [MapProgress]()) { $0.append($1) } }
        var count = 0
        for await _ in map.results { count += 1 }
        let values = try await within("the end of the progress") { await watching.value }
        #expect(count == 120)
        let last = try #require(values.last)
        #expect(
          last.isFinished && last.done == 120 && last.failed == 12 && last.running == 0 && last.waiting == 0 && last.total == 120, "\(last)"
        )
        #expect(last.rate > 0 && last.remaining == .zero)
        #expect(values.dropLast().allSatisfy { !$0.isFinished })
        for (before, after) in zip(values, values.dropFirst()) {
          #expect(before.done <= after.done && before.failed <= after.failed && before.elapsed <= after.elapsed)
        }
        for value in values {
          #expect(value.failed <= value.done && value.running <= subject.maxWorkers && value.running >= 0 && value.waiting >= 0)
          #expect(value.done + value.running + value.waiting == 120, "\(value)")
        }
      }
    }
    @Test func `a source that does not say how much it holds has a total once it is read`() async throws {
      try await withSubject(.threads) { subject in
        let map = subject.map(sequence(first: 0) { $0 < 99 ? $0 + 1 : nil }.lazy.map { Doubled(value: $0) }, inFlight: 8)
        let updates = map.progress
        var iterator = updates.makeAsyncIterator()
        let first = await iterator.next()
        #expect(first?.total == nil && first?.done == 0 && first?.remaining == nil)
        for try await _ in map {}
        var last: MapProgress?
        for await value in updates { last = value }
        #expect(last?.total == 100 && last?.done == 100 && last?.isFinished == true)
      }
    }
  }
}

/// Jobs of several kinds in one sequence.
enum Either: Job {
  case doubles(Doubled)
  case refuses(Refuses)
  case holds(Holds)
  case naps(Naps)

  func run() async throws -> Int {
    switch self {
    case .doubles(let job): try await job.run()
    case .refuses(let job): try await job.run()
    case .holds(let job): try await job.run()
    case .naps(let job): try await job.run()
    }
  }
}
