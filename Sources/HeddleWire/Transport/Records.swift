/// Results of a map that travel together: each a length, a number that says what it is, and its bytes, filled up to a multiple of eight.
public enum Records {
  /// Bytes before each item's own.
  @inlinable public static var headByteCount: Int { 8 }
  /// Bytes that an item takes.
  @inlinable public static func byteCount(_ count: Int) -> Int { (headByteCount &+ count &+ 7) & ~7 }

  /// Writes an item, for which there are `byteCount` bytes at `slot`.
  @inlinable public static func write(_ bytes: UnsafeRawBufferPointer, kind: UInt32, at slot: UnsafeMutableRawPointer) {
    unsafe slot.storeBytes(of: UInt32(truncatingIfNeeded: bytes.count), as: UInt32.self)
    unsafe slot.storeBytes(of: kind, toByteOffset: 4, as: UInt32.self)
    if let base = bytes.baseAddress { unsafe (slot + headByteCount).copyMemory(from: base, byteCount: bytes.count) }
  }
  /// The item that begins at `offset`, which moves behind it; nil: these bytes are none, whoever wrote them.
  @inlinable public static func next(
    in bytes: UnsafeRawBufferPointer, at offset: inout Int
  ) -> (kind: UInt32, bytes: UnsafeRawBufferPointer)? {
    guard bytes.count - offset >= headByteCount else { return nil }
    let count = unsafe Int(bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
    let kind = unsafe bytes.loadUnaligned(fromByteOffset: offset + 4, as: UInt32.self)
    let start = offset + headByteCount
    guard count <= bytes.count - start else { return nil }
    offset = min(bytes.count, offset + byteCount(count))
    return unsafe (kind, UnsafeRawBufferPointer(rebasing: bytes[start..<start + count]))
  }
}

/// What stands before the records of a chunk's results.
@frozen public struct RecordsHead: BitwiseCopyable, Sendable {
  /// The place of the first of them in its chunk.
  public var first: UInt32
  /// 0.
  public var reserved: UInt32 = 0
  /// In the last frame: how long the items ran together.
  public var nanoseconds: UInt64 = 0

  /// A head without a time.
  @inlinable public init(first: Int) { self.first = UInt32(truncatingIfNeeded: first) }
  /// Its bytes.
  @inlinable public static var byteCount: Int { 16 }
  /// nil: too short.
  @inlinable public init?(_ bytes: UnsafeRawBufferPointer) {
    guard bytes.count >= Self.byteCount else { return nil }
    self = unsafe bytes.loadUnaligned(as: RecordsHead.self)
  }
}

/// A frame of results that grows in the ring, before it is published.
///
/// After each item the worker says how far it has come (`RegionLayout.draft`). If it dies then, the parent reads what is whole in it: no
/// item that had ended is lost, or run twice.
public struct RecordsDraft: Sendable {
  /// Bytes of the records, the head included.
  public private(set) var byteCount = RecordsHead.byteCount
  /// How many items.
  public private(set) var count = 0
  private let header: FrameHeader
  private let head: RecordsHead

  /// The most bytes that a draft holds.
  public static let limit = 1 << 15

  /// Begins a frame; the caller has made sure that `limit` bytes and a header have room.
  public init(position: UInt64, first: Int, in ring: borrowing RingWriter) {
    header = FrameHeader(kind: ResponseKind.result, byteCount: 0, position: position, type: ResultKind.value, flags: ResponseKind.more)
    head = RecordsHead(first: first)
    unsafe ring.slot.storeBytes(of: header, as: FrameHeader.self)
    unsafe ring.slot.storeBytes(of: head, toByteOffset: Frame.headerByteCount, as: RecordsHead.self)
  }
  /// Whether an item of that size fits.
  public func fits(_ count: Int) -> Bool { byteCount + Records.byteCount(count) <= Self.limit }
  /// Adds an item, which fits.
  public mutating func append(_ bytes: UnsafeRawBufferPointer, kind: UInt32, in ring: borrowing RingWriter, _ memory: ChannelMemory) {
    let slot = unsafe ring.slot + Frame.headerByteCount + byteCount
    unsafe Records.write(bytes, kind: kind, at: slot)
    byteCount += Records.byteCount(bytes.count)
    count += 1
    unsafe memory.ownWord(RegionLayout.draft).pointee.store(
      ring.head &+ UInt64(Frame.headerByteCount + byteCount), ordering: .releasing)
  }
  /// Makes it a frame of the ring, which is then to be published.
  ///
  /// - Parameter nanoseconds: how long the chunk took, where this is its last frame.
  public func finish(in ring: inout RingWriter, nanoseconds: UInt64? = nil) {
    var header = self.header
    header.byteCount = UInt32(byteCount)
    if let nanoseconds {
      header.flags = 0
      var head = self.head
      head.nanoseconds = nanoseconds
      unsafe ring.slot.storeBytes(of: head, toByteOffset: Frame.headerByteCount, as: RecordsHead.self)
    }
    unsafe ring.slot.storeBytes(of: header, as: FrameHeader.self)
    ring.skip(Frame.byteCount(payload: byteCount))
  }
}

extension RingWriter {
  /// Where the next frame begins.
  // SAFETY: the ring is mapped twice in a row, so `capacity` bytes follow; whoever writes there has made sure of the room.
  @unsafe var slot: UnsafeMutableRawPointer { unsafe ring + Int(head & UInt64(capacity - 1)) }
  /// Passes over a frame that was written in place.
  mutating func skip(_ byteCount: Int) { head &+= UInt64(byteCount) }
}

extension RingReader {
  /// What a worker that has died had written of a frame, after all its frames were read; nil: nothing, or nonsense.
  ///
  /// The header says its size, and that more would have come.
  public func draft(_ memory: ChannelMemory) -> FrameHeader? {
    guard available == 0 else { return nil }
    let end = unsafe memory.otherWord(RegionLayout.draft).pointee.load(ordering: .acquiring)
    let least = UInt64(Frame.headerByteCount + RecordsHead.byteCount)
    guard end > tail, end - tail >= least, end - tail <= UInt64(Frame.headerByteCount + RecordsDraft.limit) else { return nil }
    var header = header(offset: 0)
    guard header.kind == ResponseKind.result else { return nil }
    // Its last frame may have been whole already: that its worker came to the end of the chunk does not count any more.
    header.flags = ResponseKind.more
    header.byteCount = UInt32(end - tail) - UInt32(Frame.headerByteCount)
    return header
  }
}
