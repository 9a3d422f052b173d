import HeddleSystem

/// How many jobs an executor may hold at once, and who waits until it may hold one more.
///
/// A job has its place from when it is let in until its future ends, however that ends; so places are counted by futures, the same
/// way on threads and in processes. A place that becomes free goes to who has waited longest, and never back to the heap: who is
/// woken has it.
package final class Admission: Sendable {
  /// Somebody who waits for a place.
  package typealias Ticket = UInt64

  private struct State {
    var limit: Int
    var held = 0
    var isClosed = false
    var lastTicket: Ticket = 0
    /// First come, first served, from `head` on.
    var waiting: [(ticket: Ticket, body: @Sendable () -> Void)] = []
    var head = 0
  }
  private let state: Locked<State>

  /// - Parameter limit: at least 1. Unit: jobs.
  package init(limit: Int) { state = Locked(State(limit: max(1, limit))) }

  /// The most jobs at once.
  package var limit: Int { state.withLock { $0.limit } }

  /// Takes a place.
  ///
  /// false: there is none. Of an executor that was shut down there always is one: it has its own answer for the job.
  package func enter() -> Bool {
    state.withLock { state in
      guard state.held < state.limit || state.isClosed else { return false }
      state.held += 1
      return true
    }
  }
  /// Takes a place beyond the limit: for one who would otherwise wait for itself.
  package func enterAnyway() { state.withLock { $0.held += 1 } }
  /// Takes a place, now or later; `body` is called when it is there, on the thread that gave it up.
  ///
  /// nil: it is there already, and `body` is not called.
  package func request(_ body: @escaping @Sendable () -> Void) -> Ticket? {
    state.withLock { state in
      guard state.held >= state.limit && !state.isClosed else {
        state.held += 1
        return nil
      }
      state.lastTicket += 1
      state.waiting.append((state.lastTicket, body))
      return state.lastTicket
    }
  }
  /// Waits no longer.
  ///
  /// false: it has its place already, and has to use it or `leave`.
  package func withdraw(_ ticket: Ticket) -> Bool {
    state.withLock { state in
      guard let index = state.waiting[state.head...].firstIndex(where: { $0.ticket == ticket }) else { return false }
      state.waiting.remove(at: index)
      return true
    }
  }
  /// Gives a place back.
  package func leave() {
    state.withLock { state -> (@Sendable () -> Void)? in
      state.held -= 1
      return Self.admitNext(&state)
    }?()
  }
  /// Gives the place of a job back when its future ends.
  package func leave(after future: AnyFuture) {
    if !future.addWaiter({ [self] in leave() }) { leave() }
  }
  /// Another limit; those it has room for are let in.
  package func setLimit(_ limit: Int) {
    let admitted = state.withLock { state -> [@Sendable () -> Void] in
      state.limit = max(1, limit)
      var admitted: [@Sendable () -> Void] = []
      while let next = Self.admitNext(&state) { admitted.append(next) }
      return admitted
    }
    for body in admitted { body() }
  }
  /// Lets everybody in: the executor refuses what comes now.
  package func close() {
    let admitted = state.withLock { state -> [@Sendable () -> Void] in
      state.isClosed = true
      defer {
        state.waiting = []
        state.head = 0
      }
      state.held += state.waiting.count - state.head
      return state.waiting[state.head...].map(\.body)
    }
    for body in admitted { body() }
  }
  private static func admitNext(_ state: inout State) -> (@Sendable () -> Void)? {
    guard state.held < state.limit, state.head < state.waiting.count else { return nil }
    let body = state.waiting[state.head].body
    state.head += 1
    state.held += 1
    // The front is cut off now and then, so that each request moves a bounded number of times.
    if state.head >= 64 && state.head * 2 >= state.waiting.count {
      state.waiting.removeFirst(state.head)
      state.head = 0
    }
    return body
  }

  // MARK: Waiting for a place

  /// Takes a place, as soon as there is one.
  ///
  /// false: the task was cancelled first.
  package nonisolated(nonsending) func entered() async -> Bool {
    let latch = Future<Void>(in: nil)
    guard let ticket = request({ latch.succeed(()) }) else { return true }
    _ = await withTaskCancellationHandler {
      await latch.park()
    } onCancel: {
      if withdraw(ticket) { latch.fail(with: CancellationError()) }
    }
    return latch.state == .succeeded
  }
  /// The same for code that is not `async`.
  ///
  /// Blocks.
  package func enterBlocking() {
    let gate = ThreadGate()
    if request({ gate.open() }) != nil { gate.wait() }
  }
}

/// An executor that may be full.
protocol BoundedExecutor: JobExecutor {
  /// Who lets jobs of that type in; nil: nobody has to.
  func admission(for job: any Job.Type) -> Admission?
  /// Takes a job that has its place.
  func submitAdmitted<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output>
  /// Whether the calling thread is one of those that run such jobs: if it waited for a place it might wait for itself.
  func runsOnThisThread(_ job: any Job.Type) -> Bool
}

extension JobError {
  /// Nothing more is let in at the moment.
  package static func queueFull(_ limit: Int) -> JobError {
    JobError(
      code: .queueFull,
      message: "The executor holds \(limit) jobs, as many as it may with its maxWorkers and maxPending, so this one did not run. "
        + "Submit it later, raise maxPending, or wait for room with submitWaiting.")
  }
  /// The task was cancelled that waited for room.
  package static var cancelledBeforeRoom: JobError {
    JobError(code: .cancelled, message: "The task was cancelled while it waited for room in the executor, so the job did not run.")
  }
}
