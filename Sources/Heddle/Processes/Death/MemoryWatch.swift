import HeddleSystem

/// Tells whether a worker that was killed was killed by the kernel for want of memory: its counts have grown since the last look.
final class MemoryWatch: Sendable {
  private let seen = Locked(OutOfMemoryKills.count())

  /// Whether the kernel killed somebody since this was last asked, or since the beginning.
  ///
  /// Reads files, for some tens of microseconds. Not under a lock.
  func hasKilled() -> Bool {
    let now = OutOfMemoryKills.count()
    return seen.withLock { seen in
      defer { seen = now }
      return now.hasGrown(since: seen)
    }
  }
}
