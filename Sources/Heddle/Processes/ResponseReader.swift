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
  let decoder = MessageDecoder()
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
    unsafe results.removeAll(keepingCapacity: true)
    unsafe hasGreeting = false
    unsafe violation = nil
  }
  /// The header of a result.
  @inline(__always) func header(_ index: Int) -> FrameHeader { unsafe results[index].header }
  var isFull: Bool { unsafe results.count >= Self.countLimit }
  /// What a result says, for as long as the batch is not cleared.
  func answer(_ arrival: Arrival) -> WorkerAnswer {
    let result = unsafe results[arrival.result]
    return unsafe WorkerAnswer(
      kind: result.header.type, bytes: bytes(of: result), segments: result.large, attempt: arrival.attempt,
      isLast: result.header.flags & ResponseKind.more == 0)
  }
  /// Room for a payload; nil: it does not fit this batch any more.
  func claim(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    guard unsafe used + byteCount <= bytes.count else { return nil }
    defer { unsafe used += (byteCount + 15) & ~15 }
    return unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[used..<used + byteCount])
  }
  func append(_ header: FrameHeader, range: Range<Int>) { unsafe results.append(RawResult(header: header, range: range)) }
  func append(_ large: LargeMessage) {
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
  private let memory: UnsafeMutableRawBufferPointer
  private let shape: MessageShape
  private var filled = 0

  /// nil: there is not so much memory.
  init?(header: FrameHeader, shape: MessageShape) {
    // Mapped, so that a length that was a lie costs address space until its bytes come, and nothing is cleared twice.
    guard let memory = unsafe LargeMessage.allocate(max(shape.totalByteCount, 1)) else { return nil }
    self.header = header
    self.shape = shape
    unsafe self.memory = unsafe memory
  }
  deinit { unsafe LargeMessage.free(memory) }

  var isComplete: Bool { filled == shape.totalByteCount }
  /// Room for the next `count` bytes; nil: that is more than was announced.
  func claim(_ count: Int) -> UnsafeMutableRawBufferPointer? {
    guard count <= shape.totalByteCount - filled else { return nil }
    defer { filled += count }
    return unsafe UnsafeMutableRawBufferPointer(rebasing: memory[filled..<filled + count])
  }
  var main: UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[..<shape.mainByteCount]) }
  func segment(_ index: Int) -> UnsafeRawBufferPointer {
    let start = shape.segmentByteCounts[..<index].reduce(shape.mainByteCount, +)
    return unsafe UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(memory)[start..<start + shape.segmentByteCounts[index]])
  }
  func byteCount(ofSegment index: Int) -> Int? { shape.segmentByteCounts.indices.contains(index) ? shape.segmentByteCounts[index] : nil }
  func read(segment index: Int, into target: UnsafeMutableRawBufferPointer) throws { unsafe target.copyMemory(from: segment(index)) }

  private static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? { unsafe PrivateMemory.allocate(byteCount) }
  private static func free(_ memory: UnsafeMutableRawBufferPointer) { unsafe PrivateMemory.free(memory) }
}

/// Reads one worker's response ring.
///
/// Guarded by the channel's response lock: several threads may want to.
struct ResponseReader: ~Copyable {
  private var ring: RingReader
  private var large: LargeMessage?
  /// Batches that were read.
  ///
  /// Compared with those that were dealt with: a worker is buried after its last result.
  private(set) var batchCount = 0

  init(_ memory: ChannelMemory) { ring = RingReader(memory) }

  /// Copies complete frames into `batch`, which is empty, and frees their place in the ring.
  ///
  /// Returns how many bytes.
  mutating func read(into batch: ResultBatch) -> Int {
    // Frames are multiples of 16: less than one would lie there for ever.
    guard let available = ring.available, available % Frame.headerByteCount == 0 else {
      unsafe batch.violation = "it moved the end of its results to a place that cannot be"
      batchCount += 1
      return 0
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
    if unsafe offset > 0 || batch.violation != nil { batchCount += 1 }
    if offset > 0 { ring.publish() }
    return offset
  }
  /// Copies what a worker that has gone had written of a frame and not published.
  ///
  /// false: nothing.
  mutating func readDraft(into batch: ResultBatch, _ memory: ChannelMemory) -> Bool {
    guard large == nil, let header = ring.draft(memory), take(header, at: Frame.headerByteCount, into: batch) else { return false }
    batchCount += 1
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
      batch.append(header, range: start..<start + count)
    case ResponseKind.beginResult where large == nil:
      guard let target = unsafe batch.claim(count) else { return false }
      unsafe ring.copy(offset: offset, to: target)
      guard let shape = unsafe MessageShape(decoding: UnsafeRawBufferPointer(target), limit: LargeMessage.byteLimit) else {
        unsafe batch.violation = "it announced a result of impossible size"
        break
      }
      guard let message = LargeMessage(header: header, shape: shape) else {
        unsafe batch.violation = "it announced a result of \(shape.totalByteCount) bytes, for which there is no memory here"
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
  private mutating func finish(_ message: LargeMessage, _ batch: ResultBatch) {
    large = message.isComplete ? nil : message
    if message.isComplete { batch.append(message) }
  }
}
