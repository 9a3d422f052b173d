#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Waits for several descriptors at once.
public struct Poller {
  private var entries: [pollfd] = []
  private var ticket: UInt64 = 0

  /// One that waits for nothing yet.
  public init() {}
  /// Forgets all descriptors.
  public mutating func clear() { entries.removeAll(keepingCapacity: true) }
  /// Adds a descriptor to read from; -1 is passed over.
  public mutating func add(_ number: Int32) { entries.append(pollfd(fd: number, events: Int16(POLLIN), revents: 0)) }
  /// Another number for each sleep, never 0.
  public mutating func nextTicket() -> UInt64 {
    ticket += 1
    return ticket
  }
  /// Waits until one is ready, or the deadline.
  ///
  /// Blocks.
  public mutating func poll(until deadline: MonotonicTime) {
    var milliseconds: Int32 = -1
    if deadline != .distantFuture {
      // Rounded up, so that a deadline is not met by spinning through its last millisecond.
      milliseconds = Int32(clamping: ((deadline - .now).clampedNanoseconds + 999_999) / 1_000_000)
    }
    let count = unsafe poll_(&entries, nfds_t(entries.count), milliseconds)
    if count <= 0 { for index in entries.indices { entries[index].revents = 0 } }
  }
  /// Whether the descriptor added as number `index` is ready, closed or broken.
  public func isReady(_ index: Int) -> Bool { entries[index].revents != 0 }
}

private func poll_(_ entries: UnsafeMutablePointer<pollfd>, _ count: nfds_t, _ milliseconds: Int32) -> Int32 {
  unsafe poll(entries, count, milliseconds)
}

/// This process's standard error.
public enum StandardError {
  /// Writes as much as fits without waiting.
  ///
  /// On a thread that takes no signals: where nobody reads any more the kernel sends SIGPIPE.
  ///
  /// Returns how many bytes; all of them where it is closed, or nobody reads.
  public static func writeWithoutBlocking(_ bytes: [UInt8]) -> Int {
    var written = 0
    while written < bytes.count {
      var entry = pollfd(fd: 2, events: Int16(POLLOUT), revents: 0)
      guard unsafe poll(&entry, 1, 0) > 0 else { break }
      // What is writable takes at least PIPE_BUF bytes at once.
      let count = unsafe bytes.withUnsafeBytes { unsafe write(2, $0.baseAddress! + written, min(4096, bytes.count - written)) }
      if count < 0 { return errno == EINTR || errno == EAGAIN ? written : bytes.count }
      written += count
    }
    return written
  }
}
