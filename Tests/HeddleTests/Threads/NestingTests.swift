import Glibc
import Heddle
import HeddleSystem
import Synchronization
import Testing

extension Core {
  /// Jobs of a thread pool that wait for jobs of the same pool.
  @Suite struct NestingTests {
    @Test(arguments: [1, 2, 4]) func `jobs that wait for jobs of the same pool get them, with any number of threads`(workers: Int)
      async throws
    {
      try await withThreads(workers) { pool in
        let blocking = (0..<20).map { number in
          pool.submit { () throws -> Int in try blockingSum(pool, depth: 4) + number }
        }
        let awaiting = (0..<20).map { number in
          pool.submit { () async throws -> Int in try await awaitingSum(pool, depth: 4) + number }
        }
        for (number, future) in (blocking + awaiting).enumerated() {
          let value = try await future.value
          #expect(value == 16 + number % 20)
        }
      }
    }
    @Test func `the other ways to wait work inside a job too`() async throws {
      try await withThreads(1) { pool in
        let inside = pool.submit { () async throws -> [Int] in
          let futures = (0..<10).map { number in pool.submit { number } }
          let (done, pending) = await wait(for: futures)
          let more = (0..<10).map { number in pool.submit { number } }
          var ended = 0
          for await _ in completions(of: more) { ended += 1 }
          let (first, _) = await wait(for: [pool.submit { 1 }, pool.submit { 2 }], until: .firstCompleted)
          var mapped = 0
          for order in [MapOrder.input, .completion] {
            for try await value in pool.map((0..<40).map { Doubled(value: $0) }, order: order) { mapped += value }
          }
          return [done.count, pending.count, ended, first.count, mapped]
        }
        let counts = try await inside.value
        #expect(counts[0...2] == [10, 0, 10] && counts[3] >= 1 && counts[4] == 2 * 1560)
      }
    }
    @Test func `a job that waits for itself is told so, and two that wait for each other`() async throws {
      try await withThreads(3) { pool in
        let own = Box<Future<Int>>()
        let selfish = pool.submit { () async throws -> Int in
          let future = await own.value
          do { return try await future.value } catch let error as JobError { return error.code == .wouldNeverEnd ? 1 : 0 }
        }
        own.fill(selfish)
        let code = try await selfish.value
        #expect(code == 1)

        let (left, right) = (Box<Future<Int>>(), Box<Future<Int>>())
        let started = Arrivals()
        func job(_ other: Box<Future<Int>>) -> Future<Int> {
          pool.submit { () throws -> Int in
            started.arrive()
            while started.count < 2 { sched_yield() }
            let future = other.wait()
            do { return try future.wait() } catch let error as JobError { return error.code == .wouldNeverEnd ? 1 : 0 }
          }
        }
        let (first, second) = (job(right), job(left))
        left.fill(first)
        right.fill(second)
        let codes = try await (first.value, second.value)
        #expect(codes == (1, 1), "one is told, the other gets its answer")
      }
    }
    @Test func `a job that runs inside a step of a task is told too when it waits for itself`() async throws {
      try await withThreads(1) { pool in
        let own = Box<Future<Int>>()
        let step = Task(executorPreference: pool) { () async throws -> Int in
          let selfish = pool.submit { () async throws -> Int in
            let future = await own.value
            do { return try await future.value } catch let error as JobError { return error.code == .wouldNeverEnd ? 1 : 0 }
          }
          own.fill(selfish)
          return try await selfish.value
        }
        let code = try await step.value
        #expect(code == 1)
      }
    }
    @Test func `waiting inside each other without end is refused with a sentence, not a crash`() async throws {
      try await withThreads(2) { pool in
        let error = await pool.submit { () throws -> Int in try endless(pool, 0) }.result.jobError
        #expect(error?.code == .wouldNeverEnd && error?.message.contains("inside each other") == true)
        let value = try await pool.submit { 5 }.value
        #expect(value == 5, "the pool goes on")
      }
    }
    @Test func `a map inside each other without end is refused as a wait is`() async throws {
      try await withThreads(2) { pool in
        Deeper.pool.withLock { $0 = pool }
        let error = await pool.submit(Deeper()).result.jobError
        Deeper.pool.withLock { $0 = nil }
        #expect(error?.code == .wouldNeverEnd)
        let value = try await pool.submit { 5 }.value
        #expect(value == 5, "the pool goes on")
      }
    }
    @Test func `of items that travel together each has an outcome, also where a wait for them is refused`() async throws {
      try await withThreads(2) { pool in
        Wider.pool.withLock { $0 = pool }
        let fewest = try await pool.submit(Wider(recurses: true)).value
        Wider.pool.withLock { $0 = nil }
        #expect(fewest == 4)
      }
    }
    @Test func `cancelling an inner job leaves the outer one alone, and the other way round`() async throws {
      try await withThreads(1) { pool in
        let inner = Box<Future<Bool>>()
        let outer = pool.submit { () async throws -> [Bool] in
          let future = pool.submit { () async throws -> Bool in
            while !Task.isCancelled { sched_yield() }
            return true
          }
          inner.fill(future)
          let wasTold = try await future.value
          return [wasTold, Task.isCancelled]
        }
        let future = await inner.value
        try await eventually("the inner job") { future.state == .running }
        #expect(future.cancel())
        let answers = try await outer.value
        #expect(answers == [true, false])
      }
    }
    @Test func `jobs submit to their own full pool without waiting for themselves`() async throws {
      try await withThreads(2, pending: 0) { pool in
        let futures = await withTaskGroup(of: Future<Int>.self) { group in
          for _ in 0..<10 {
            group.addTask {
              await pool.submitWaiting { () async throws -> Int in
                let inner = await pool.submitWaiting { 3 }
                var sum = try await inner.value
                for try await value in pool.map((0..<10).map { Doubled(value: $0) }) { sum += value }
                return sum
              }
            }
          }
          return await group.reduce(into: []) { $0.append($1) }
        }
        for future in futures {
          let value = try await future.value
          #expect(value == 93)
        }
      }
    }
    @Test func `a job that shuts its own pool down gets on, and the pool ends`() async throws {
      for mode in [ShutdownMode.finishAll, .finishRunning, .kill(after: .milliseconds(10))] {
        let pool = ThreadPoolExecutor(maxWorkers: 2)
        let future = pool.submit { () async throws -> Int in
          await pool.shutdown(mode)
          return 4
        }
        let value = try await within("the job") { try await future.value }
        #expect(value == 4)
        try await within("shutdown from outside") { await pool.shutdown(.finishAll) }
      }
    }
  }
}

private func blockingSum(_ pool: ThreadPoolExecutor, depth: Int) throws -> Int {
  if depth == 0 { return 1 }
  let parts = (0..<2).map { _ in pool.submit { () throws -> Int in try blockingSum(pool, depth: depth - 1) } }
  return try parts.reduce(0) { try $0 + $1.wait() }
}
private func awaitingSum(_ pool: ThreadPoolExecutor, depth: Int) async throws -> Int {
  if depth == 0 { return 1 }
  let parts = (0..<2).map { _ in pool.submit { () async throws -> Int in try await awaitingSum(pool, depth: depth - 1) } }
  var sum = 0
  for part in parts { sum += try await part.value }
  return sum
}
private func endless(_ pool: ThreadPoolExecutor, _ level: Int) throws -> Int {
  try pool.submit { () throws -> Int in try endless(pool, level + 1) }.wait()
}

/// Filled once; waited for.
private final class Box<Value: Sendable>: Sendable {
  private let held = Locked<Value?>(nil)
  private let gate = ThreadGate()
  func fill(_ value: Value) {
    held.withLock { $0 = value }
    gate.open()
  }
  /// Blocks.
  func wait() -> Value {
    gate.wait()
    return held.withLock { $0! }
  }
  var value: Value {
    get async {
      while true {
        if let value = held.withLock({ $0 }) { return value }
        await Task.yield()
      }
    }
  }
}

/// Maps itself, with three others, on the pool that it runs on.
private struct Wider: Job {
  static let pool = Locked<ThreadPoolExecutor?>(nil)
  var recurses: Bool
  /// The fewest outcomes that a map of four items gave, at whatever depth.
  func run() async throws -> Int {
    guard recurses, let pool = Self.pool.withLock({ $0 }) else { return 4 }
    var outcomes: [Result<Int, any Error>] = []
    for await outcome in pool.map((0..<4).map { Wider(recurses: $0 == 0) }, chunk: 4).results { outcomes.append(outcome) }
    return min(outcomes.count, outcomes.compactMap { try? $0.get() }.min() ?? 4)
  }
}
/// Maps itself on the pool that it runs on.
private struct Deeper: Job {
  static let pool = Locked<ThreadPoolExecutor?>(nil)
  func run() async throws -> Int {
    guard let pool = Self.pool.withLock({ $0 }) else { return 0 }
    for try await value in pool.map([Deeper()]) { return value }
    return 0
  }
}
