import HeddleSystem
import HeddleWire

/// A job that lies in a worker's ring or runs there.
struct Flight {
  enum Stage {
    /// The worker has it. Next: `ended`, `revoked`.
    case sent
    /// Answered, or ended otherwise. Its place is free once the worker has passed its frame.
    case ended
    /// Taken back before it started. The worker will pass it over.
    case revoked
  }
  var job: QueuedJob
  var stage = Stage.sent
  /// Where its frame lies in the ring, and where it ends; `.max` while parts of it are still to be written.
  var frame: UInt64
  var frameEnd: UInt64
  /// When the parent first saw that it runs, for a job that has a time limit.
  var seenRunning: MonotonicTime?
  /// Its time limit has passed in a worker that runs others too: it has its outcome, but its thread is free only when it returns.
  var isAbandoned = false
}

/// The jobs of one worker, by position: a window of at most `RegionLayout.capacity` over all that it was ever sent.
@safe struct FlightTable: ~Copyable {
  // SAFETY: places `oldest..<next` are initialised, the others are not; only this owner has the pointer.
  private let slots = UnsafeMutablePointer<Flight>.allocate(capacity: RegionLayout.capacity)
  /// The position of the next job.
  private(set) var next: UInt64 = 0
  /// The first position whose place and frame are not free yet.
  private(set) var oldest: UInt64 = 0

  deinit {
    for position in oldest..<next { unsafe slot(position).deinitialize(count: 1) }
    unsafe slots.deallocate()
  }

  var isFull: Bool { next &- oldest == UInt64(RegionLayout.capacity) }
  /// All positions that are not free yet.
  var positions: Range<UInt64> { oldest..<next }

  private func slot(_ position: UInt64) -> UnsafeMutablePointer<Flight> { unsafe slots + Int(position & UInt64(RegionLayout.capacity - 1)) }

  /// The flight at one of `positions`.
  subscript(position: UInt64) -> Flight {
    @inline(__always) unsafeAddress {
      precondition(position &- oldest < next &- oldest)
      return unsafe UnsafePointer(slot(position))
    }
    @inline(__always) unsafeMutableAddress {
      precondition(position &- oldest < next &- oldest)
      return unsafe slot(position)
    }
  }
  mutating func append(_ flight: consuming Flight) {
    unsafe slot(next).initialize(to: flight)
    next &+= 1
  }
  /// Frees what has ended and lies before `tail`, the place that the worker has reached.
  mutating func free(upTo tail: UInt64) {
    while oldest < next {
      if unsafe slot(oldest).pointee.stage == .sent || slot(oldest).pointee.frameEnd > tail { return }
      unsafe slot(oldest).deinitialize(count: 1)
      oldest &+= 1
    }
  }
  /// Ends a flight that has no extras and was not abandoned; nil: it is another.
  ///
  /// Its payload, where it has one of its own, is the caller's to release: that may take long.
  @inline(__always)
  mutating func concludeStandard(_ position: UInt64) -> (future: Unmanaged<AnyFuture>, type: UInt32, payload: OwnedPayload?)? {
    let slot = unsafe slot(position)
    guard unsafe slot.pointee.job.extras == nil && !slot.pointee.isAbandoned else { return nil }
    unsafe slot.pointee.stage = .ended
    return unsafe (slot.pointee.job.future, slot.pointee.job.type, slot.pointee.job.payload.take())
  }
  /// Takes a job that runs out of the window, which it would hold up; its place is free as if it had ended.
  mutating func detach(_ position: UInt64) -> Flight {
    let flight = unsafe slot(position).pointee
    unsafe slot(position).pointee.stage = .ended
    return flight
  }
  /// Where the first frame lies that must stay in the ring; `head` where there is none.
  func firstFrame(or head: UInt64) -> UInt64 { unsafe oldest < next ? slot(oldest).pointee.frame : head }

  /// The position whose low half a worker wrote; nil: no job of it is open there.
  func position(low: UInt32) -> UInt64? {
    let position = oldest &+ UInt64(low &- UInt32(truncatingIfNeeded: oldest))
    guard position < next, unsafe slot(position).pointee.stage == .sent else { return nil }
    return position
  }
}
