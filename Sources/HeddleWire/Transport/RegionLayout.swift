public import Synchronization

/// Where what lies in the memory that parent and worker share.
///
/// `HeddlePython/Bridge/transport.py` knows the same numbers.
///
/// Four parts in a row: the parent's words, the request ring, the worker's words, the response ring. The first two are written
/// by the parent and mapped read-only in the worker, so a worker that runs wild cannot spoil a job that another may have to run.
public enum RegionLayout {
  /// Both sides must have the same.
  ///
  /// Raised with every change of this file or of `Frame`.
  public static let version: UInt64 = 4
  /// "heddle01", to notice a descriptor that is something else.
  public static let magic: UInt64 = 0x3130_656c_6464_6568
  /// Bytes of either part of words: the largest page size in use, because parts are mapped with different rights.
  public static let wordsByteCount = 1 << 16
  /// Bytes of either ring.
  ///
  /// A burst of 256 jobs of up to 4 KiB fits; larger payloads pass through in pieces.
  public static let ringByteCount = 1 << 20
  /// How many jobs a worker may hold, and how many claim words there are; a power of two.
  @inlinable public static var capacity: Int { 256 }

  /// Where the request ring begins.
  public static let requestOffset = wordsByteCount
  /// Where the worker's words begin.
  public static let workerWordsOffset = requestOffset + ringByteCount
  /// Where the response ring begins.
  public static let responseOffset = workerWordsOffset + wordsByteCount
  /// The size of it all.
  public static let byteCount = responseOffset + ringByteCount

  // Byte offsets in the words of either side; 64 apart, so that no two share a cache line.

  /// Parent: bytes ever written to the request ring.
  ///
  /// Worker: the same of the response ring.
  @inlinable public static var head: Int { 0 }
  /// Parent: bytes ever taken from the response ring.
  ///
  /// Worker: the same of the request ring.
  @inlinable public static var tail: Int { 64 }
  /// Not 0: this side sleeps until a bell rings; every sleep has another number.
  @inlinable public static var parked: Int { 128 }
  /// Not 0: this side sleeps until the ring that it writes has room.
  @inlinable public static var wantsRoom: Int { 192 }
  /// Worker: nanoseconds spent in jobs; eight bytes on, how many jobs that were.
  @inlinable public static var busy: Int { 256 }
  /// Worker: the clock when it last looked at it, in nanoseconds: at the start of a job, or up to 16 short jobs before it.
  ///
  /// For the parent when the worker has died.
  @inlinable public static var clock: Int { 320 }
  /// Worker: how far into the response ring it has written of results that are not published yet, see `RecordsDraft`.
  @inlinable public static var draft: Int { 384 }
  /// Parent: how often it has rung for a worker that sleeps on this word instead of its socket; see `ChannelMemory.ring`.
  @inlinable public static var bell: Int { 448 }
  /// Parent: `magic`, `version`, `ringByteCount`, `capacity`.
  @inlinable public static var identity: Int { 512 }
  /// `capacity` words.
  ///
  /// Worker: claims. Parent: revocations. See `Claims`.
  @inlinable public static var claims: Int { 1024 }
  /// Worker: `capacity` words: when a job that has a time limit began, in nanoseconds of the monotonic clock.
  ///
  /// Written before the claim.
  @inlinable public static var starts: Int { 4096 }
  /// Worker: what it wrote when a signal ended it.
  ///
  /// See `DeathNote`.
  public static let deathNote = 32768
  /// Parent: `creditCapacity` words: how many results a worker may send of a stream, see `StreamCredit`.
  @inlinable public static var credits: Int { 8192 }
  /// How many streams may be open at once in one pool.
  @inlinable public static var creditCapacity: Int { 4096 }
}

// SAFETY: the owner of the mapping keeps it alive; every word is reached by atomic operations only, the rings by `RingWriter` and `RingReader`.
/// One side's view of the shared memory: its own words and ring, and the other's.
@safe public struct ChannelMemory: @unchecked Sendable {
  @usableFromInline let own: UnsafeMutableRawPointer
  @usableFromInline let other: UnsafeMutableRawPointer
  /// The ring that this side writes, mapped twice in a row.
  public let outgoing: UnsafeMutableRawPointer
  /// The ring that the other side writes, mapped twice in a row.
  public let incoming: UnsafeMutableRawPointer

  /// A word that two processes reach, by atomic operations.
  public typealias Word = UnsafeMutablePointer<Atomic<UInt64>>

  /// A view of memory that its owner has mapped.
  @unsafe public init(
    own: UnsafeMutableRawPointer, other: UnsafeMutableRawPointer, outgoing: UnsafeMutableRawPointer, incoming: UnsafeMutableRawPointer
  ) {
    unsafe self.own = own
    unsafe self.other = other
    unsafe self.outgoing = outgoing
    unsafe self.incoming = incoming
  }
  /// A word that this side writes.
  @unsafe @inlinable public func ownWord(_ offset: Int) -> Word { unsafe (own + offset).assumingMemoryBound(to: Atomic<UInt64>.self) }
  /// A word that the other side writes: anything may stand there.
  @unsafe @inlinable public func otherWord(_ offset: Int) -> Word { unsafe (other + offset).assumingMemoryBound(to: Atomic<UInt64>.self) }

  /// Parent: says what this memory is, before the worker starts.
  public func writeIdentity() {
    let values = [RegionLayout.magic, RegionLayout.version, UInt64(RegionLayout.ringByteCount), UInt64(RegionLayout.capacity)]
    for (i, value) in values.enumerated() { unsafe ownWord(RegionLayout.identity + 8 * i).pointee.store(value, ordering: .relaxed) }
  }
  /// Worker: whether the parent speaks the same protocol.
  public var identityMatches: Bool {
    let values = [RegionLayout.magic, RegionLayout.version, UInt64(RegionLayout.ringByteCount), UInt64(RegionLayout.capacity)]
    return values.enumerated().allSatisfy { unsafe otherWord(RegionLayout.identity + 8 * $0).pointee.load(ordering: .relaxed) == $1 }
  }
}
