import Glibc
import Heddle
import HeddleSystem
import Synchronization
import Testing

extension Core {
  /// What only threads can do.
  @Suite struct ThreadPoolTests {
    @Test func `sync and async closures run on threads of the pool`() async throws {
      try await withThreads(3) { pool in
        #expect(pool.maxWorkers == 3)
        let sync = (0..<50).map { number in
          pool.submit {
            #expect(threadName() == "heddle-thread")
            return number
          }
        }
        let async = (0..<50).map { number in
          pool.submit {
            let before = threadName()
            try await Task.sleep(for: .milliseconds(1))
            await Task.yield()
            #expect(before == "heddle-thread" && threadName() == before)
            return "\(number)"
          }
        }
        for (number, future) in sync.enumerated() {
          let value = try await future.value
          #expect(value == number)
        }
        for (number, future) in async.enumerated() {
          let value = try await future.value
          #expect(value == "\(number)")
        }
        let error = await pool.submit { () throws -> Int in throw Opaque(detail: "x") }.result.error
        #expect((error as? Opaque)?.detail == "x")
      }
    }
    @Test func `a thread without work keeps nothing of the last job or its future`() async throws {
      try await withThreads(1) { pool in
        let future = Weak(pool.submit(Bears(witness: Witness())))
        try await eventually("the end of a future that nobody holds") { future.isGone }
        // Where the future is held on, what the job carried is not.
        let (held, carried) = submitWitness(pool)
        _ = try await held.value
        try await eventually("the end of what a job carried") { carried.isGone }
        withExtendedLifetime(held) {}
        // One that is cancelled before it starts lets go of it with its future.
        let gate = ThreadGate()
        let first = pool.submit { _ = gate.wait() }
        let third = cancelWitness(pool)
        gate.open()
        try await first.value
        try await eventually("the end of what a cancelled job carried") { third.isGone }
      }
    }
    private func submitWitness(_ pool: ThreadPoolExecutor) -> (Future<Int>, Weak) {
      let witness = Witness()
      return (pool.submit(Bears(witness: witness)), Weak(witness))
    }
    private func cancelWitness(_ pool: ThreadPoolExecutor) -> Weak {
      let witness = Witness()
      let waiting = pool.submit(Bears(witness: witness))
      #expect(waiting.cancel())
      return Weak(witness)
    }
    @Test func `up to maxWorkers jobs run at once, however they came`() async throws {
      // Each round is a barrier: if fewer than all run at once it never opens. Threads may be absent, asleep, or searching.
      for pause in [0, 0, 0, 1, 30] {
        try await withThreads(6) { pool in
          for round in 0..<60 {
            let box = Arrivals()
            if round % 3 == 1 { _ = try await pool.submit { 0 }.value }
            if pause > 0 && round % 10 == 0 { try await Task.sleep(for: .milliseconds(pause)) }
            let futures = (0..<6).map { _ in
              pool.submit {
                box.arrive()
                let deadline = MonotonicTime.now + .seconds(5)
                while box.count < 6 {
                  if .now > deadline { throw Hung(description: "only \(box.count) of 6 jobs run at once, round \(round), pause \(pause)") }
                  usleep(50)
                }
              }
            }
            for future in futures { try await future.value }
          }
        }
      }
    }
    /// Jobs that each wait until so many are there, on as many threads: one wake-up that is lost, and they wait for ever.
    @Test(arguments: [2, 8, 40]) func `as many jobs as threads that wait for each other meet, again and again`(count: Int) async throws {
      final class Meeting: @unchecked Sendable {
        var barrier = pthread_barrier_t()
        init(of count: Int) { pthread_barrier_init(&barrier, nil, UInt32(count)) }
        func arrive() { pthread_barrier_wait(&barrier) }
        deinit { pthread_barrier_destroy(&barrier) }
      }
      try await withThreads(count) { pool in
        var random = Seeded(UInt64(count))
        for round in 0..<(count == 40 ? 300 : 2000) {
          let meeting = Meeting(of: count)
          // Short ones before and between them, so that threads search, sleep and take several.
          var futures: [Future<Void>] = []
          for _ in 0..<count {
            for _ in 0..<Int.random(in: 0...3, using: &random) { futures.append(pool.submit {}) }
            futures.append(pool.submit { meeting.arrive() })
          }
          let all = futures
          try await within("round \(round)", limit: .seconds(20)) { for future in all { _ = await future.result } }
          if Int.random(in: 0..<4, using: &random) == 0 { usleep(UInt32.random(in: 0...100, using: &random)) }
        }
      }
    }
    @Test func `eighty waits of 20 ms on eight threads take less than 0.23 s`() async throws {
      let limit = Duration.milliseconds(230)
      let time = try await bestOfThree(until: limit) {
        try await withThreads(8) { pool in
          let futures = (0..<80).map { _ in pool.submit { block(20) } }
          for future in futures { try await future.value }
        }
      }
      #expect(time < limit, "\(time)")
    }
    @Test func `a hundred blocking jobs leave the cooperative pool responsive`() async throws {
      try await withThreads(100) { pool in
        let futures = (0..<100).map { _ in pool.submit { block(300) } }
        let limit = Duration.milliseconds(100)
        let time = try await bestOfThree(until: limit) {
          await withTaskGroup(of: Void.self) { group in for _ in 0..<50 { group.addTask { await Task.yield() } } }
        }
        #expect(time < limit && futures.contains { !$0.isDone })
        for future in futures { try await future.value }
      }
    }
    @Test func `a task that prefers the pool runs on its threads, also after it was suspended`() async throws {
      try await withThreads(2) { pool in
        let names = await withTaskGroup(of: [String].self) { group in
          for _ in 0..<20 {
            group.addTask(executorPreference: pool) {
              var names = [threadName()]
              await Task.yield()
              names.append(threadName())
              try? await Task.sleep(for: .milliseconds(1))
              names.append(threadName())
              return names
            }
          }
          return await group.reduce(into: []) { $0 += $1 }
        }
        #expect(names.count == 60 && names.allSatisfy { $0 == "heddle-thread" })
        let single = Task(executorPreference: pool) { threadName() }
        let name = await single.value
        #expect(name == "heddle-thread")
      }
    }
    @Test func `a task that prefers a pool which is shut down meanwhile ends elsewhere`() async throws {
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      let task = Task(executorPreference: pool) {
        for _ in 0..<200 { try? await Task.sleep(for: .microseconds(500)) }
        return 7
      }
      try await Task.sleep(for: .milliseconds(20))
      try await within("shutdown", limit: .seconds(5)) { await pool.shutdown(.finishRunning) }
      let value = try await within("the task") { await task.value }
      #expect(value == 7)
    }
    @Test func `cancelling from several threads at once reaches every running job`() async throws {
      try await withThreads(4) { pool in
        for _ in 0..<150 {
          let running = Arrivals()
          let futures = (0..<4).map { _ in
            pool.submit { () async throws -> Bool in
              running.arrive()
              let deadline = MonotonicTime.now + .seconds(5)
              while !Task.isCancelled { if .now > deadline { return false } else { sched_yield() } }
              return true
            }
          }
          while running.count < 4 { await Task.yield() }
          await withTaskGroup(of: Void.self) { group in for future in futures { group.addTask { future.cancel() } } }
          for future in futures {
            let wasTold = try await future.value
            #expect(wasTold, "a job was not told")
          }
        }
      }
    }
    @Test func `a job after a cancelled one is not cancelled`() async throws {
      try await withThreads(1) { pool in
        for _ in 0..<200 {
          let running = Arrivals()
          let first = pool.submit { () async throws -> Void in
            running.arrive()
            while !Task.isCancelled { sched_yield() }
          }
          let second = pool.submit { () async throws -> Bool in Task.isCancelled }
          while running.count < 1 { await Task.yield() }
          first.cancel()
          let isCancelled = try await second.value
          #expect(!isCancelled)
        }
      }
    }
    @Test func `a pool whose first jobs come while it is shut down leaves no thread`() async throws {
      for round in 0..<200 {
        let pool = ThreadPoolExecutor(maxWorkers: 2)
        let ends = Ends()
        let submitting = Task.detached { for _ in 0..<3 { ends.watch(pool.submit { round }) } }
        let mode: ShutdownMode = round % 2 == 0 ? .finishAll : .finishRunning
        await pool.shutdown(mode)
        let afterShutdown = Footprint.now().threads["heddle-thread", default: 0]
        #expect(afterShutdown == 0, "round \(round)")
        await submitting.value
        try await eventually("the futures") { ends.counts.allSatisfy { $0 == 1 } }
      }
    }
    @Test func `a job that keeps its thread is left to itself, and its future ends`() async throws {
      let pool = ThreadPoolExecutor(maxWorkers: 2)
      let running = Arrivals()
      let future = pool.submit {
        running.arrive()
        block(400)
      }
      try await eventually("the job") { running.count == 1 }
      try await within("shutdown", limit: .milliseconds(350)) { await pool.shutdown(.kill(after: .milliseconds(10))) }
      #expect(future.state == .cancelled)
    }
    @Test func `closures that wait for nobody are computed on all threads`() async throws {
      try await withThreads(2) { pool in
        let futures = (0..<20000).map { number in pool.submit { number } }
        var sum = 0
        for future in futures { sum += try await future.value }
        #expect(sum == 19999 * 10000)
      }
    }
  }
}

/// Counts those who came.
final class Arrivals: Sendable {
  private let value = Atomic<Int>(0)
  var count: Int { value.load(ordering: .acquiring) }
  func arrive() { value.add(1, ordering: .acquiringAndReleasing) }
}
func threadName() -> String {
  text(of: "/proc/thread-self/comm").map { String($0.split(separator: "\n").first ?? "") } ?? ""
}

private final class Witness: Codable, Sendable {}
private struct Bears: Job {
  var witness: Witness
  func run() async throws -> Int { 1 }
}
private final class Weak {
  private weak var object: AnyObject?
  var isGone: Bool { object == nil }
  init(_ object: AnyObject) { self.object = object }
}
