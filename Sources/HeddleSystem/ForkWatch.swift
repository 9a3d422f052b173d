public import CHeddle

/// Tells whether the caller runs in the process where this was made, or in one that was forked from it.
///
/// A forked child has a copy of all memory and none of the threads: what waits for a thread there waits for ever.
@frozen public struct ForkWatch: Sendable {
  @usableFromInline let count: UInt32

  /// One that was made here.
  public init() {
    heddle_watch_forks()
    count = heddle_fork_count()
  }
  /// Whether this process is a forked child of the one where this was made.
  @inlinable @inline(__always) public var hasForked: Bool { heddle_fork_count() != count }
}
