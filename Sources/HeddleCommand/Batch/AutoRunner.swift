import Heddle
import HeddleSystem

/// `--on auto`: the first calls run in processes and are measured; where they mostly wait, the others run on threads.
///
/// Processes first, since there everything works; which calls wait and which compute is seen from outside, as processor time over time on
/// the clock. Until that is known no more calls are out than run at once, and the others are held here.
final class AutoRunner: CallRunner {
  /// What the first calls have shown.
  struct Sample: Equatable {
    private(set) var count = 0
    /// Unit: seconds.
    private var computed = 0.0
    private var elapsed = 0.0
    private var hasDied = false

    mutating func add(_ outcome: CallOutcome) {
      if let time = outcome.processorTime {
        count += 1
        computed += time.seconds
        elapsed += outcome.seconds
      } else if case .failed = outcome.ending {
        hasDied = true
      }
    }
    /// Which share of their time they computed, from 0 to 1.
    var share: Double { elapsed > 0 ? min(computed / elapsed, 1) : 1 }
    /// Where the others are to run; nil: not known yet.
    ///
    /// What takes its worker along is kept in processes: on threads it would take the others along.
    var verdict: Placement? {
      if hasDied { return .processes }
      guard count >= Self.enough || elapsed >= Self.longEnough else { return nil }
      return share < Self.waiting ? .threads : .processes
    }
    /// Three calls, or fewer that took together so many seconds.
    private static let enough = 3
    private static let longEnough = 1.0
    /// Below it a call waits: on a busy machine one that computes has a processor for half of its time, or less.
    private static let waiting = 0.25
  }
  private final class Call: Sendable {
    let input: Input
    let completion: @Sendable (CallOutcome) -> Void
    /// nil: it is held.
    let cancel = Locked<CallCanceller?>(nil)

    init(_ input: Input, _ completion: @escaping @Sendable (CallOutcome) -> Void) {
      self.input = input
      self.completion = completion
    }
  }
  private struct State {
    var held: [Call] = []
    /// Calls on trial.
    var running = 0
    var sample = Sample()
    var isDecided = false
    /// What takes the calls from now on; nil: not known.
    var chosen: (any CallRunner)?
    var isShut = false
  }
  private let processes: any CallRunner
  private let places: Int
  private let makeThreads: @Sendable () throws -> any CallRunner
  private let say: @Sendable (String) -> Void
  private let state = Locked(State())

  /// - Parameters:
  ///   - places: How many run at once in processes.
  ///   - makeThreads: Makes what runs them on threads.
  ///   - say: Is told what was chosen and why, once.
  init(
    _ processes: any CallRunner, places: Int, say: @escaping @Sendable (String) -> Void,
    makeThreads: @escaping @Sendable () throws -> any CallRunner
  ) {
    self.processes = processes
    self.places = places
    self.say = say
    self.makeThreads = makeThreads
  }

  var window: Int { processes.window }
  var processorTime: Duration? {
    guard let time = processes.processorTime else { return nil }
    return time + (threads?.processorTime ?? .zero)
  }
  /// nil: processes were chosen, or nothing yet.
  private var threads: (any CallRunner)? { state.withLock { $0.chosen.flatMap { $0 === processes ? nil : $0 } } }

  func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
    enum Action { case run(any CallRunner), trial, hold, refuse }
    let call = Call(input, completion)
    let action = state.withLock { state -> Action in
      if state.isShut { return .refuse }
      if let chosen = state.chosen { return .run(chosen) }
      if state.running < places {
        state.running += 1
        return .trial
      }
      state.held.append(call)
      return .hold
    }
    switch action {
    case .run(let runner): return runner.submit(input, completion: completion)
    case .trial: start(call)
    case .hold: break
    case .refuse: completion(CallOutcome(ending: .notRun, seconds: 0, attempts: 0))
    }
    return { onlyIfRunning in call.cancel.withLock { $0 }?(onlyIfRunning) ?? false }
  }
  private func start(_ call: Call) {
    let cancel = processes.submit(call.input) { [self] outcome in
      ended(outcome)
      call.completion(outcome)
    }
    call.cancel.withLock { $0 = cancel }
  }
  /// A call on trial has ended: another takes its place, or it is known where they all go.
  private func ended(_ outcome: CallOutcome) {
    let (verdict, next) = state.withLock { state -> (Placement?, Call?) in
      state.running -= 1
      state.sample.add(outcome)
      if !state.isDecided, !state.isShut, let verdict = state.sample.verdict {
        state.isDecided = true
        return (verdict, nil)
      }
      guard state.chosen == nil, !state.held.isEmpty else { return (nil, nil) }
      state.running += 1
      return (nil, state.held.removeFirst())
    }
    if let verdict { choose(verdict) }
    if let next { start(next) }
  }
  private func choose(_ verdict: Placement) {
    let threads = verdict == .threads ? try? makeThreads() : nil
    let runner = threads ?? processes
    let (held, sample, isShut) = state.withLock { state in
      state.chosen = runner
      defer { state.held = [] }
      return (state.held, state.sample, state.isShut)
    }
    if isShut { threads?.shutdown(grace: .zero) }
    let percent = Int((sample.share * 100).rounded())
    let place = threads == nil ? "processes" : "threads"
    say("heddle: --on auto: \(place), since the first calls computed \(percent)% of their time; --on \(place) says so from the start")
    for call in held {
      let cancel = runner.submit(call.input, completion: call.completion)
      call.cancel.withLock { $0 = cancel }
    }
  }

  func shutdown(grace: Duration?) {
    let held = state.withLock { state in
      state.isShut = true
      defer { state.held = [] }
      return state.held
    }
    for call in held { call.completion(CallOutcome(ending: .notRun, seconds: 0, attempts: 0)) }
    // Side by side: what runs has its grace once.
    let other = threads.flatMap { threads in try? OSThread(name: "heddle-stop") { threads.shutdown(grace: grace) } }
    processes.shutdown(grace: grace)
    other?.join()
  }
}
