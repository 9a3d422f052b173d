import Heddle
import HeddleSystem
import Testing

extension Core {
  /// Law 2: every future ends, exactly once.
  @Suite struct EndLaws {
    @Test(arguments: Kind.allCases, [ShutdownMode.finishAll, .finishRunning, .kill(after: .milliseconds(20))])
    func `every future ends exactly once in a storm of submits, cancels and shutdowns`(kind: Kind, mode: ShutdownMode) async throws {
      for round in 0..<3 {
        let subject = kind.make()
        let ends = Ends()
        let storm = Task {
          await withTaskGroup(of: Void.self) { group in
            for side in 0..<2 {
              group.addTask {
                for number in 0..<250 {
                  let future: Future<Int> =
                    switch number % 5 {
                    case 0: subject.submit(Refuses(code: number))
                    case 1: subject.submit(Naps(milliseconds: 1))
                    case 2: subject.submit(Doubled(value: number), options: JobOptions(priority: .high))
                    default: subject.submit(Doubled(value: number))
                    }
                  ends.watch(future)
                  if number % 3 == side { future.cancel() }
                  if number % 50 == 0 { await Task.yield() }
                }
              }
              group.addTask {
                while ends.watched < 150 + 80 * round { await Task.yield() }
                await subject.shutdown(mode)
              }
            }
          }
        }
        try await within("the storm, with \(mode)") { await storm.value }
        #expect(ends.watched == 500)
        #expect(ends.counts.allSatisfy { $0 == 1 }, "a future ended \(Set(ends.counts)) times")
      }
    }
    @Test(arguments: Kind.allCases) func `a completion that comes late is called at once, and each of many is called once`(kind: Kind)
      async throws
    {
      try await withSubject(kind) { subject in
        let calls = Locked<[Int]>([])
        let future = subject.submit(Doubled(value: 21))
        for number in 0..<10 { future.onCompletion { _ in calls.withLock { $0.append(number) } } }
        let value = try await future.value
        #expect(value == 42)
        for number in 10..<12 { future.onCompletion { result in if (try? result.get()) == 42 { calls.withLock { $0.append(number) } } } }
        try await eventually("twelve calls") { calls.withLock { $0.count == 12 } }
        #expect(calls.withLock { $0.sorted() } == Array(0..<12))
      }
    }
    @Test(arguments: Kind.allCases) func `many tasks wait for one future`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let future = subject.submit(Naps(milliseconds: 5, value: 7))
        let values = await withTaskGroup(of: Int?.self) { group in
          for _ in 0..<32 { group.addTask { try? await future.value } }
          return await group.reduce(into: []) { $0.append($1) }
        }
        #expect(values == Array(repeating: 7, count: 32))
      }
    }
    @Test(arguments: Kind.allCases) func `cancelling the task that waits does not cancel the job`(kind: Kind) async throws {
      let scratch = Scratch()
      try await withSubject(kind) { subject in
        let future = subject.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: 3))
        let waiting = Task { try await future.value }
        waiting.cancel()
        append([1], to: scratch.path("gate"))
        let value = try await waiting.value
        #expect(value == 3)
      }
    }
  }
}

/// Sleeps without blocking.
struct Naps: Job {
  var milliseconds: Int
  var value = 0
  func run() async throws -> Int {
    try await Task.sleep(for: .milliseconds(milliseconds))
    return value
  }
}

/// Counts how often each of many futures ends.
final class Ends: Sendable {
  // Not `Synchronization.Mutex`, of whose futex the thread sanitizer knows nothing.
  private let state = Locked<[Int]>([])
  var counts: [Int] { state.withLock { $0 } }
  var watched: Int { state.withLock { $0.count } }

  func watch<R: Sendable>(_ future: Future<R>) {
    let index = state.withLock { counts in
      counts.append(0)
      return counts.count - 1
    }
    future.onCompletion { _ in self.state.withLock { $0[index] += 1 } }
  }
}
