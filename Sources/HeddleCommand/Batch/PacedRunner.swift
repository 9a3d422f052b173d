import HeddleSystem

/// Starts calls one by one on another runner, where that one's own queue is too far ahead: with a pause between two starts, only while
/// memory is free, with a time limit that follows from the calls before, and for commands.
///
/// It has the waiting calls, their tries and their time limits; the inner runner has at most `places` calls, each of which it starts at
/// once.
final class PacedRunner: CallRunner {
  struct Pace: Sendable {
    /// How many run at once.
    var places: Int
    /// The least time between two starts.
    var delay: Duration?
    /// Nothing starts while less memory is free.
    ///
    /// With less than half of it, the youngest call is killed and waits again. Unit: bytes.
    var freeMemory: Int?
    /// nil: the inner runner sees to it, or there is none.
    var timeout: TimeLimit?
    var retries = 0
  }
  /// What we did to a call that ran.
  private enum Fate {
    case timedOut
    case putBack
  }
  private struct Call {
    let input: Input
    let completion: @Sendable (CallOutcome) -> Void
    var attempts = 0
    var start = MonotonicTime.distantFuture
    /// nil: it is just being started.
    var cancel: CallCanceller?
    var fate: Fate?
  }
  private struct State {
    /// The next one is last; never more than `window`.
    var waiting: [Call] = []
    var running: [Int: Call] = [:]
    var nextNumber = 0
    var nextStart = MonotonicTime(nanoseconds: 0)
    var median = RecentMedian()
    var isShut = false
    var isOver = false

    /// A call that ran runs again, before all others.
    mutating func waitAgain(_ call: Call) {
      var call = call
      (call.cancel, call.fate) = (nil, nil)
      waiting.append(call)
    }
  }
  private let inner: any CallRunner
  private let pace: Pace
  private let state = Locked(State())
  private let news = Parker()
  private let thread: OSThread
  private let ended = ThreadGate()
  /// What the machine has; a parameter for the tests.
  private let availableMemory: @Sendable () -> Int?

  /// How often free memory is looked at while that matters.
  private static let memoryInterval = Duration.milliseconds(100)

  init(_ inner: any CallRunner, pace: Pace, availableMemory: @escaping @Sendable () -> Int? = { Machine.availableMemory }) throws {
    self.inner = inner
    self.pace = pace
    self.availableMemory = availableMemory
    let box = Locked<PacedRunner?>(nil)
    let begin = ThreadGate()
    thread = try OSThread(name: "heddle-pace") {
      begin.wait()
      box.withLock { runner in
        defer { runner = nil }
        return runner
      }?.work()
    }
    box.withLock { $0 = self }
    begin.open()
  }

  var window: Int { pace.places * 2 }
  var processorTime: Duration? { inner.processorTime }

  func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
    let isTaken = state.withLock { state in
      if !state.isShut { state.waiting.insert(Call(input: input, completion: completion), at: 0) }
      return !state.isShut
    }
    if isTaken { news.unpark() } else { completion(CallOutcome(ending: .notRun, seconds: 0, attempts: 0)) }
    return { _ in false }
  }
  func shutdown(grace: Duration?) {
    let dropped = state.withLock { state in
      state.isShut = true
      defer { state.waiting = [] }
      return state.waiting
    }
    for call in dropped { call.completion(CallOutcome(ending: .notRun, seconds: 0, attempts: call.attempts)) }
    inner.shutdown(grace: grace)
    state.withLock { $0.isOver = true }
    news.unpark()
    ended.wait()
  }

  // MARK: The pacing thread

  private func work() {
    while true {
      let ticket = news.ticket
      let now = MonotonicTime.now
      let memory = pace.freeMemory == nil ? nil : availableMemory()
      let (isOver, wake) = step(now, memory: memory)
      if isOver { break }
      if wake > now { news.park(ticket: ticket, until: wake) }
    }
    ended.open()
  }
  /// Starts one call, or ends those whose time is up, and says when it is to be called again.
  private func step(_ now: MonotonicTime, memory: Int?) -> (isOver: Bool, wake: MonotonicTime) {
    var toStart: (Int, Input)?
    var toStop: [(number: Int, cancel: CallCanceller)] = []
    var toPutBack: (number: Int, cancel: CallCanceller)?
    var wake = MonotonicTime.distantFuture
    let isOver = state.withLock { state in
      if state.isOver { return true }
      if let limit = pace.timeout?.limit(median: state.median.value) {
        for (number, call) in state.running where call.fate == nil && call.cancel != nil {
          let end = call.start + limit
          if end > now {
            wake = min(wake, end)
          } else {
            state.running[number]!.fate = .timedOut
            toStop.append((number, call.cancel!))
          }
        }
      }
      if let least = pace.freeMemory, let memory {
        if !state.waiting.isEmpty || !state.running.isEmpty { wake = min(wake, now + Self.memoryInterval) }
        // Of several the youngest; the last one may have all that there is.
        if memory < least / 2, state.running.count > 1,
          let young = state.running.filter({ $0.value.fate == nil && $0.value.cancel != nil }).max(by: { $0.key < $1.key })
        {
          state.running[young.key]!.fate = .putBack
          toPutBack = (young.key, young.value.cancel!)
        }
        if memory < least, !state.running.isEmpty { return false }
      }
      guard state.running.count < pace.places, !state.waiting.isEmpty else { return false }
      if now < state.nextStart {
        wake = min(wake, state.nextStart)
        return false
      }
      if let delay = pace.delay { state.nextStart = now + delay }
      var call = state.waiting.removeLast()
      call.attempts += 1
      call.start = now
      let number = state.nextNumber
      state.nextNumber += 1
      state.running[number] = call
      toStart = (number, call.input)
      wake = now
      return false
    }
    // One that cannot be stopped goes on as if nothing had been, and its time limit with it.
    if let (number, cancel) = toPutBack, !cancel(false) { state.withLock { $0.running[number]?.fate = nil } }
    for (number, cancel) in toStop where !cancel(true) {
      // Its worker is still starting: that is not the call's time.
      state.withLock { state in
        state.running[number]?.fate = nil
        state.running[number]?.start = now
      }
      wake = now
    }
    if let (number, input) = toStart {
      let cancel = inner.submit(input) { [self] outcome in callEnded(number, outcome) }
      state.withLock { $0.running[number]?.cancel = cancel }
    }
    return (isOver, wake)
  }
  private func callEnded(_ number: Int, _ outcome: CallOutcome) {
    let now = MonotonicTime.now
    let ended: (Call, CallOutcome)? = state.withLock { state in
      guard var call = state.running.removeValue(forKey: number) else { return nil }
      var outcome = outcome
      outcome.attempts = call.attempts
      if case .notRun = outcome.ending {
        switch call.fate {
        case .timedOut:
          let seconds = (now - call.start).seconds
          outcome.ending = .failed(code: "timedOut", message: "it ran longer than its limit of \(pace.timeout!)", exit: nil)
          outcome.seconds = seconds
        case .putBack where !state.isShut:
          call.attempts -= 1
          state.waitAgain(call)
          return nil
        default: return (call, outcome)
        }
      }
      if case .returned = outcome.ending {
        state.median.add(outcome.seconds)
      } else if call.attempts <= pace.retries, !state.isShut {
        state.waitAgain(call)
        return nil
      }
      return (call, outcome)
    }
    if let (call, outcome) = ended { call.completion(outcome) }
    news.unpark()
  }
}

/// The median of the last values.
struct RecentMedian {
  /// So many that one odd call does not move it, so few that a change is seen.
  static let count = 999
  /// Before so many values there is none, as in GNU parallel.
  static let least = 3
  private var recent: [Double] = []
  private var oldest = 0
  private var sorted: [Double] = []

  mutating func add(_ value: Double) {
    if recent.count < Self.count {
      recent.append(value)
    } else {
      sorted.remove(at: place(of: recent[oldest]))
      recent[oldest] = value
      oldest = (oldest + 1) % Self.count
    }
    sorted.insert(value, at: place(of: value))
  }
  /// nil: there are too few values yet.
  var value: Double? { sorted.count < Self.least ? nil : sorted[sorted.count / 2] }

  /// The first that is not less.
  private func place(of value: Double) -> Int {
    var low = 0
    var high = sorted.count
    while low < high {
      let middle = (low + high) / 2
      if sorted[middle] < value { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
