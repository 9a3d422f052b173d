import Gauges
import Glibc
import Synchronization

/// Ends the program with what it waited for where nothing has moved for long: a soak that hangs has found something too.
final class Watchdog: Sendable {
  private struct State {
    var waitsFor = ""
    var setup: Setup?
    var since = ContinuousClock.now
    var isOver = false
  }
  private let state = Mutex(State())

  /// Something else is waited for from here on.
  func waits(for what: @autoclosure () -> String, of setup: Setup) {
    let what = what()
    state.withLock { state in
      state.waitsFor = what
      state.setup = setup
      state.since = .now
    }
  }
  func stop() { state.withLock { $0.isOver = true } }

  func start() { startThread { self.run() } }
  /// Longer than any one job, burst or shutdown of the soak takes on a loaded machine.
  private static let limit = Duration.seconds(45)

  private func run() {
    while true {
      usleep(500_000)
      let state = state.withLock { $0 }
      if state.isOver { return }
      if ContinuousClock.now - state.since < Self.limit { continue }
      say("soak: for \(Self.limit) nothing has moved; it waits for \(state.waitsFor)")
      if let setup = state.setup { say("soak: the pool has up to \(setup.maxWorkers) workers; \(setup.configuration)") }
      say("soak: workers: \(ProcessGauges.workers()); \(Vitals.now())")
      exit(1)
    }
  }
}
