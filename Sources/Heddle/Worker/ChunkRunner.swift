import CHeddle
import HeddleSystem
import HeddleWire

/// What a worker is told of a type whose jobs come several at a time: the name behind this.
enum ChunkDefinition {
  private static let mark: UInt8 = 0
  static func make(_ name: [UInt8]) -> [UInt8] { [mark] + name }
  /// The name of the type of the items; nil: an ordinary definition.
  static func name(in definition: UnsafeRawBufferPointer) -> String? {
    unsafe definition.first == mark ? String(decoding: definition.dropFirst(), as: UTF8.self) : nil
  }
}

/// Writes the results of a chunk, each where the parent finds it as soon as it is whole.
///
/// The results lie in the response ring before they are published, in one frame that grows: see `RecordsDraft`.
struct ChunkWriter: ~Copyable {
  private let position: UInt64
  private var draft: RecordsDraft
  /// Items whose results were published.
  private var published = 0
  private let begin = heddle_monotonic_nanoseconds()

  init(position: UInt64, _ responses: inout ResponseWriter) {
    self.position = position
    draft = responses.beginDraft(position: position, first: 0)
  }
  /// Writes a small result behind the others; false: it is large, and nothing was done.
  @inline(__always)
  mutating func append(_ bytes: UnsafeRawBufferPointer, _ kind: UInt32, _ responses: inout ResponseWriter) -> Bool {
    guard Records.byteCount(bytes.count) <= RecordsDraft.limit / 2 else { return false }
    if !draft.fits(bytes.count) { publish(&responses) }
    unsafe responses.append(bytes, kind: kind, to: &draft)
    return true
  }
  /// Writes a result in frames of its own.
  mutating func writeLarge(_ kind: UInt32, _ encoder: MessageEncoder, attachmentCount: Int, _ responses: inout ResponseWriter) {
    publish(&responses)
    let tag = ItemTag(kind: kind, index: published)
    let segments = encoder.hasSegments ? encoder.segments : []
    unsafe responses.writeResult(
      position: position, kind: tag.type, main: encoder.bytes, segments: segments, flags: ResponseKind.more,
      attachmentCount: attachmentCount)
    responses.ringIfParked()
    published += 1
    draft = responses.beginDraft(position: position, first: published)
  }
  private mutating func publish(_ responses: inout ResponseWriter) {
    guard draft.count > 0 else { return }
    published += draft.count
    responses.finish(draft)
    responses.ringIfParked()
    draft = responses.beginDraft(position: position, first: published)
  }
  consuming func finish(_ responses: inout ResponseWriter) {
    responses.finish(draft, nanoseconds: heddle_monotonic_nanoseconds() - begin)
  }
}

/// The type of a frame that holds one large result of a chunk.
struct ItemTag {
  private static let flag: UInt32 = 1 << 31
  var kind: UInt32
  var index: Int

  init(kind: UInt32, index: Int) {
    self.kind = kind
    self.index = index
  }
  /// nil: the frame holds records.
  init?(_ type: UInt32) {
    guard type & Self.flag != 0 else { return nil }
    kind = type & 0xff
    index = Int((type & ~Self.flag) >> 8)
  }
  var type: UInt32 { Self.flag | UInt32(truncatingIfNeeded: index) << 8 | kind & 0xff }
}
