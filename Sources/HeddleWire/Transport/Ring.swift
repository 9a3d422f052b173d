import Synchronization

/// The writing side of a ring of bytes.
///
/// Its memory is mapped twice in a row, so every frame is contiguous.
///
/// What was written becomes visible by `publish`. How much room there is follows from where the reader is, which the owner says:
/// the parent keeps frames until their jobs have ended, later than the worker has read them.
@safe public struct RingWriter: ~Copyable {
  // SAFETY: `ring` is mapped for twice `capacity` as long as the channel lives; only one writer exists.
  @usableFromInline let ring: UnsafeMutableRawPointer
  @usableFromInline let headWord: ChannelMemory.Word
  @usableFromInline let tailWord: ChannelMemory.Word
  /// Its size, a power of two.
  ///
  /// Unit: bytes.
  public let capacity: Int
  /// Bytes ever written, published or not.
  public internal(set) var head: UInt64 = 0
  /// Bytes that the reader has ever taken, as last seen.
  public private(set) var tail: UInt64 = 0

  /// The writing side of the ring that goes out.
  public init(_ memory: ChannelMemory, capacity: Int = RegionLayout.ringByteCount) {
    unsafe ring = memory.outgoing
    unsafe headWord = memory.ownWord(RegionLayout.head)
    unsafe tailWord = memory.otherWord(RegionLayout.tail)
    self.capacity = capacity
  }

  /// Looks where the reader is.
  ///
  /// A full fence: it may follow a store that says "I wait for room".
  ///
  /// - Returns: false where the other side wrote a number that cannot be.
  public mutating func refreshTail() -> Bool {
    let now = unsafe tailWord.pointee.load(ordering: .sequentiallyConsistent)
    // Between what it was and what was written, in arithmetic that wraps.
    guard now &- tail <= head &- tail else { return false }
    tail = now
    return true
  }
  /// Bytes that can be written without reaching `oldest`, the first that must stay.
  public func room(keeping oldest: UInt64) -> Int { capacity - Int(head &- min(oldest, tail)) }

  /// Writes a frame; the caller has made sure of the room.
  ///
  /// Returns where it lies.
  @discardableResult
  public mutating func write(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) -> UInt64 {
    let at = head
    let slot = unsafe ring + Int(at & UInt64(capacity - 1))
    unsafe slot.storeBytes(of: header, as: FrameHeader.self)
    if let source = payload.baseAddress { unsafe (slot + Frame.headerByteCount).copyMemory(from: source, byteCount: payload.count) }
    head &+= UInt64(Frame.byteCount(payload: payload.count))
    return at
  }
  /// Lets the reader see what was written.
  ///
  /// A full fence: a look at whether the reader sleeps may follow.
  public func publish() { unsafe headWord.pointee.store(head, ordering: .sequentiallyConsistent) }
  /// What was published last.
  public var published: UInt64 { unsafe headWord.pointee.load(ordering: .relaxed) }

  /// The payload of a frame that still lies in the ring.
  @unsafe public func payload(at position: UInt64, byteCount: Int) -> UnsafeRawBufferPointer {
    let start = unsafe ring + Int(position & UInt64(capacity - 1)) + Frame.headerByteCount
    return unsafe UnsafeRawBufferPointer(start: start, count: byteCount)
  }
}

/// The reading side of a ring of bytes that another process writes, perhaps at this moment: what is checked was copied before.
@safe public struct RingReader: ~Copyable {
  // SAFETY: `ring` is mapped for twice `capacity` as long as the channel lives; only one reader exists.
  @usableFromInline let ring: UnsafeMutableRawPointer
  @usableFromInline let headWord: ChannelMemory.Word
  @usableFromInline let tailWord: ChannelMemory.Word
  /// Its size, a power of two.
  ///
  /// Unit: bytes.
  public let capacity: Int
  /// Bytes ever taken, published or not.
  public private(set) var tail: UInt64 = 0

  /// The reading side of the ring that comes in.
  public init(_ memory: ChannelMemory, capacity: Int = RegionLayout.ringByteCount) {
    unsafe ring = memory.incoming
    unsafe headWord = memory.otherWord(RegionLayout.head)
    unsafe tailWord = memory.ownWord(RegionLayout.tail)
    self.capacity = capacity
  }

  /// Whether nothing lies there.
  ///
  /// Cheap enough for a spin.
  public var isEmpty: Bool { unsafe headWord.pointee.load(ordering: .acquiring) == tail }
  /// The same, as a full fence: after a store that says "I sleep".
  public var isEmptyForSure: Bool { unsafe headWord.pointee.load(ordering: .sequentiallyConsistent) == tail }
  /// Bytes that lie there; nil: the other side wrote a number that cannot be.
  public var available: Int? {
    let count = unsafe headWord.pointee.load(ordering: .acquiring) &- tail
    return count <= UInt64(capacity) ? Int(count) : nil
  }
  /// Copies the header that lies `offset` bytes on.
  public func header(offset: Int) -> FrameHeader {
    unsafe (ring + Int((tail &+ UInt64(offset)) & UInt64(capacity - 1))).load(as: FrameHeader.self)
  }
  /// Copies bytes that lie `offset` bytes on; the caller has checked the range against `available`.
  public func copy(offset: Int, to target: UnsafeMutableRawBufferPointer) {
    guard let base = target.baseAddress else { return }
    unsafe base.copyMemory(from: ring + Int((tail &+ UInt64(offset)) & UInt64(capacity - 1)), byteCount: target.count)
  }
  /// The bytes in place.
  ///
  /// Only where the writer is trusted: the worker reads its parent's.
  @unsafe public func bytes(offset: Int, count: Int) -> UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: ring + Int((tail &+ UInt64(offset)) & UInt64(capacity - 1)), count: count)
  }
  /// Passes over bytes; `publish` lets the writer see it.
  public mutating func advance(_ count: Int) { tail &+= UInt64(count) }
  /// Lets the writer use what was taken.
  ///
  /// A full fence: a look at whether the writer waits for room may follow.
  public func publish() { unsafe tailWord.pointee.store(tail, ordering: .sequentiallyConsistent) }
}
