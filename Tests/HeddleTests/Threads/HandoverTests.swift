import HeddleSystem
import Synchronization
import Testing

@testable import Heddle

extension Core {
  /// Jobs that go past the queue to the thread that searches for one.
  @Suite struct HandoverTests {
    @Test func `one searches, is given one future, and that is taken once, by whomever`() {
      let handover = Handover()
      let (first, second) = (Future<Int>(in: nil), Future<Int>(in: nil))
      let (given, late) = unsafe (Unmanaged<AnyFuture>.passUnretained(first), Unmanaged<AnyFuture>.passUnretained(second))
      func holds(_ taken: Unmanaged<AnyFuture>?, _ future: AnyFuture) -> Bool { unsafe taken?.takeUnretainedValue() === future }
      #expect(unsafe !handover.isSearching && !handover.give(given), "nobody searches")
      #expect(handover.begin() && handover.isWanted && handover.isSearching)
      #expect(unsafe !handover.begin() && handover.take() == nil && handover.give(given), "another searches")
      #expect(unsafe !handover.isWanted && handover.isSearching && handover.isUntaken && !handover.give(late))
      #expect(unsafe holds(handover.end(), first))
      #expect(unsafe !handover.isSearching && handover.end() == nil)
      // The searcher has lost its processor: another takes it, and may search itself.
      #expect(unsafe handover.begin() && handover.give(late) && holds(handover.take(), second) && handover.begin())
      #expect(unsafe handover.end() == nil && handover.end() == nil, "both have looked")
      #expect(unsafe handover.begin() && handover.give(given) && holds(handover.close(), first))
      #expect(unsafe !handover.begin() && !handover.give(late) && handover.take() == nil && handover.end() == nil && !handover.isSearching)
    }
    @Test(arguments: [ShutdownMode.finishAll, .finishRunning])
    func `one at a time, while the pool is shut down: what was taken ends, what comes later is refused and does not run`(mode: ShutdownMode)
      async throws
    {
      var refusals = 0
      for round in 0..<300 {
        let pool = ThreadPoolExecutor(maxWorkers: 2)
        let (board, submitted) = (Board(), Arrivals())
        let before = Int.random(in: 0..<200)
        let ended = Task.detached {
          var succeeded = 0
          while true {
            let outcome = await pool.submit(Counts(board: board)).result
            submitted.arrive()
            switch outcome {
            case .success: succeeded += 1
            case .failure(let error): return (succeeded, (error as? JobError)?.code)
            }
          }
        }
        try await eventually("some jobs") { submitted.count >= before }
        try await within("shutdown") { await pool.shutdown(mode) }
        board.isShut.store(true, ordering: .releasing)
        let (succeeded, code) = try await within("the end of the submitter") { await ended.value }
        #expect(succeeded == board.ran.count && board.ranLate.count == 0, "round \(round)")
        #expect(code == .executorShutDown || mode == .finishRunning && code == .cancelled)
        if code == .executorShutDown { refusals += 1 }
      }
      #expect(refusals > 0)
    }
    @Test func `a job that shuts its pool down is refused what it submits then, also while another thread searches`() async throws {
      for round in 0..<300 {
        let pool = ThreadPoolExecutor(maxWorkers: 2)
        let both = Arrivals()
        let code = pool.submit {
          both.arrive()
          while both.count < 2 { await Task.yield() }
          await pool.shutdown(.finishAll)
          return await pool.submit { 0 }.result.jobError?.code
        }
        // The thread that runs this one searches from then on.
        _ = pool.submit { both.arrive() }
        let refused = try await code.value
        #expect(refused == .executorShutDown, "round \(round)")
        try await within("shutdown") { await pool.shutdown(.finishAll) }
      }
    }
    @Test func `an output that comes after the end of its future is let go`() async throws {
      try await withThreads(2) { pool in
        let board = Board()
        let futures = [
          pool.submit(Delivers(board: board), options: JobOptions(timeout: .milliseconds(10))),
          pool.submit(Delivers(board: board)),
        ]
        #expect(await futures[0].result.jobError?.code == .timedOut)
        try await eventually("both jobs") { board.ran.count == 2 }
        #expect(futures[1].fail(Opaque(detail: "somebody ends it")))
        board.gate.open()
        try await eventually("the end of both outputs") { board.outputs.load(ordering: .acquiring) == 0 }
        withExtendedLifetime(futures) {}
      }
    }
  }
}

/// What jobs on threads share: they are never encoded.
private final class Board: Codable, Sendable {
  let ran = Arrivals()
  let ranLate = Arrivals()
  let isShut = Atomic<Bool>(false)
  let gate = ThreadGate()
  let outputs = Atomic<Int>(0)
  init() {}
  init(from decoder: any Decoder) throws { fatalError("it stays on this side") }
  func encode(to encoder: any Encoder) throws { fatalError("it stays on this side") }
}
private struct Counts: Job {
  var board: Board
  func run() async throws -> Int {
    board.ran.arrive()
    if board.isShut.load(ordering: .acquiring) { board.ranLate.arrive() }
    return 0
  }
}
/// Lives as long as an output does.
private final class Output: Codable, Sendable {
  private let board: Board
  init(_ board: Board) {
    self.board = board
    board.outputs.add(1, ordering: .relaxed)
  }
  deinit { board.outputs.subtract(1, ordering: .releasing) }
}
private struct Delivers: Job {
  var board: Board
  func run() async throws -> Output {
    let output = Output(board)
    board.ran.arrive()
    _ = board.gate.wait()
    return output
  }
}
