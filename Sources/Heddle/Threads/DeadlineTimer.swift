import HeddleSystem
import Synchronization

/// Runs actions at points in time, on a thread that is started by the first of them and ended by `stop`.
final class DeadlineTimer: Sendable {
  /// Names an action, to take it back.
  typealias Ticket = UInt64

  private struct Entry {
    var time: MonotonicTime
    var ticket: Ticket
    var action: @Sendable () -> Void
  }
  private struct State {
    /// Sorted: the next is the last.
    var entries: [Entry] = []
    var lastTicket: Ticket = 0
    var thread: OSThread?
    var isStopped = false
  }
  private let state = Locked(State())
  private let parker = Parker()

  /// Runs `action` once `time` has come, unless it is taken back before.
  ///
  /// Actions are short; no lock is held around them.
  func schedule(at time: MonotonicTime, _ action: @escaping @Sendable () -> Void) -> Ticket {
    let ticket = state.withLock { state in
      state.lastTicket += 1
      let index = state.entries.firstIndex { $0.time <= time } ?? state.entries.endIndex
      state.entries.insert(Entry(time: time, ticket: state.lastTicket, action: action), at: index)
      if state.thread == nil && !state.isStopped {
        // Without a thread for it a limit cannot be kept; the job then runs without one rather than not at all.
        state.thread = try? OSThread(name: "heddle-timer", stackSize: 256 << 10) { [self] in run() }
      }
      return state.lastTicket
    }
    parker.unpark(1)
    return ticket
  }
  /// Takes an action back.
  ///
  /// It may be running already.
  func cancel(_ ticket: Ticket) {
    state.withLock { state in
      if let index = state.entries.lastIndex(where: { $0.ticket == ticket }) { state.entries.remove(at: index) }
    }
  }
  /// Ends the thread; what was not due is dropped.
  ///
  /// Blocks for as long as an action takes. May be called again.
  func stop() {
    let thread = state.withLock { state in
      state.isStopped = true
      defer { state.thread = nil }
      return state.thread
    }
    parker.unpark(1)
    guard let thread else { return }
    // An action may end what it belongs to; its thread cannot wait for itself.
    if thread.isCurrent { thread.detach() } else { thread.join() }
  }

  private func run() {
    while true {
      let ticket = parker.ticket
      let now = MonotonicTime.now
      var due: [@Sendable () -> Void] = []
      let next: MonotonicTime? = state.withLock { state in
        if state.isStopped { return nil }
        while let last = state.entries.last, last.time <= now { due.append(state.entries.removeLast().action) }
        return state.entries.last?.time ?? .distantFuture
      }
      guard let next else { return }
      for action in due { action() }
      if due.isEmpty { parker.park(ticket: ticket, until: next) }
    }
  }
}
