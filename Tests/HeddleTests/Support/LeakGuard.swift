import Glibc
import Heddle
import HeddleSystem
import Synchronization
import Testing

/// All suites that count what is left behind: one after another, since what one has open the next would count.
@Suite(.serialized, .leakGuarded) enum Core {}

/// Around each test: what the process holds afterwards is no more than before, and a test that hangs says what it waits for and ends.
struct LeakGuard: SuiteTrait, TestTrait, TestScoping {
  var isRecursive: Bool { true }

  @concurrent func provideScope(
    for test: Test, testCase: Test.Case?, performing function: @Sendable @concurrent () async throws -> Void
  ) async throws {
    await Self.warmUp.value
    let before = Footprint.now()
    Watchdog.begin(test.displayName ?? test.name)
    defer { Watchdog.end() }
    try await function()
    // The operating system is asynchronous: a thread that was joined may be listed a little longer.
    var left = Footprint.now().excess(over: before)
    let deadline = MonotonicTime.now + .seconds(3)
    while !left.isEmpty && .now < deadline {
      try? await Task.sleep(for: .milliseconds(5))
      left = Footprint.now().excess(over: before)
    }
    if !left.isEmpty { Issue.record("left behind: \(left.joined(separator: "; "))") }
  }
  /// Dispatch and the concurrency library open descriptors of their own on first use.
  private static let warmUp = Task {
    try? await Task.sleep(for: .milliseconds(1))
    await MainActor.run {}
    let threads = ThreadPoolExecutor(maxWorkers: 1)
    _ = try? await threads.submit { 1 }.value
    await threads.shutdown(.finishAll)
    let processes = ProcessPoolExecutor(maxWorkers: 1)
    _ = try? await processes.submit(Doubled(value: 1)).value
    await processes.shutdown(.finishAll)
  }
}
extension Trait where Self == LeakGuard {
  static var leakGuarded: LeakGuard { LeakGuard() }
}

/// Ends the test process when one test takes for ever, after it has printed what is waited for.
enum Watchdog {
  private struct State {
    var test = ""
    var deadline = MonotonicTime.distantFuture
    var waits: [Int: String] = [:]
    var lastWait = 0
    var isRunning = false
  }
  // Not the standard library's Mutex, of which the thread sanitizer knows nothing.
  private static let state = Locked(State())
  private static let parker = Parker()
  // For one test case. The helper `within` gives up earlier, and more gently.
  private static let limit = Duration.seconds(60)

  static func begin(_ test: String) {
    let starts = state.withLock { state in
      state.test = test
      state.deadline = .now + limit
      defer { state.isRunning = true }
      return !state.isRunning
    }
    if starts { _ = try? OSThread(name: "heddle-test-dog") { watch() } }
  }
  static func end() { state.withLock { $0.deadline = .distantFuture } }
  static func beginWait(_ what: String) -> Int {
    state.withLock { state in
      state.lastWait += 1
      state.waits[state.lastWait] = what
      return state.lastWait
    }
  }
  static func endWait(_ number: Int) { state.withLock { _ = $0.waits.removeValue(forKey: number) } }

  private static func watch() {
    while true {
      parker.park(ticket: parker.ticket, until: .now + .milliseconds(500))
      let hung = state.withLock { state in
        state.deadline < .now ? "\(state.test) hangs. It waits for: \(state.waits.values.sorted().joined(separator: "; "))" : nil
      }
      if let hung {
        let message = "\n*** \(hung)\n*** held: \(Footprint.now())\n"
        _ = unsafe write(2, message, message.utf8.count)
        _exit(70)
      }
    }
  }
}

/// Something that was waited for did not come.
struct Hung: Error, CustomStringConvertible {
  var description: String
}

/// Runs `body`, but for no longer than `limit`: then the test fails, says what it waited for, and goes on without it.
func within<R: Sendable>(
  _ what: String, limit: Duration = .seconds(20), sourceLocation: SourceLocation = #_sourceLocation,
  _ body: @escaping @Sendable () async throws -> R
) async throws -> R {
  let number = Watchdog.beginWait(what)
  defer { Watchdog.endWait(number) }
  let once = Once()
  return try await withUnsafeThrowingContinuation { continuation in
    let timer = Task {
      try await Task.sleep(for: limit)
      if once.first() { unsafe continuation.resume(throwing: Hung(description: "waited \(limit) for \(what) in vain")) }
    }
    Task {
      let result: Result<R, any Error>
      do { result = .success(try await body()) } catch { result = .failure(error) }
      timer.cancel()
      if once.first() { unsafe continuation.resume(with: result) }
    }
  }
}
private final class Once: Sendable {
  private let isOver = Atomic<Bool>(false)
  func first() -> Bool { isOver.compareExchange(expected: false, desired: true, ordering: .acquiringAndReleasing).exchanged }
}

/// Waits until `condition` holds: for what another process or thread does.
///
/// Fails the test after `limit`.
func eventually(
  _ what: String, limit: Duration = .seconds(10), sourceLocation: SourceLocation = #_sourceLocation, _ condition: () -> Bool
) async throws {
  let number = Watchdog.beginWait(what)
  defer { Watchdog.endWait(number) }
  let deadline = MonotonicTime.now + limit
  while !condition() {
    guard .now < deadline else { throw Hung(description: "waited \(limit) for \(what) in vain") }
    try await Task.sleep(for: .milliseconds(1))
  }
}

/// The shortest of three runs: the machine is shared with others.
func bestOfThree(until limit: Duration, _ body: () async throws -> Void) async throws -> Duration {
  var best = Duration.seconds(3600)
  for _ in 0..<3 where best >= limit {
    let begin = MonotonicTime.now
    try await body()
    best = min(best, .now - begin)
  }
  return best
}
