import Glibc
import Heddle
import HeddleSystem
import Testing

extension Core {
  /// How many threads a pool has, and for how long.
  @Suite struct ThreadLimitTests {
    private func with(
      _ workers: Int, _ configuration: ThreadPoolConfiguration = ThreadPoolConfiguration(),
      _ body: @escaping @Sendable (ThreadPoolExecutor) async throws -> Void
    ) async throws {
      let pool = ThreadPoolExecutor(maxWorkers: workers, configuration: configuration)
      do { try await within("the body of the test") { try await body(pool) } } catch { Issue.record(error) }
      try await within("shutdown", limit: .seconds(10)) { await pool.shutdown(.kill(after: .seconds(5))) }
    }
    private var threads: Int { Footprint.now().threads["heddle-thread"] ?? 0 }

    @Test func `threads that idle end, and the next jobs start new ones`() async throws {
      try await with(3, ThreadPoolConfiguration(idleTimeout: .milliseconds(50))) { pool in
        for _ in 0..<3 {
          let before = threads
          let futures = (0..<3).map { _ in pool.submit { block(20) } }
          for future in futures { try await future.value }
          #expect(threads > before)
          try await eventually("the end of idle threads") { threads == before }
        }
      }
    }
    @Test func `a thread that has jobs does not idle`() async throws {
      try await with(1, ThreadPoolConfiguration(idleTimeout: .milliseconds(40))) { pool in
        let first = try await pool.submit { pthread_self() }.value
        try await pool.submit { block(300) }.value
        for _ in 0..<100 {
          let next = try await pool.submit { pthread_self() }.value
          #expect(next == first)
        }
      }
    }
    @Test func `a larger pool runs more jobs at once, a smaller one fewer, and nothing is lost`() async throws {
      let scratch = Scratch()
      try await with(1, ThreadPoolConfiguration(maxPending: 20)) { pool in
        let before = threads
        let holding = (0..<4).map { pool.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: $0)) }
        try await eventually("one job") { scratch.count("started") == 1 }
        pool.resize(to: 4)
        #expect(pool.maxWorkers == 4)
        try await eventually("four jobs at once") { scratch.count("started") == 4 }
        pool.resize(to: 1)
        #expect(threads - before == 4, "those that run a job keep it")
        append([1], to: scratch.path("gate"))
        for (number, future) in holding.enumerated() {
          let value = try await future.value
          #expect(value == number)
        }
        try await eventually("three fewer threads") { threads - before == 1 }
        let numbers = (0..<20).map { _ in pool.submit { pthread_self() } }
        var seen: Set<pthread_t> = []
        for number in numbers { seen.insert(try await number.value) }
        #expect(seen.count == 1)
      }
    }
    @Test func `resized and left idle at random under a flood, it loses nothing and runs nothing twice`() async throws {
      // Threads come and leave by the thousand: each job must find one, and be found by one.
      try await with(2, ThreadPoolConfiguration(idleTimeout: .microseconds(50))) { pool in
        let isOver = Locked(false)
        let resizing = Task {
          while !isOver.withLock({ $0 }) {
            pool.resize(to: Int.random(in: 1...4))
            try await Task.sleep(for: .microseconds(500))
          }
        }
        let runs = Locked([Int](repeating: 0, count: 20_000))
        for start in stride(from: 0, to: 20_000, by: 50) {
          let futures = (start..<start + 50).map { number in pool.submit { runs.withLock { $0[number] += 1 } } }
          for future in futures { try await future.value }
          if start % 1000 == 0 { try await Task.sleep(for: .milliseconds(1)) }
        }
        isOver.withLock { $0 = true }
        try await resizing.value
        #expect(runs.withLock { $0.allSatisfy { $0 == 1 } })
      }
    }
  }
}
