import Glibc
import Heddle
import HeddleSystem
import Testing

extension Core {
  /// Law 3: futures of different executors are waited for together.
  @Suite struct WaitLaws {
    /// Two held jobs and a fast one on each executor.
    private func withAll(
      _ body:
        @escaping @Sendable (_ held: [Future<Int>], _ fast: [Future<Int>], _ refused: () -> Future<Int>, _ open: () -> Void) async throws ->
        Void
    ) async throws {
      let scratch = Scratch()
      let subjects = Kind.allCases.map { $0.make() }
      do {
        try await within("the futures of all executors") {
          let held = subjects.map { $0.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: 1)) }
          let fast = subjects.map { $0.submit(Doubled(value: 4)) }
          try await body(held, fast, { subjects[2].submit(Refuses(code: 1)) }, { append([1], to: scratch.path("gate")) })
        }
      } catch { Issue.record(error) }
      append([1], to: scratch.path("gate"))
      for subject in subjects { try await within("shutdown") { await subject.shutdown(.finishAll) } }
    }

    @Test func `allCompleted waits for all`() async throws {
      try await withAll { held, fast, _, open in
        let early = await wait(for: held + fast, timeout: .milliseconds(50))
        #expect(Set(early.pending.map(ObjectIdentifier.init)).isSuperset(of: held.map(ObjectIdentifier.init)))
        open()
        let late = await wait(for: held + fast)
        #expect(late.pending.isEmpty && late.done.count == 10)
        #expect(zip(late.done, held + fast).allSatisfy { $0 === $1 })
      }
    }
    @Test func `firstCompleted waits for one`() async throws {
      try await withAll { held, fast, _, open in
        let none = await wait(for: held, until: .firstCompleted, timeout: .milliseconds(20))
        #expect(none.done.isEmpty && none.pending.count == held.count)
        let some = await wait(for: held + fast, until: .firstCompleted)
        #expect(!some.done.isEmpty && some.pending.count >= held.count)
      }
    }
    @Test func `firstFailure waits for a failure, or for all`() async throws {
      try await withAll { held, fast, refused, open in
        let failing = refused()
        let mixed = await wait(for: held + [failing], until: .firstFailure)
        #expect(mixed.done.contains { $0 === failing } && mixed.pending.count == held.count)
        let fine = await wait(for: fast, until: .firstFailure)
        #expect(fine.pending.isEmpty)
        held[1].cancel()
        let cancelled = await wait(for: held, until: .firstFailure)
        #expect(cancelled.done.contains { $0 === held[1] })
      }
    }
    @Test func `a wait for nothing is over at once`() async throws {
      for condition in [WaitCondition.allCompleted, .firstCompleted, .firstFailure] {
        let (done, pending) = try await within("nothing", limit: .seconds(5)) { await wait(for: [Future<Int>](), until: condition) }
        #expect(done.isEmpty && pending.isEmpty)
      }
    }
    @Test func `completions yields each future once, as it ends`() async throws {
      try await withAll { held, fast, _, open in
        var order: [ObjectIdentifier] = []
        for await future in completions(of: held + fast) {
          order.append(ObjectIdentifier(future))
          if order.count == fast.count { open() }
        }
        #expect(Set(order.prefix(fast.count)) == Set(fast.map(ObjectIdentifier.init)))
        #expect(Set(order) == Set((held + fast).map(ObjectIdentifier.init)) && order.count == held.count + fast.count)
      }
    }
    @Test func `futures of different outputs are waited for together`() async throws {
      struct Says: Job {
        func run() async throws -> String { "hi" }
      }
      try await withSubject(.threads) { threads in
        let processes = ProcessPoolExecutor(maxWorkers: 1)
        let futures: [AnyFuture] = [threads.submit(Doubled(value: 1)), processes.submit(Says())]
        let (done, _) = await wait(for: futures)
        #expect(done.count == 2)
        await processes.shutdown(.finishAll)
      }
    }
    @Test(arguments: Kind.allCases) func `a blocking wait returns the output, the error, or the timeout`(kind: Kind) async throws {
      let scratch = Scratch()
      try await withSubject(kind) { subject in
        let held = subject.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: 5))
        let answers = await withUnsafeContinuation { continuation in
          // On a thread of its own: blocking is for code that is not async.
          _ = try! OSThread(name: "test-waiter") {
            var answers: [String] = []
            func note(_ body: () throws -> Int) {
              do { answers.append("\(try body())") } catch is FutureTimeout { answers.append("timeout") } catch {
                answers.append("\(type(of: error))")
              }
            }
            note { try held.wait(timeout: .milliseconds(30)) }
            note { try subject.submit(Doubled(value: 4)).wait() }
            note { try subject.submit(Refuses(code: 1)).wait(timeout: .seconds(10)) }
            append([1], to: scratch.path("gate"))
            note { try held.wait(timeout: .seconds(10)) }
            unsafe continuation.resume(returning: answers)
          }
        }
        #expect(answers == ["timeout", "8", "Refusal", "5"])
      }
    }
  }
}
