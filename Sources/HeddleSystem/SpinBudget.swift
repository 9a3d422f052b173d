import CHeddle
import Synchronization

/// How long one looks for something before it sleeps, by whether looking was worth it.
///
/// Looking as long as a wake-up takes costs at most twice what the better of the two would have, whatever comes. Who looked in vain looks half
/// as long the next time, because what it waits for takes long or its processor is wanted by who brings it; who did not looks twice as long.
/// Now and then one looks for the whole time all the same: what was too late by a little would be so for ever.
package final class SpinBudget: Sendable {
  private let limit: Int
  private let least: Int
  private let budget: Atomic<Int>
  private let short = Atomic<Int>(0)
  /// Of so many looks that are shorter than the whole one is the whole; a power of two.
  private static let probeInterval = 32

  /// How many pauses one looks who would take a processor from those that it waits for: long enough for what comes at once.
  package static let crowded = 60
  /// About 45 µs, what it takes to sleep and to be woken through another thread.
  ///
  /// Unit: pauses, of some 25 ns.
  package static let wakeUp = 1600

  /// - Parameters:
  ///   - limit: how long one looks at most. Unit: pauses.
  ///   - least: how long where it was in vain the last times. Unit: pauses.
  package init(limit: Int = SpinBudget.wakeUp, least: Int = 60) {
    self.limit = limit
    self.least = least
    budget = Atomic(limit)
  }
  /// Waits a moment between two looks, of which this is the one after `count` others.
  ///
  /// Who is waited for may be waiting for this very processor: after ten microseconds it gets it, once. Not again and again: two that
  /// give way to each other stay on one processor, where two that do not are soon moved apart.
  ///
  /// - Parameter isAwaitingWakeUp: who is waited for was woken and does not run yet. The kernel likes to wake it on the processor of who woke it,
  ///   so it gets that after a microsecond, once: a third program that computes there would get it too, for a whole time slice.
  @inline(__always) package static func pause(after count: Int, isAwaitingWakeUp: @autoclosure () -> Bool = false) {
    if count == 400 || count == 40 && isAwaitingWakeUp() { heddle_yield() } else { heddle_pause() }
  }
  /// How long to look this time, where processors idle.
  package func next() -> Int {
    let pauses = budget.load(ordering: .relaxed)
    if pauses >= limit { return limit }
    return short.wrappingAdd(1, ordering: .relaxed).newValue & (Self.probeInterval - 1) == 0 ? limit : pauses
  }
  /// What came of looking for so long.
  package func looked(_ pauses: Int, inVain: Bool) {
    let next = inVain ? max(least, budget.load(ordering: .relaxed) / 2) : min(limit, pauses * 2)
    if next != budget.load(ordering: .relaxed) { budget.store(next, ordering: .relaxed) }
  }
}
