/// A block of a message that is not copied into it.
@safe
public struct Segment: Sendable {
  /// Keeps `bytes` alive and unchanged: the array that they are the elements of.
  public let owner: any Sendable
  /// The elements as they lie in memory.
  // SAFETY: the memory of `owner`; another holder of the array who changes it gets a copy, because `owner` shares the storage.
  /// The bytes; valid as long as the segment.
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
}
