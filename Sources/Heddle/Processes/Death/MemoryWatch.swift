import HeddleSystem

/// Tells whether a worker that was killed was killed by the kernel for want of memory: its counts have grown since the last look.
final class MemoryWatch: Sendable {
  /// nil: nobody has looked yet.
  private let seen = Locked<OutOfMemoryKills?>(nil)

  /// Remembers what the counts are before the first worker can have been killed; later calls do nothing.
  ///
  /// Reads files, for some tens of microseconds. Not under a lock.
  func begin() {
    if seen.withLock({ $0 == nil }) { _ = hasKilled() }
  }
  /// Whether the kernel killed somebody since this was last asked, or since `begin`.
  ///
  /// Reads files, for some tens of microseconds. Not under a lock.
  func hasKilled() -> Bool {
    let now = OutOfMemoryKills.count()
    return seen.withLock { seen in
      defer { seen = now }
      return seen.map(now.hasGrown) ?? false
    }
  }
}
