import CHeddle
import HeddleSystem
import HeddleWire

/// What a worker is told of a type whose jobs come several at a time: the name behind this.
enum ChunkDefinition {
  private static let mark: UInt8 = 0
  static func make(_ name: String) -> [UInt8] { [mark] + Array(name.utf8) }
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
  /// When results were published last.
  ///
  /// Unit: nanoseconds.
  private var lastPublished: UInt64
  private var untilLook = Self.lookInterval

  /// How long results may lie there unpublished while the chunk goes on.
  ///
  /// Unit: nanoseconds.
  private static let publishInterval: UInt64 = 1_000_000
  /// After so many items it looks at the clock.
  private static let lookInterval = 16

  init(position: UInt64, _ responses: inout ResponseWriter) {
    self.position = position
    lastPublished = begin
    draft = responses.beginDraft(position: position, first: 0)
  }
  mutating func write(_ kind: UInt32, _ encoder: MessageEncoder, attachmentCount: Int, _ responses: inout ResponseWriter) {
    let bytes = unsafe encoder.bytes
    if encoder.hasSegments || attachmentCount > 0 || Records.byteCount(bytes.count) > RecordsDraft.limit / 2 {
      publish(&responses)
      let tag = ItemTag(kind: kind, index: published)
      let segments = encoder.hasSegments ? encoder.segments : []
      unsafe responses.writeResult(
        position: position, kind: tag.type, main: bytes, segments: segments, flags: ResponseKind.more, attachmentCount: attachmentCount)
      responses.ringIfParked()
      published += 1
      draft = responses.beginDraft(position: position, first: published)
      return
    }
    if !draft.fits(bytes.count) { publish(&responses) }
    unsafe responses.append(bytes, kind: kind, to: &draft)
    untilLook -= 1
    if untilLook == 0 { lookAtClock(&responses) }
  }
  /// Long items are seen one by one: who watches the progress, or waits for the first, need not wait for the chunk.
  private mutating func lookAtClock(_ responses: inout ResponseWriter) {
    let now = heddle_monotonic_nanoseconds()
    untilLook = now - lastPublished > Self.publishInterval / 2 ? 1 : Self.lookInterval
    guard now - lastPublished > Self.publishInterval else { return }
    lastPublished = now
    publish(&responses)
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
