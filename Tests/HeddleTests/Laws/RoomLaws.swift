import Glibc
import Heddle
import HeddleSystem
import Testing

extension Core {
  /// `maxPending`: what an executor does that is full.
  @Suite struct RoomLaws {
    enum Bounded: CaseIterable, CustomTestStringConvertible {
      case threads, processes, hybridThreads, hybridProcesses
      var testDescription: String { "\(self)" }

      func make(workers: Int, pending: Int) -> any JobExecutor {
        let threads = ThreadPoolExecutor(maxWorkers: workers, configuration: ThreadPoolConfiguration(maxPending: pending))
        let processes = ProcessPoolExecutor(maxWorkers: workers, configuration: ProcessPoolConfiguration(maxPending: pending))
        return switch self {
        case .threads: threads
        case .processes: processes
        case .hybridThreads, .hybridProcesses: HybridExecutor(threads: threads, processes: processes)
        }
      }
    }
    private func with(
      _ kind: Bounded, workers: Int = 2, pending: Int, _ body: @escaping @Sendable (any JobExecutor) async throws -> Void
    ) async throws {
      let pool = kind.make(workers: workers, pending: pending)
      do { try await within("the body of the test on \(kind)") { try await body(pool) } } catch { Issue.record(error) }
      try await within("shutdown", limit: .seconds(10)) { await pool.shutdown(.kill(after: .zero)) }
    }
    private func hold(_ pool: any JobExecutor, _ kind: Bounded, _ scratch: Scratch, _ value: Int) -> Future<Int> {
      submit(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: value), to: pool, kind)
    }
    private func submit<J: Job>(_ job: J, to pool: any JobExecutor, _ kind: Bounded) -> Future<J.Output> {
      kind == .hybridThreads ? pool.submit(OnThreads(job: job)) : pool.submit(job)
    }

    @Test(arguments: Bounded.allCases) func `a job that finds no room fails with queueFull and does not run`(kind: Bounded) async throws {
      let scratch = Scratch()
      try await with(kind, pending: 3) { pool in
        let held = (0..<5).map { hold(pool, kind, scratch, $0) }
        for _ in 0..<3 {
          let refused = submit(Marks(path: scratch.path("marks")), to: pool, kind)
          let error = await refused.result.jobError
          #expect(error?.code == .queueFull && error?.message.contains("maxPending") == true)
        }
        append([1], to: scratch.path("gate"))
        for (number, future) in held.enumerated() {
          let value = try await future.value
          #expect(value == number)
        }
        let next = try await submit(Doubled(value: 4), to: pool, kind).value
        #expect(next == 8, "there is room again")
      }
      #expect(scratch.count("marks") == 0)
    }
    @Test(arguments: Bounded.allCases) func `a job that is cancelled where it waits gives its place back`(kind: Bounded) async throws {
      let scratch = Scratch()
      try await with(kind, workers: 1, pending: 1) { pool in
        let first = hold(pool, kind, scratch, 0)
        try await eventually("the first job") { scratch.count("started") == 1 }
        let second = hold(pool, kind, scratch, 1)
        let third = await submit(Doubled(value: 1), to: pool, kind).result.jobError
        #expect(third?.code == .queueFull)
        #expect(second.cancel())
        let fourth = submit(Doubled(value: 2), to: pool, kind)
        append([1], to: scratch.path("gate"))
        let values = try await (first.value, fourth.value)
        #expect(values == (0, 4))
      }
    }
    @Test(arguments: Bounded.allCases) func `submitWaiting waits for room, first come, first served`(kind: Bounded) async throws {
      let scratch = Scratch()
      try await with(kind, workers: 1, pending: 0) { pool in
        let first = hold(pool, kind, scratch, 0)
        try await eventually("the first job") { scratch.count("started") == 1 }
        let order = scratch.path("order")
        let waiting = Task {
          var futures: [Future<Int>] = []
          for mark in 1...5 {
            let job = Marks(path: order, mark: UInt8(mark), value: mark)
            futures.append(kind == .hybridThreads ? await pool.submitWaiting(OnThreads(job: job)) : await pool.submitWaiting(job))
          }
          return futures
        }
        try await Task.sleep(for: .milliseconds(20))
        #expect(scratch.count("order") == 0 && !first.isDone)
        append([1], to: scratch.path("gate"))
        for (number, future) in await waiting.value.enumerated() {
          let value = try await future.value
          #expect(value == number + 1)
        }
        #expect(bytes(of: order) == [1, 2, 3, 4, 5])
      }
    }
    @Test(arguments: Bounded.allCases) func `submitBlocking blocks its thread until there is room`(kind: Bounded) async throws {
      let scratch = Scratch()
      try await with(kind, workers: 1, pending: 0) { pool in
        let first = hold(pool, kind, scratch, 3)
        let got = Locked<[Int]>([])
        let thread = try OSThread(name: "heddle-test") {
          for number in 0..<20 {
            let job = Doubled(value: number)
            let future = kind == .hybridThreads ? pool.submitBlocking(OnThreads(job: job)) : pool.submitBlocking(job)
            guard let value = try? future.wait() else { return }
            got.withLock { $0.append(value) }
          }
        }
        try await eventually("the first job") { scratch.count("started") == 1 }
        #expect(got.withLock { $0.isEmpty })
        append([1], to: scratch.path("gate"))
        let value = try await first.value
        #expect(value == 3)
        thread.join()
        #expect(got.withLock { $0 } == (0..<20).map { $0 * 2 })
      }
    }
    @Test(arguments: Bounded.allCases) func `who waits for room is let go when its task is cancelled, and when the pool is shut down`(
      kind: Bounded
    ) async throws {
      let scratch = Scratch()
      let pool = kind.make(workers: 1, pending: 0)
      let first = hold(pool, kind, scratch, 0)
      try await eventually("the first job") { scratch.count("started") == 1 }
      let marks = scratch.path("marks")
      let tasks = (0..<3).map { _ in
        Task {
          let job = Marks(path: marks)
          return await (kind == .hybridThreads ? pool.submitWaiting(OnThreads(job: job)) : pool.submitWaiting(job)).result.jobError?.code
        }
      }
      tasks[0].cancel()
      let cancelled = try await within("the cancelled task") { await tasks[0].value }
      #expect(cancelled == .cancelled)
      let shutdown = Task { await pool.shutdown(.finishAll) }
      // Only the ones that wait for room know of the shutdown before the first job ends.
      for task in tasks[1...] {
        let code = try await within("a task that waits for room") { await task.value }
        #expect(code == .executorShutDown)
      }
      #expect(!first.isDone)
      append([1], to: scratch.path("gate"))
      try await within("shutdown") { await shutdown.value }
      #expect(first.state == .succeeded && scratch.count("marks") == 0)
    }
    @Test(arguments: Bounded.allCases, [MapOrder.input, .completion])
    func `maps share a full executor and never fail for want of room`(kind: Bounded, order: MapOrder) async throws {
      try await with(kind, pending: 1) { pool in
        try await withThrowingTaskGroup(of: Int.self) { group in
          for part in 0..<4 {
            group.addTask {
              var sum = 0
              let jobs = (0..<200).map { Doubled(value: part * 1000 + $0) }
              if kind == .hybridThreads {
                for try await value in pool.map(jobs.map { OnThreads(job: $0) }, order: order) { sum += value }
              } else {
                for try await value in pool.map(jobs, order: order) { sum += value }
              }
              return sum
            }
          }
          let total = try await group.reduce(0, +)
          #expect(total == (0..<4).reduce(0) { $0 + (0..<200).reduce(0) { $0 + 2 * $1 } + $1 * 400_000 })
        }
      }
    }
    @Test(arguments: Bounded.allCases, [MapOrder.input, .completion])
    func `a map that is left early gives its room back`(kind: Bounded, order: MapOrder) async throws {
      try await with(kind, pending: 2) { pool in
        for _ in 0..<20 {
          let jobs = (0..<50).map { OnThreads(job: Doubled(value: $0)) }
          let plain = (0..<50).map { Doubled(value: $0) }
          if kind == .hybridThreads {
            for try await _ in pool.map(jobs, order: order) { break }
          } else {
            for try await _ in pool.map(plain, order: order) { break }
          }
        }
        // Four places: all of them have to come back.
        let scratch = Scratch()
        try await eventually("room for four") {
          let futures = (0..<4).map { hold(pool, kind, scratch, $0) }
          defer { for future in futures { future.cancel() } }
          return futures.allSatisfy { $0.state != .failed }
        }
      }
    }
  }
}
