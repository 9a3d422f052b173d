import Glibc
import HeddleSystem
import Testing

@testable import Heddle

private func isReadable(_ descriptor: Int32) -> Bool {
  var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&entry, 1, 0) == 1
}

/// Whether a timer has rung, or was taken back.
private func isOver(_ timer: Int32) -> Bool { text(of: "/proc/self/fdinfo/\(timer)")?.contains("it_value: (0, 0)") ?? false }

extension Core {
  @Suite struct `the supervisor's timer` {
    /// Who sends a job sets the timer after it has given the lock back, and may be late: the supervisor has looked, and expects none.
    @Test func `set too late it wakes the supervisor once, and not for ever`() async throws {
      try await withPool(1) { pool in
        _ = try await pool.submit(Doubled(value: 1)).value
        let doorbell = pool.pool!.wakeUp
        try await eventually("quiet") { pool.pool!.core.withLock { $0.sleepsUnwatched && !$0.hasTimer && $0.sleepsUntil != nil } }
        for _ in 0..<3 {
          doorbell.setTimer(.milliseconds(1))
          try await eventually("the alarm") { isOver(doorbell.timerNumber) }
          // What stays readable would keep the supervisor from sleeping.
          try await eventually("the end of the alarm") { !isReadable(doorbell.timerNumber) }
        }
      }
    }
    /// The first job after a pause sets no timer, which costs more than the job: whoever expects its end does.
    @Test(arguments: Expectation.allCases)
    func `a worker that was suspended while the pool was quiet is found, however somebody expects the end of the one job`(
      expectation: Expectation
    ) async throws {
      try await withPool(1) { pool in
        let number = try await pool.submit(ProcessNumber()).value
        let engine = pool.pool!
        try await eventually("quiet") { engine.core.withLock { $0.sleepsUnwatched && !$0.hasTimer && $0.sleepsUntil != nil } }
        #expect(kill(number, SIGSTOP) == 0)
        try await eventually("the stop") { isSuspended(number) }
        let future = pool.submit(ProcessNumber())
        let owed = engine.owesTimer.load(ordering: .acquiring)
        #expect(owed, "nobody expects it yet")
        try await within("the end of the job", limit: .seconds(4)) { try await expectation.wait(for: future, in: pool) }
        let stillOwed = engine.owesTimer.load(ordering: .acquiring)
        #expect(!stillOwed && !isAlive(number))
      }
    }
    @Test func `jobs that are awaited one after the other, with pauses, owe a timer and never set it`() async throws {
      try await withPool(1) { pool in
        let engine = pool.pool!
        var set = 0
        for number in 0..<20 {
          try await eventually("quiet") { engine.core.withLock { $0.sleepsUnwatched && !$0.hasTimer && $0.sleepsUntil != nil } }
          _ = try await pool.submit(Doubled(value: number)).value
          if engine.core.withLock({ $0.hasTimer }) { set += 1 }
          let owed = engine.owesTimer.load(ordering: .acquiring)
          #expect(!owed)
        }
        // Those that ended too late for whoever helped: the first of a worker, or the machine is busy.
        #expect(set < 10)
      }
    }
  }
}

/// How somebody may learn of a job's end.
enum Expectation: CaseIterable {
  case value, blocking, callback, several, state, isDone, another

  func wait(for future: Future<Int32>, in pool: ProcessPoolExecutor) async throws {
    switch self {
    case .value: _ = try await future.value
    case .blocking: _ = try await Task.detached { try block(on: future) }.value
    case .callback:
      let called = Arrivals()
      future.onCompletion { _ in called.arrive() }
      while called.count == 0 { try await Task.sleep(for: .milliseconds(1)) }
    case .several: #expect(await Heddle.wait(for: [future as AnyFuture]).pending.isEmpty)
    case .state: while future.state != .succeeded { try await Task.sleep(for: .milliseconds(1)) }
    case .isDone: while !future.isDone { try await Task.sleep(for: .milliseconds(1)) }
    // Nobody expects either; `hasEnded` tells nobody.
    case .another:
      _ = pool.submit(ProcessNumber())
      while !future.hasEnded { try await Task.sleep(for: .milliseconds(1)) }
    }
  }
}
private func block(on future: Future<Int32>) throws -> Int32 { try future.wait() }
