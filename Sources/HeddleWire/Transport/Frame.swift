/// What stands before every payload in a ring: 16 bytes.
@frozen public struct FrameHeader: BitwiseCopyable, Sendable {
  /// Bytes of payload that follow.
  public var byteCount: UInt32
  /// A `RequestKind` or a `ResponseKind`.
  public var kind: UInt8
  /// Of a job: `RequestKind.timed` and `RequestKind.crowded`, or nothing.
  ///
  /// Of a result: `ResponseKind.more`, or nothing.
  public var flags: UInt8
  /// How many descriptors came before this frame, in one message on the socket for them; mostly 0.
  public var attachmentCount: UInt16
  /// Of a job: the low half of its place among all jobs that this worker was sent.
  ///
  /// Otherwise 0.
  public var position: UInt32
  /// Of a request: the number of the job's type.
  ///
  /// Of a result: its `ResultKind`.
  public var type: UInt32

  /// A header for a payload of that size.
  @inlinable public init(kind: UInt8, byteCount: Int, position: UInt64 = 0, type: UInt32 = 0, flags: UInt8 = 0, attachmentCount: Int = 0) {
    self.byteCount = UInt32(truncatingIfNeeded: byteCount)
    self.kind = kind
    self.flags = flags
    self.attachmentCount = UInt16(truncatingIfNeeded: attachmentCount)
    self.position = UInt32(truncatingIfNeeded: position)
    self.type = type
  }
}

/// Frames: a header and a payload, filled up to a multiple of 16 bytes.
public enum Frame {
  /// Bytes of a header.
  @inlinable public static var headerByteCount: Int { 16 }
  /// The largest payload of one frame; what is larger goes as a `begin` and parts.
  ///
  /// An eighth of the ring, so that writing and reading overlap.
  @inlinable public static var payloadLimit: Int { 1 << 17 }
  /// Bytes that a frame takes in a ring.
  @inlinable public static func byteCount(payload: Int) -> Int { (headerByteCount &+ payload &+ 15) & ~15 }
}

/// What a parent says.
public enum RequestKind {
  /// A type that later jobs name by number; the payload says what it is.
  @inlinable public static var define: UInt8 { 1 }
  /// A job whose payload is in this frame.
  @inlinable public static var job: UInt8 { 2 }
  /// A job whose payload follows in `part` frames; this one's payload is a `MessageShape`.
  @inlinable public static var beginJob: UInt8 { 3 }
  /// The next bytes of a large job.
  @inlinable public static var part: UInt8 { 4 }
  /// No more jobs will come: leave.
  @inlinable public static var stop: UInt8 { 5 }
  /// Flag of a job: it has a time limit, so say when it starts.
  @inlinable public static var timed: UInt8 { 1 }
  /// Flag of a job: more workers than there are processors have jobs, so whoever looks for more takes one from another.
  @inlinable public static var crowded: UInt8 { 2 }
}

/// What a worker says.
public enum ResponseKind {
  /// It runs and listens.
  ///
  /// First of all.
  @inlinable public static var hello: UInt8 { 1 }
  /// A result whose payload is in this frame.
  @inlinable public static var result: UInt8 { 2 }
  /// A result whose payload follows in `part` frames; this one's payload is a `MessageShape`.
  @inlinable public static var beginResult: UInt8 { 3 }
  /// The next bytes of a large result.
  @inlinable public static var part: UInt8 { 4 }
  /// Flag of a result: it is one of several, and the job goes on.
  @inlinable public static var more: UInt8 { 1 }
}

/// How many results a worker may send of a job that has several: a word in the parent's half, at a place that the job brings along.
///
/// It names the stream, so that a worker that still holds the place of an earlier one does not take it for its own.
public struct StreamCredit: Sendable, Equatable {
  /// The stream, from 1.
  public var stream: UInt64
  /// So many results are wanted, counted from the first; `closed`: none any more.
  public var limit: UInt64

  /// Nobody wants more results.
  public static var closed: UInt64 { (1 << 44) - 1 }
  /// Streams are counted modulo this.
  public static var streamCount: UInt64 { 1 << 20 }

  /// A credit.
  public init(stream: UInt64, limit: UInt64) {
    self.stream = stream
    self.limit = limit
  }
  /// As it stands in memory.
  public var word: UInt64 { stream << 44 | limit }
}

/// How a job ended, as its worker tells it.
public enum ResultKind {
  /// The payload is the job's output.
  @inlinable public static var value: UInt32 { 1 }
  /// It threw a `Codable` error: the payload is (type name, error).
  @inlinable public static var codableError: UInt32 { 2 }
  /// It threw another error: the payload is (type name, description).
  @inlinable public static var remoteError: UInt32 { 3 }
  /// It could not be decoded, so it did not run: the payload is a sentence.
  @inlinable public static var notDecodable: UInt32 { 4 }
  /// It ran, but its result could not be encoded: the payload is a sentence.
  @inlinable public static var notEncodable: UInt32 { 5 }
  /// It needed more memory than its worker may have: the payload says how much that is.
  @inlinable public static var outOfMemory: UInt32 { 6 }
}

/// The sizes of a message that is sent in parts: its main bytes, then its segments, in order.
public struct MessageShape: Equatable, Sendable {
  /// Bytes of the message itself.
  public var mainByteCount: Int
  /// Bytes of each segment, in order.
  public var segmentByteCounts: [Int]
  /// What the elements of each segment are (`Segment.kind`), or 0 where nobody says.
  public var segmentKinds: [UInt8]

  /// A shape of those sizes.
  public init(mainByteCount: Int, segmentByteCounts: [Int], segmentKinds: [UInt8]? = nil) {
    self.mainByteCount = mainByteCount
    self.segmentByteCounts = segmentByteCounts
    self.segmentKinds = segmentKinds ?? Array(repeating: 0, count: segmentByteCounts.count)
  }
  /// All bytes together.
  public var totalByteCount: Int { segmentByteCounts.reduce(mainByteCount, +) }

  /// As it travels: eight bytes a number, the count of segments second; a segment's kind is the top byte of its number.
  public var encoded: [UInt64] {
    [UInt64(mainByteCount), UInt64(segmentByteCounts.count)]
      + zip(segmentByteCounts, segmentKinds).map { UInt64($0) | UInt64($1) << Self.kindShift }
  }
  private static let kindShift: UInt64 = 56
  /// The most segments that a message can have, so that its shape fits one frame.
  public static let segmentLimit = Frame.payloadLimit / 8 - 2

  /// nil: these bytes are no shape, or one whose sum is more than `limit`.
  public init?(decoding bytes: UnsafeRawBufferPointer, limit: Int) {
    guard bytes.count >= 16, bytes.count % 8 == 0 else { return nil }
    let numbers = (0..<bytes.count / 8).map { unsafe bytes.loadUnaligned(fromByteOffset: 8 * $0, as: UInt64.self) }
    guard numbers[1] == UInt64(numbers.count - 2) else { return nil }
    var left = UInt64(limit)
    let segments = numbers.dropFirst(2).map { (byteCount: $0 & (1 << Self.kindShift - 1), kind: UInt8($0 >> Self.kindShift)) }
    for number in [numbers[0]] + segments.map({ $0.byteCount }) {
      guard number <= left else { return nil }
      left -= number
    }
    guard segments.allSatisfy({ $0.kind == 0 || BlockKind(rawValue: $0.kind) != nil }) else { return nil }
    mainByteCount = Int(numbers[0])
    segmentByteCounts = segments.map { Int($0.byteCount) }
    segmentKinds = segments.map { $0.kind }
  }
}
