import Synchronization

/// How long the thread that searches for work spins before it sleeps.
///
/// About 15 µs, what a wake-up costs; and longer where jobs come one after the other: each that a search finds earns the next searches half a
/// microsecond. A stream of jobs stops for some moments where who submits loses its processor. A thread that sleeps by then is woken, in a
/// virtual machine on the very processor of who submits, where the two of them stay for milliseconds until the kernel moves one; that costs more
/// than what was earned.
struct SearchBudget: ~Copyable, Sendable {
  /// Unit: pauses, of some 25 ns.
  private let earned = Atomic<Int>(0)
  private static var base: Int { 500 }
  private static var perJob: Int { 20 }
  /// 150 µs.
  private static var mostEarned: Int { 6000 }

  /// How many pauses to search this time.
  var limit: Int { Self.base + earned.load(ordering: .relaxed) }
  /// What came of a search that might have taken `limit` pauses; where it took fewer it found something.
  ///
  /// What it took over the usual is spent.
  func searched(_ pauses: Int, of limit: Int) {
    let rest = limit - Self.base - max(0, pauses - Self.base)
    let next = min(pauses < limit ? rest + Self.perJob : rest, Self.mostEarned)
    if next != earned.load(ordering: .relaxed) { earned.store(next, ordering: .relaxed) }
  }
}
