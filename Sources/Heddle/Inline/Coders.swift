import HeddleWire

/// What one job needs to travel, and its output back, without leaving the process.
// SAFETY: used by one job at a time, from its submission to its end.
final class Coders: @unchecked Sendable {
  let job = MessageEncoder()
  let output = MessageEncoder()
  private let decoder = MessageDecoder.preparing()

  /// The value of an encoder's message, as another process would decode it.
  func arrived<Value: Decodable>(_ type: Value.Type, of message: MessageEncoder) throws -> Value {
    let segments = message.hasSegments ? SentSegments(message.segments) : nil
    let attachments = message.hasAttachments ? message.attachments : []
    return unsafe try decoder.decode(type, from: message.bytes, segments: segments, attachments: attachments)
  }
  /// What messages hold is not kept until the next job.
  func reset() {
    job.reset()
    output.reset()
  }
}

/// Segments of a message in this process.
private final class SentSegments: SegmentSource {
  private let segments: [Segment]
  init(_ segments: [Segment]) { self.segments = segments }

  func byteCount(ofSegment index: Int) -> Int? { segments.indices.contains(index) ? unsafe segments[index].bytes.count : nil }
  func read(segment index: Int, into target: UnsafeMutableRawBufferPointer) throws {
    unsafe target.copyMemory(from: segments[index].bytes)
  }
}
