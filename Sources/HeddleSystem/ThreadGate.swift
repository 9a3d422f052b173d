import Synchronization

/// Opens once; threads sleep until then.
public final class ThreadGate: Sendable {
  private let isOpen = Atomic<Bool>(false)
  private let parker = Parker()

  /// A closed gate.
  public init() {}
  /// Lets everybody through, now and later.
  public func open() {
    isOpen.store(true, ordering: .sequentiallyConsistent)
    parker.unpark()
  }
  /// Blocks.
  ///
  /// false: the deadline came first.
  @discardableResult public func wait(until deadline: MonotonicTime = .distantFuture) -> Bool {
    while true {
      let ticket = parker.ticket
      if isOpen.load(ordering: .sequentiallyConsistent) { return true }
      if MonotonicTime.now >= deadline { return false }
      parker.park(ticket: ticket, until: deadline)
    }
  }
}
