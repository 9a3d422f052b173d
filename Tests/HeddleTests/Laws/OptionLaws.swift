import Heddle
import HeddleSystem
import Testing

extension Core {
  /// Options and cancelling mean the same on every executor, as far as it can.
  @Suite struct OptionLaws {
    @Test(arguments: Kind.allCases.filter(\.queues)) func `waiting jobs run by priority, then as they came`(kind: Kind) async throws {
      let scratch = Scratch()
      try await withSubject(kind, workers: 1) { subject in
        let first = subject.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate")))
        try await eventually("the first job") { scratch.count("started") == 1 }
        var futures: [Future<Int>] = []
        for (round, priority) in [JobPriority.low, .medium, .high, .low, .medium, .high].enumerated() {
          let mark = UInt8(10 * priority.rawValue + round / 3)
          futures.append(subject.submit(Marks(path: scratch.path("marks"), mark: mark), options: JobOptions(priority: priority)))
        }
        // What was sent ahead comes back to the queue.
        try await Task.sleep(for: .milliseconds(20))
        append([1], to: scratch.path("gate"))
        _ = await wait(for: futures + [first])
        #expect(bytes(of: scratch.path("marks")) == [20, 21, 10, 11, 0, 1])
      }
    }
    @Test(arguments: Kind.allCases) func `a job that runs too long fails with timedOut, on time`(kind: Kind) async throws {
      let scratch = Scratch()
      try await withSubject(kind) { subject in
        let begin = MonotonicTime.now
        let future = subject.submit(
          Holds(started: scratch.path("started"), gate: scratch.path("gate")), options: JobOptions(timeout: .milliseconds(100)))
        let error = await future.result.jobError
        let time = MonotonicTime.now - begin
        #expect(error?.code == .timedOut && future.state == .failed)
        #expect(time >= .milliseconds(95) && time < .milliseconds(1500), "\(time)")
        let next = await subject.submit(Doubled(value: 2)).result
        #expect((try? next.get()) == 4, "the executor goes on")
      }
    }
    @Test(arguments: Kind.allCases.filter(\.queues)) func `the future of a job that heeds nothing ends on time too`(kind: Kind) async throws
    {
      try await withSubject(kind) { subject in
        let begin = MonotonicTime.now
        let future = subject.submit(Blocks(milliseconds: 1200), options: JobOptions(timeout: .milliseconds(50)))
        let error = await future.result.jobError
        #expect(error?.code == .timedOut)
        #expect(MonotonicTime.now - begin < .milliseconds(1000))
      }
    }
    @Test(arguments: Kind.allCases) func `a job within its time limit is left alone`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let futures = (0..<50).map { subject.submit(Naps(milliseconds: 2, value: $0), options: JobOptions(timeout: .seconds(20))) }
        for (number, future) in futures.enumerated() {
          let value = try await future.value
          #expect(value == number)
        }
      }
    }
    @Test(arguments: Kind.allCases.filter(\.queues)) func `the time that a job waits does not count`(kind: Kind) async throws {
      try await withSubject(kind, workers: 1) { subject in
        // Four of 60 ms one after another: the last waits for longer than its limit.
        let futures = (0..<4).map { subject.submit(Blocks(milliseconds: 60, value: $0), options: JobOptions(timeout: .milliseconds(170))) }
        for future in futures {
          let error = await future.result.error
          #expect(error == nil)
        }
      }
    }
    @Test(arguments: Kind.allCases, [Backoff.immediate, .exponential(from: .milliseconds(1), to: .milliseconds(5))])
    func `a job that throws runs again as often as it may`(kind: Kind, backoff: Backoff) async throws {
      let scratch = Scratch()
      try await withSubject(kind) { subject in
        let retry = RetryPolicy(errors: 3, backoff: backoff)
        let enough = await subject.submit(FailsUntil(runs: 4, path: scratch.path("enough")), options: JobOptions(retry: retry)).result
        #expect((try? enough.get()) == 4)
        let tooFew = await subject.submit(FailsUntil(runs: 9, path: scratch.path("few")), options: JobOptions(retry: retry)).result
        #expect((tooFew.error as? Refusal)?.code == 4)
        #expect(scratch.count("enough") == 4 && scratch.count("few") == 4)
      }
    }
    @Test(arguments: Kind.allCases) func `a job that is not to be tried again runs once`(kind: Kind) async throws {
      let scratch = Scratch()
      try await withSubject(kind) { subject in
        let policy = RetryPolicy(crashes: 5, timeouts: 5, memory: 5)
        let result = await subject.submit(FailsUntil(runs: 2, path: scratch.path("runs")), options: JobOptions(retry: policy)).result
        #expect((result.error as? Refusal)?.code == 1)
        #expect(scratch.count("runs") == 1)
      }
    }
    @Test(arguments: Kind.allCases.filter(\.queues)) func `a job that is cancelled while it waits never runs`(kind: Kind) async throws {
      let scratch = Scratch()
      try await withSubject(kind, workers: 1) { subject in
        let first = subject.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: 5))
        try await eventually("the first job") { scratch.count("started") == 1 }
        let waiting = (0..<10).map { _ in subject.submit(Marks(path: scratch.path("marks"))) }
        #expect(waiting.allSatisfy { $0.state == .pending })
        #expect(waiting.allSatisfy { $0.cancel() })
        for future in waiting {
          let error = await future.result.jobError
          #expect(error?.code == .cancelled && future.state == .cancelled)
        }
        #expect(first.state == .running, "nobody is killed for a job that waits")
        #expect(waiting.allSatisfy { !$0.cancel() }, "it has ended")
        append([1], to: scratch.path("gate"))
        let value = try await first.value
        #expect(value == 5)
      }
      #expect(scratch.count("marks") == 0)
    }
    @Test(arguments: Kind.allCases) func `a running job that is cancelled ends as cancelled`(kind: Kind) async throws {
      let scratch = Scratch()
      try await withSubject(kind) { subject in
        let held = subject.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate")))
        let other = subject.submit(Naps(milliseconds: 30, value: 8))
        try await eventually("the first job") { scratch.count("started") == 1 }
        #expect(held.state == .running)
        #expect(held.cancel())
        let error = await held.result.jobError
        #expect(error?.code == .cancelled && held.state == .cancelled)
        #expect(!held.cancel(), "it has ended")
        let value = try await other.value
        #expect(value == 8)
        let next = try await subject.submit(Doubled(value: 3)).value
        #expect(next == 6, "the executor goes on")
      }
    }
    @Test(arguments: Kind.allCases) func `cancelling what has ended changes nothing`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let future = subject.submit(Doubled(value: 5))
        _ = try await future.value
        #expect(!future.cancel())
        let value = try await future.value
        #expect(value == 10 && future.state == .succeeded)
      }
    }
    @Test(arguments: Kind.allCases.filter(\.queues)) func `a message about a job calls it by its label`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let error = await subject.submit(Blocks(milliseconds: 300), options: JobOptions(timeout: .milliseconds(20), label: "the blue one"))
          .result.jobError
        #expect(error?.message.hasPrefix("the blue one: ") == true)
      }
    }
  }
}
