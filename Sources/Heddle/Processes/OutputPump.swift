import HeddleSystem

/// Calls a user's handler on a thread of its own, so that the pool never waits for it.
final class OutputPump: Sendable {
  private struct State {
    var waiting: [(byteCount: Int, call: @Sendable () -> Void)] = []
    var byteCount = 0
    var isClosed = false
    var thread: OSThread?
  }
  private let state = Locked(State())
  private let parker = Parker()
  private let ended = ThreadGate()
  /// So much may wait for the handler; then the workers' pipes are left alone, and who prints waits.
  ///
  /// Unit: bytes.
  private static let limit = 1 << 20
  /// How long the handler may take at the end of the pool.
  private static let endLimit = Duration.seconds(2)

  /// Whether nothing more should be put at the moment.
  var isFull: Bool { state.withLock { $0.byteCount >= Self.limit } }

  /// Lets `call` run after all that came before.
  func put(_ byteCount: Int, _ call: @escaping @Sendable () -> Void) {
    state.withLock { state in
      state.waiting.append((byteCount, call))
      state.byteCount += byteCount
      if state.thread == nil { state.thread = try? OSThread(name: "heddle-output") { [self] in run() } }
      // Without a thread for it the output is lost, and the pool goes on.
      if state.thread == nil {
        state.waiting = []
        state.byteCount = 0
      }
    }
    parker.unpark(1)
  }
  /// Ends the thread, after all that was put; one whose handler does not return is left to itself.
  ///
  /// Blocks.
  func close() {
    let thread = state.withLock { state in
      state.isClosed = true
      defer { state.thread = nil }
      return state.thread
    }
    parker.unpark(1)
    guard let thread else { return }
    if ended.wait(until: .now + Self.endLimit) { thread.join() } else { thread.detach() }
  }
  private func run() {
    while true {
      let ticket = parker.ticket
      let (calls, isClosed) = state.withLock { state in
        defer { state.waiting = [] }
        return (state.waiting, state.isClosed)
      }
      for (byteCount, call) in calls {
        call()
        state.withLock { $0.byteCount -= byteCount }
      }
      guard calls.isEmpty else { continue }
      if isClosed { return ended.open() }
      parker.park(ticket: ticket)
    }
  }
}
