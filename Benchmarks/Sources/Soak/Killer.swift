import Gauges
import Glibc
import Synchronization

/// A thread that kills worker processes of this one at random, some of them after it has suspended them for a while.
final class Killer: Sendable {
  private struct State {
    var random: Seeded
    var kills = 0
    var victims: Set<Int32> = []
    var isOver = false
  }
  private let state: Mutex<State>
  init(seed: UInt64) { state = Mutex(State(random: Seeded(seed))) }

  /// Workers that were killed so far.
  var count: Int { state.withLock { $0.kills } }
  /// Whether that process was killed by this.
  func hasKilled(_ pid: Int32) -> Bool { state.withLock { $0.victims.contains(pid) } }
  func stop() { state.withLock { $0.isOver = true } }

  func start() { startThread { self.run() } }
  /// So many are wanted a second; a machine that starts workers more slowly has fewer.
  ///
  /// Unit: kills a second.
  private static let rate = 22.0

  private func run() {
    let clock = ContinuousClock()
    let begin = clock.now
    while true {
      let (pause, choice, suspends, kills, isOver) = state.withLock { state in
        (
          Int.random(in: 1000...45_000, using: &state.random), Int.random(in: 0..<1000, using: &state.random),
          Int.random(in: 0..<20, using: &state.random) == 0, state.kills, state.isOver
        )
      }
      if isOver { return }
      // Between two pools, or where a pool idles, there is nobody to kill: behind its rate it looks again soon.
      let isBehind = Double(kills) < (clock.now - begin) / .seconds(1) * Self.rate
      usleep(UInt32(isBehind ? pause / 8 : pause))
      let workers = ProcessGauges.workers()
      guard !workers.isEmpty else { continue }
      // On a loaded machine a start can take longer than the pauses here: were none spared, none would ever be there. Those that have been
      // there for a while have jobs.
      let old = workers.filter { Vitals.age(of: $0) >= Self.youth }
      if old.isEmpty && choice / 4 % 4 > 0 { continue }
      let candidates = old.isEmpty ? workers : old
      let victim = candidates[choice % candidates.count]
      if suspends {
        kill(victim, SIGSTOP)
        usleep(10_000)
      }
      // Noted first, so that nobody can see the death and not the killer.
      let isNew = state.withLock { $0.victims.insert(victim).inserted }
      if kill(victim, SIGKILL) == 0, isNew { state.withLock { $0.kills += 1 } }
    }
  }
  /// Younger workers are mostly spared.
  ///
  /// Unit: seconds; a worker takes some milliseconds to start where the machine is quiet.
  private static let youth = 0.03
}
