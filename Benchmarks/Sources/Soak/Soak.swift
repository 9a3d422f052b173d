import Glibc
import Heddle

// Soak [SECONDS] [SEED]: everything at once on one process pool after another, while another thread kills their workers.
//
// Ends with 1 as soon as a job is lost, runs twice without leave, has a wrong result or an error that it cannot have, or where at the end the
// process holds more than at the beginning. Prints a line every ten seconds and a summary.
@main
struct Soak {
  static func main() async throws {
    let arguments = CommandLine.arguments.dropFirst().compactMap { UInt64($0) }
    let seconds = arguments.first ?? 60
    let seed = arguments.count > 1 ? arguments[1] : .random(in: 0...UInt64.max)
    say("soak: \(seconds) s, seed \(seed)")
    var random = Seeded(seed)
    let killer = Killer(seed: seed &+ 1)
    killer.start()
    let watchdog = Watchdog()
    watchdog.start()
    let clock = ContinuousClock()
    let begin = clock.now
    let end = begin + .seconds(Int64(seconds))
    var tally = Tally()
    var vitals: [Vitals] = []
    var lastLine = begin
    while clock.now < end {
      let load = Load(seed: random.next(), killer: killer, watchdog: watchdog)
      // Between two pools nothing of one may be left.
      tally.add(try await load.run(for: .milliseconds(Int.random(in: 500...4000, using: &random))))
      vitals.append(try await Vitals.settled())
      if clock.now - lastLine > .seconds(10) {
        lastLine = clock.now
        say("soak: \((clock.now - begin) / .seconds(1)) s, \(tally), \(killer.count) kills, \(vitals.last!)")
      }
    }
    killer.stop()
    watchdog.stop()
    say("soak: the end after \((clock.now - begin) / .seconds(1)) s: \(vitals.count) pools, \(tally), \(killer.count) kills")
    let (first, last) = try Vitals.compare(vitals)
    say("soak: held first: \(first)")
    say("soak: held last:  \(last)")
    guard tally.blamed <= killer.count else { throw Violation("\(tally.blamed) jobs were blamed for \(killer.count) kills") }
    say("soak: nothing lost, nothing twice, nothing left")
  }
}

/// What must not be.
struct Violation: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}
func say(_ line: String) {
  print(line)
  fflush(nil)
}
/// Runs `body` on a thread of its own, which nobody waits for.
func startThread(_ body: @escaping @Sendable () -> Void) {
  final class Box: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var thread = pthread_t()
  pthread_create(
    &thread, nil,
    { context in
      Unmanaged<Box>.fromOpaque(context!).takeRetainedValue().body()
      return nil
    }, Unmanaged.passRetained(Box(body)).toOpaque())
  pthread_detach(thread)
}
/// Repeatable random numbers: SplitMix64.
struct Seeded: RandomNumberGenerator {
  private var state: UInt64
  init(_ seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
