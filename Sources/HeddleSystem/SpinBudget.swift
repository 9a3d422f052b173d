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
  /// How many times in a row it was cheap to give way, up to `trust`.
  private let cheap = Atomic<Int>(0)
  private let gaveWay = Atomic<Bool>(false)
  /// Of so many looks that are shorter than the whole one is the whole; a power of two.
  private static let probeInterval = 32

  /// How long one looks before it gives way to who was woken: a microsecond, or less where that was cheap so many times in a row.
  ///
  /// Unit: pauses.
  private static let patience = 40
  private static let haste = 4
  private static let trust = 8

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
  @inline(__always) package static func pause(after count: Int) { if count == 400 { heddle_yield() } else { heddle_pause() } }
  /// The same for one that may wait for a wake-up.
  ///
  /// - Parameters:
  ///   - wasWoken: who is waited for was woken and does not run yet, or gave its processor back. The kernel likes to wake it on the processor of
  ///     who woke it, so it gets that soon, once.
  ///   - isAwaited: the same, or who is waited for had begun to look and does not get its processor.
  @inline(__always) package func pause(after count: Int, wasWoken: @autoclosure () -> Bool, isAwaited: @autoclosure () -> Bool) {
    if count == Self.haste && isTrusting && wasWoken() || count == Self.patience && isAwaited() {
      giveWay()
    } else {
      Self.pause(after: count)
    }
  }
  /// Whether to give way was cheap each of the last times.
  private var isTrusting: Bool { cheap.load(ordering: .relaxed) >= Self.trust }
  /// A third program that computes there would get the processor too, for a whole time slice; then one is patient for a while, and
  /// who was woken mostly runs by then, on the processor that the kernel took from that program.
  @inline(never) private func giveWay() {
    gaveWay.store(true, ordering: .relaxed)
    let wasQuick = heddle_yield_is_quick()
    let count = cheap.load(ordering: .relaxed)
    if !wasQuick { cheap.store(0, ordering: .relaxed) } else if count < Self.trust { cheap.store(count + 1, ordering: .relaxed) }
  }
  /// Whether somebody who looks has given its processor away since this was asked last; to whoever has it now, and may give it back.
  @inline(__always) package func takeGaveWay() -> Bool {
    guard gaveWay.load(ordering: .relaxed) else { return false }
    gaveWay.store(false, ordering: .relaxed)
    return true
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
