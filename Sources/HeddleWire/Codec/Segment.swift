/// A block of a message that is not copied into it.
@safe
public struct Segment: Sendable {
  /// Keeps `bytes` alive and unchanged: the array that they are the elements of.
  public let owner: any Sendable
  /// What the elements are: a `BlockKind`, for whoever gives the bytes a place of that type.
  public let kind: UInt8
  // SAFETY: the memory of `owner`; another holder of the array who changes it gets a copy, because `owner` shares the storage.
  /// The elements as they lie in memory; valid as long as the segment.
  public nonisolated(unsafe) let bytes: UnsafeRawBufferPointer
}

/// Where a decoder gets the segments of a message.
public protocol SegmentSource: AnyObject {
  /// Size of a segment, nil where the message has none of that number. Unit: bytes.
  ///
  /// The decoder compares it with what the message says before it allocates anything, so it has to come from what was received.
  func byteCount(ofSegment index: Int) -> Int?

  /// Copies the whole segment.
  ///
  /// The decoder asks for a segment once a message at most, in any order.
  /// - Parameter destination: As large as the segment.
  func read(segment index: Int, into destination: UnsafeMutableRawBufferPointer) throws

  /// The segment as an array, where it came into one (`LandingArray.owner`); otherwise nil, and it is read.
  func landed(segment index: Int) -> (any Sendable)?
}

extension SegmentSource {
  /// Nothing has landed.
  public func landed(segment index: Int) -> (any Sendable)? { nil }
}
