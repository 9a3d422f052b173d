import HeddleSystem
import HeddleWire

/// A result as it came: its frame's header, and where its bytes are.
struct RawResult {
  var header: FrameHeader
  /// In the batch's bytes, or whole in `large`.
  var range: Range<Int>
  var large: LargeMessage?
}

/// Results that were copied out of one worker's ring: private memory, so nobody changes it while it is read.
@safe final class ResultBatch {
  /// Bytes and results that one batch takes at most: enough to pay for two locks, little enough to stay in the first cache.
  private static let byteLimit = Frame.payloadLimit + Frame.headerByteCount
  static let countLimit = 64

  let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: byteLimit, alignment: 16)
  @exclusivity(unchecked) private(set) var used = 0
  @exclusivity(unchecked) private(set) var results: [RawResult] = []
  /// The worker greeted.
  @exclusivity(unchecked) var hasGreeting = false
  /// What the worker wrote is not of the protocol: a sentence why.
  @exclusivity(unchecked) var violation: String?
  let decoder = MessageDecoder.preparing()
  /// What came beside results, by their index in `results`; mostly none did.
  @exclusivity(unchecked) private var attachments: [Int: [Attachment]] = [:]
  /// Results whose futures are known, and the pool's receivers, by type.
  @exclusivity(unchecked) var arrivals: [Arrival] = []
  @exclusivity(unchecked) var receivers: [any ResultReceiver] = []

  /// A result, resolved to whom it belongs.
  struct Arrival {
    var future: AnyFuture
    var type: Int
    /// Its index in `results`.
    var result: Int
    /// Which run of the job it was.
    var attempt: Int
  }

  deinit { unsafe bytes.deallocate() }

  /// Whether a result came in parts, so that its memory is its own.
  @exclusivity(unchecked) private(set) var holdsLarge = false

  func clear() {
    unsafe holdsLarge = false
    unsafe used = 0
    // One by one: there is mostly one, and to remove a range is a detour through five functions that are not in the cache after a pause.
    while unsafe !results.isEmpty { unsafe results.removeLast() }
    if unsafe !attachments.isEmpty { unsafe attachments.removeAll() }
    unsafe hasGreeting = false
    unsafe violation = nil
  }
  /// The header of a result.
  @inline(__always) func header(_ index: Int) -> FrameHeader { unsafe results[index].header }
  var isFull: Bool { unsafe results.count >= Self.countLimit }
  /// What a result says, for as long as the batch is not cleared.
  func answer(_ arrival: Arrival) -> WorkerAnswer {
    let result = unsafe results[arrival.result]
    let attachments = unsafe attachments.isEmpty ? [] : attachments[arrival.result] ?? []
    return unsafe WorkerAnswer(
      kind: result.header.type, bytes: bytes(of: result), segments: result.large, attachments: attachments, attempt: arrival.attempt,
      isLast: result.header.flags & ResponseKind.more == 0, missing: result.large?.missing)
  }
  /// Room for a payload; nil: it does not fit this batch any more.
  func claim(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    guard unsafe used + byteCount <= bytes.count else { return nil }
    defer { unsafe used += (byteCount + 15) & ~15 }
    return unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[used..<used + byteCount])
  }
  func append(_ header: FrameHeader, range: Range<Int>) { unsafe results.append(RawResult(header: header, range: range)) }
  /// The next result that is appended comes with these.
  func attach(_ attachments: [Attachment]) {
    unsafe self.attachments[results.count] = attachments
    unsafe holdsLarge = true
  }
  func append(_ large: LargeMessage) {
    if !large.attachments.isEmpty { attach(large.attachments) }
    unsafe results.append(RawResult(header: large.header, range: 0..<0, large: large))
    unsafe holdsLarge = true
  }
  func bytes(of result: RawResult) -> UnsafeRawBufferPointer {
    unsafe result.large?.main ?? UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[result.range])
  }
}

/// A message that came, or is still coming, in parts.
@safe final class LargeMessage: SegmentSource {
  /// The largest result that is accepted: a length is believed up to here.
  ///
  /// Unit: bytes.
  static let byteLimit = 64 << 30

  let header: FrameHeader
  /// What came beside it.
  let attachments: [Attachment]
  private let shape: MessageShape
  /// The main bytes, then the segments: where each goes, and what keeps that.
  private var pieces: [Piece] = []
  /// The piece that comes, and how much of it is there.
  private var piece = 0
  private var filled = 0
  /// There is no memory for so many bytes, which is all of it; what comes goes nowhere.
  ///
  /// Unit: bytes.
  private(set) var missing: Int?
  /// Of those, how many have not come.
  private var unread = 0

  // SAFETY: `bytes` is in this message, or in `array`, which is kept beside it.
  @safe private struct Piece {
    let bytes: UnsafeMutableRawBufferPointer
    /// The array that it is; nil: memory of this message.
    let array: (any Sendable)?
  }
  /// Arrays are made at once for no more than this in one message; the rest is copied into its array at the end.
  ///
  /// An array that gets no memory traps, and a worker may announce what it likes. Unit: bytes.
  private static let landingLimit = 4 << 30

  init(header: FrameHeader, shape: MessageShape, attachments: [Attachment]) {
    self.header = header
    self.attachments = attachments
    self.shape = shape
    // Asked for as the arrays will ask, and given back.
    let lands = shape.totalByteCount <= LargeMessage.landingLimit && PrivateMemory.isThere(shape.totalByteCount)
    let sizes = [(shape.mainByteCount, 0 as UInt8)] + Array(zip(shape.segmentByteCounts, shape.segmentKinds))
    for (byteCount, kind) in sizes {
      if lands && byteCount > 0, let landing = LandingArray(kind: kind, byteCount: byteCount) {
        unsafe PrivateMemory.prepare(landing.bytes)
        unsafe pieces.append(Piece(bytes: landing.bytes, array: landing.owner))
        continue
      }
      // Mapped, so that a length that was a lie costs address space until its bytes come, and nothing is cleared twice.
      guard let memory = unsafe LargeMessage.allocate(max(byteCount, 1)) else {
        freePieces()
        pieces = []
        missing = shape.totalByteCount
        unread = shape.totalByteCount
        return
      }
      unsafe pieces.append(Piece(bytes: UnsafeMutableRawBufferPointer(start: memory.baseAddress, count: byteCount), array: nil))
    }
    passFull()
  }
  deinit { freePieces() }
  private func freePieces() {
    for piece in pieces where piece.array == nil {
      unsafe LargeMessage.free(UnsafeMutableRawBufferPointer(start: piece.bytes.baseAddress, count: max(piece.bytes.count, 1)))
    }
  }

  var isComplete: Bool { piece == pieces.count && unread == 0 }
  /// Passes over the next `count` bytes of one for which there is no memory; false: that is more than was announced.
  func skip(_ count: Int) -> Bool {
    guard count <= unread else { return false }
    unread -= count
    return true
  }
  /// Room for the next `count` bytes; nil: that is more than was announced, or not of one piece.
  func claim(_ count: Int) -> UnsafeMutableRawBufferPointer? {
    guard piece < pieces.count, unsafe count <= pieces[piece].bytes.count - filled else { return nil }
    let room = unsafe UnsafeMutableRawBufferPointer(rebasing: pieces[piece].bytes[filled..<filled + count])
    filled += count
    passFull()
    return unsafe room
  }
  private func passFull() {
    while piece < pieces.count, unsafe filled == pieces[piece].bytes.count {
      piece += 1
      filled = 0
    }
  }
  var main: UnsafeRawBufferPointer {
    unsafe pieces.isEmpty ? UnsafeRawBufferPointer(start: nil, count: 0) : UnsafeRawBufferPointer(pieces[0].bytes)
  }
  func segment(_ index: Int) -> UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(pieces[index + 1].bytes) }
  func byteCount(ofSegment index: Int) -> Int? { shape.segmentByteCounts.indices.contains(index) ? shape.segmentByteCounts[index] : nil }
  func read(segment index: Int, into target: UnsafeMutableRawBufferPointer) throws { unsafe target.copyMemory(from: segment(index)) }
  func landed(segment index: Int) -> (any Sendable)? { pieces[index + 1].array }

  private static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? { unsafe PrivateMemory.allocate(byteCount) }
  private static func free(_ memory: UnsafeMutableRawBufferPointer) { unsafe PrivateMemory.free(memory) }
}

extension MessageDecoder {
  /// A decoder that asks for huge pages for large arrays: most of what new memory costs is a fault for each of its pages.
  static func preparing() -> MessageDecoder {
    let decoder = MessageDecoder()
    unsafe decoder.prepareLargeArray = { unsafe PrivateMemory.prepare($0) }
    return decoder
  }
}

/// Reads one worker's response ring.
///
/// Guarded by the channel's response lock: several threads may want to.
struct ResponseReader: ~Copyable {
  private var ring: RingReader
  private var large: LargeMessage?
  /// The socket that shared memory comes through; the channel has it.
  private let handoverNumber: Int32

  /// A reader.
  ///
  /// - Parameter handover: the socket's number; -1: none, so that shared memory in it is a lie.
  init(_ memory: ChannelMemory, handover: Int32 = -1) {
    ring = RingReader(memory)
    handoverNumber = handover
  }

  /// Copies complete frames into `batch`, which is empty, and frees their place in the ring.
  ///
  /// Returns how many bytes.
  ///
  /// - Parameter end: only what had been published when the worker's `head` was this; nil: all.
  mutating func read(into batch: ResultBatch, until end: UInt64? = nil) -> Int {
    // Frames are multiples of 16: less than one would lie there for ever.
    guard var available = ring.available, available % Frame.headerByteCount == 0 else {
      unsafe batch.violation = "it moved the end of its results to a place that cannot be"
      return 0
    }
    if let end {
      // Another thread may have read further meanwhile, and a worker that says nonsense is found out below.
      let wanted = end &- ring.tail
      if wanted > UInt64(available) { return 0 }
      available = Int(wanted)
    }
    var offset = 0
    while unsafe !batch.isFull && batch.violation == nil && available - offset >= Frame.headerByteCount {
      let header = ring.header(offset: offset)
      let count = Int(header.byteCount)
      guard count <= Frame.payloadLimit else {
        unsafe batch.violation = "it wrote a frame of \(count) bytes; the limit is \(Frame.payloadLimit)"
        break
      }
      let size = Frame.byteCount(payload: count)
      guard available - offset >= size else {
        unsafe batch.violation = "it published half a frame"
        break
      }
      guard take(header, at: offset + Frame.headerByteCount, into: batch) else { break }
      offset += size
    }
    ring.advance(offset)
    if offset > 0 { ring.publish() }
    return offset
  }
  /// Copies what a worker that has gone had written of a frame and not published.
  ///
  /// false: nothing.
  mutating func readDraft(into batch: ResultBatch, _ memory: ChannelMemory) -> Bool {
    guard large == nil, let header = ring.draft(memory), take(header, at: Frame.headerByteCount, into: batch) else { return false }
    return true
  }
  /// false: it does not fit the batch; next time.
  private mutating func take(_ header: FrameHeader, at offset: Int, into batch: ResultBatch) -> Bool {
    let count = Int(header.byteCount)
    switch header.kind {
    case ResponseKind.hello:
      unsafe batch.hasGreeting = true
    case ResponseKind.result where large == nil:
      guard let target = unsafe batch.claim(count) else { return false }
      unsafe ring.copy(offset: offset, to: target)
      let start = unsafe target.baseAddress! - batch.bytes.baseAddress!
      if header.attachmentCount > 0 {
        guard let attachments = receive(header, batch) else { break }
        batch.attach(attachments)
      }
      batch.append(header, range: start..<start + count)
    case ResponseKind.beginResult where large == nil:
      guard let target = unsafe batch.claim(count) else { return false }
      unsafe ring.copy(offset: offset, to: target)
      guard let shape = unsafe MessageShape(decoding: UnsafeRawBufferPointer(target), limit: LargeMessage.byteLimit) else {
        unsafe batch.violation = "it announced a result of impossible size"
        break
      }
      guard let attachments = receive(header, batch) else { break }
      finish(LargeMessage(header: header, shape: shape, attachments: attachments), batch)
    case ResponseKind.part where large?.missing != nil:
      guard let message = large, message.skip(count), count > 0 else {
        unsafe batch.violation = "it sent a part of no result"
        break
      }
      finish(message, batch)
    case ResponseKind.part:
      guard let message = large, let target = unsafe message.claim(count), count > 0 else {
        unsafe batch.violation = "it sent a part of no result"
        break
      }
      unsafe ring.copy(offset: offset, to: target)
      finish(message, batch)
    default:
      unsafe batch.violation = "it wrote a frame of unknown kind \(header.kind)"
    }
    return true
  }
  /// The memory that came with a result; nil: it was not what the worker said, and `violation` says so.
  private func receive(_ header: FrameHeader, _ batch: ResultBatch) -> [Attachment]? {
    let count = Int(header.attachmentCount)
    if count == 0 { return [] }
    switch HandoverSocket.receive(count, from: handoverNumber, isTrusted: false) {
    case .memories(let memories): return memories
    case .unusable(let reason): return Array(repeating: UnusableMemory(reason: reason), count: count)
    case .lie(let sentence):
      unsafe batch.violation = sentence
      return nil
    }
  }
  private mutating func finish(_ message: LargeMessage, _ batch: ResultBatch) {
    large = message.isComplete ? nil : message
    if message.isComplete { batch.append(message) }
  }
}
