import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file descriptor with an owner: closed exactly once.
@frozen public struct Descriptor: ~Copyable, Sendable {
  /// What the kernel calls it.
  public let number: Int32

  /// Takes over `number`, which nobody else may close.
  public init(owning number: Int32) { self.number = number }
  deinit { if number >= 0 { close(number) } }

  /// Gives the number away; the caller closes it.
  public consuming func release() -> Int32 {
    let number = self.number
    discard self
    return number
  }
  /// A connected pair of stream sockets.
  public static func socketPair() throws(SystemError) -> Pair {
    var fds: [Int32] = [-1, -1]
    guard unsafe heddle_socket_pair(&fds) == 0 else { throw SystemError("make a socket pair") }
    return Pair(first: Descriptor(owning: fds[0]), second: Descriptor(owning: fds[1]))
  }
  /// A pipe: `first` is read and does not block, `second` is written.
  public static func pipe() throws(SystemError) -> Pair {
    var fds: [Int32] = [-1, -1]
    guard unsafe heddle_pipe(&fds) == 0 else { throw SystemError("make a pipe") }
    return Pair(first: Descriptor(owning: fds[0]), second: Descriptor(owning: fds[1]))
  }
  /// No pipe: two descriptors that nobody polls, with the number -1.
  public static func noPipe() -> Pair { Pair(first: Descriptor(owning: -1), second: Descriptor(owning: -1)) }
  /// A counter one can poll: `wake` makes it readable, `drain` takes that back.
  public static func event() throws(SystemError) -> Descriptor {
    let number = heddle_event_descriptor()
    guard number >= 0 else { throw SystemError("make an event descriptor") }
    return Descriptor(owning: number)
  }
  /// A clock one can poll: see `setTimer`; with the number -1 where this system has none.
  public static func timer() -> Descriptor { Descriptor(owning: heddle_timer_descriptor()) }
  /// For a timer: makes it readable after so long, instead of what was set before; nil: not at all.
  public func setTimer(_ time: Duration?) { heddle_set_timer(number, time.map { UInt64($0.clampedNanoseconds) } ?? 0) }
  /// Two descriptors that belong together.
  @frozen public struct Pair: ~Copyable {
    /// The end that is read, or one of two alike.
    public var first: Descriptor
    /// The end that is written, or the other.
    public var second: Descriptor
  }

  /// For an event descriptor: makes it readable.
  public func wake() {
    var one: UInt64 = 1
    _ = unsafe write(number, &one, 8)
  }
  /// For an event descriptor: makes it unreadable again.
  public func drain() {
    var count: UInt64 = 0
    _ = unsafe read(number, &count, 8)
  }
  /// Reads what lies there, up to `limit` bytes, from a descriptor that does not block.
  public func readAvailable(limit: Int) -> Available {
    let buffer = unsafe [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
      count = max(0, unsafe read(number, buffer.baseAddress!, limit))
      if count == 0 { unsafe buffer.initialize(repeating: 0) }
    }
    if !buffer.isEmpty { return .bytes(buffer) }
    return errno == EAGAIN || errno == EINTR ? .nothingNow : .end
  }
  /// What a read that does not block has found.
  public enum Available {
    case bytes([UInt8])
    /// Nothing lies there now, but the other side is open.
    case nothingNow
    /// The other side is closed.
    case end
  }
}
