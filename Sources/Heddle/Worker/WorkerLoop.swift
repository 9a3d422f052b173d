import CHeddle
import HeddleSystem
import HeddleWire

/// The child side: takes frames, claims and runs jobs, writes results.
///
/// One task on one thread, for the life of the process.
///
/// It may block anywhere: the thread is its own. How it and its parent sleep without missing each other: Processes/README.md.
// SAFETY: only the loop's task touches the fields.
final class WorkerLoop: @unchecked Sendable {
  private let memory: ChannelMemory
  private let socket: Int32
  private let handover = HandoverSocket(Descriptor(owning: WorkerRecipe.handoverNumber))
  @exclusivity(unchecked) private var requests: RingReader
  @exclusivity(unchecked) private var responses: ResponseWriter
  /// By type, and whether its jobs come several at a time.
  @exclusivity(unchecked) private var runners: [(runner: JobRunner, takesChunks: Bool)] = []
  /// Whether what jobs print is told apart by marks.
  private let marksOutput = heddle_marks_output()
  private let encoder = MessageEncoder()
  private let decoder = MessageDecoder.preparing()

  /// Jobs since the last report, in all, and the time they took.
  ///
  /// Unit: jobs, nanoseconds.
  @exclusivity(unchecked) private var jobs: UInt64 = 0
  @exclusivity(unchecked) private var busyTime: UInt64 = 0
  @exclusivity(unchecked) private var busySince: UInt64 = 0
  /// Jobs since it last had nothing to do.
  @exclusivity(unchecked) private var burst = 0
  @exclusivity(unchecked) private var sleepTicket: UInt64 = 0

  /// How long it looks for the next job before it sleeps: about 30 µs, what a wake-up costs.
  ///
  /// Unit: pauses.
  private static let spinLimit = 2000
  /// And where looking was in vain the last times: the parent has nothing to do, or its processor runs something else.
  private static let leastSpin = 100
  /// Between the two: halved where it was in vain, doubled where it was not.
  @exclusivity(unchecked) private var spinBudget = WorkerLoop.spinLimit
  /// The same after a burst, whose end it most likely is: a spin would only take the processor from the parent.
  private static let spinLimitAfterBurst = 30
  private static let burstLimit = 8
  /// After so many pauses without a reader for its results it rings: the parent sleeps.
  private static let patience = 150
  /// How often it reports its cost and looks whether somebody reads, in a burst.
  ///
  /// Unit: nanoseconds.
  private static let reportInterval: UInt64 = 50_000

  init(memory: ChannelMemory, socket: Int32) {
    self.memory = memory
    self.socket = socket
    unsafe requests = RingReader(memory)
    unsafe responses = ResponseWriter(memory, socket: socket)
  }

  func run() async {
    unsafe responses.write(kind: ResponseKind.hello, payload: UnsafeRawBufferPointer(start: nil, count: 0))
    unsafe responses.ringIfParked()
    unsafe busySince = heddle_monotonic_nanoseconds()
    unsafe tellClock(busySince)
    while true {
      if unsafe requests.isEmpty { waitForRequests() }
      let header = unsafe requests.header(offset: 0)
      let count = Int(header.byteCount)
      let payload = unsafe requests.bytes(offset: Frame.headerByteCount, count: count)
      switch header.kind {
      case RequestKind.define:
        let name = unsafe ChunkDefinition.name(in: payload)
        let runner = unsafe JobRunner.make(named: name ?? String(decoding: payload, as: UTF8.self))
        unsafe runners.append((runner, takesChunks: name != nil))
        pass(Frame.byteCount(payload: count))
      case RequestKind.job, RequestKind.beginJob:
        // Also of a job that was taken back, whose message would be the next one's otherwise.
        let attachments = header.attachmentCount == 0 ? [] : receive(Int(header.attachmentCount))
        // Written out here: each asynchronous function costs an allocation of its frame.
        guard unsafe begin(header, payload) else { break }
        let (runner, takesChunks) = unsafe runners[Int(header.type)]
        if takesChunks {
          unsafe await runChunk(header, payload, runner)
          break
        }
        let kind: UInt32
        if header.kind == RequestKind.job {
          kind = unsafe await runner.run(payload, segments: nil, attachments: attachments, decoder: decoder, encoder: encoder)
          pass(Frame.byteCount(payload: count))
        } else {
          let message = unsafe incoming(payload)
          if let main = unsafe message.main() {
            kind = unsafe await runner.run(main, segments: message, attachments: attachments, decoder: decoder, encoder: encoder)
          } else {
            kind = say(JobError.noMemory(.notDecodable, "The job did not run", message.mainByteCount, in: .worker), encoder)
          }
          message.skipRest()
        }
        finish(header.position, kind)
      case RequestKind.part:
        pass(Frame.byteCount(payload: count))  // of a large job that was taken back
      default:
        heddle_exit(0)  // told to stop: with `atexit` handlers, so that buffered output is written
      }
    }
  }
  private func pass(_ byteCount: Int) {
    unsafe requests.advance(byteCount)
    unsafe requests.publish()
    unsafe responses.ringIfRoomIsWanted(unread: requests)
  }

  // MARK: A job

  /// Claims a job; false: it was taken back, and its frame is passed over.
  private func begin(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer) -> Bool {
    let position = fullPosition(header.position)
    if header.flags & RequestKind.timed != 0 { memory.tellStart(position, nanoseconds: heddle_monotonic_nanoseconds()) }
    if Claims.claim(position, in: memory) {
      if marksOutput { heddle_mark_output(position, 0) }
      return true
    }
    pass(Frame.byteCount(payload: payload.count))
    return false
  }
  /// The memory that came with a job.
  private func receive(_ count: Int) -> [Attachment] {
    switch HandoverSocket.receive(count, from: WorkerRecipe.handoverNumber, isTrusted: true) {
    case .memories(let memories): return memories
    case .unusable(let reason): return Array(repeating: UnusableMemory(reason: reason), count: count)
    case .lie: leaveForWantOfSocket()
    }
  }
  /// The parent is trusted, so the fault is here.
  private func leaveForWantOfSocket() -> Never {
    let sentence = "heddle: descriptor \(WorkerRecipe.handoverNumber), through which shared memory comes, was closed or used by a job\n"
    _ = StandardError.writeWithoutBlocking(Array(sentence.utf8))
    heddle_exit_at_once(125)
  }
  /// Runs the items of a map that came together, one after another.
  private func runChunk(_ header: FrameHeader, _ payload: UnsafeRawBufferPointer, _ runner: JobRunner) async {
    var writer = unsafe ChunkWriter(position: UInt64(header.position), &responses)
    var offset = 0
    while let item = unsafe Records.next(in: payload, at: &offset) {
      let kind = unsafe await runner.run(item.bytes, segments: nil, attachments: [], decoder: decoder, encoder: encoder)
      let sent = sendMemories()
      unsafe writer.write(kind, encoder, attachmentCount: sent, &responses)
      dropLargeResult()
    }
    pass(Frame.byteCount(payload: payload.count))
    unsafe writer.finish(&responses)
    unsafe jobs += 1
    unsafe burst += 1
    reportIfDue()
  }
  /// A job that comes in parts, of which `payload` tells the shape.
  private func incoming(_ payload: UnsafeRawBufferPointer) -> IncomingMessage {
    // The parent is trusted.
    let shape = unsafe MessageShape(decoding: payload, limit: .max)!
    pass(Frame.byteCount(payload: payload.count))
    return unsafe IncomingMessage(shape: shape) { [unowned self] in unsafe readParts(into: $0, count: $1) }
  }
  /// Sends what a job left in the encoder.
  private func finish(_ low: UInt32, _ kind: UInt32) {
    unsafe jobs += 1
    unsafe burst += 1
    let segments = encoder.hasSegments ? encoder.segments : []
    let sent = sendMemories()
    unsafe responses.writeResult(
      position: UInt64(low), kind: kind, main: encoder.bytes, segments: segments, attachmentCount: sent)
    // After the result: if nobody reads what is printed, that must not hold it up.
    if marksOutput {
      unsafe responses.ringIfParked()
      heddle_mark_output(unsafe lastPosition, 1)
    }
    dropLargeResult()
    if unsafe burst & 15 == 1 || expectsLongJobs { reportIfDue() }
  }
  /// What a result holds is not kept until the next one.
  private func dropLargeResult() {
    if unsafe encoder.hasSegments || encoder.hasAttachments || encoder.bytes.count > Frame.payloadLimit { encoder.reset() }
  }
  /// Hands the memory that a result holds to the parent, before the frame that it belongs to: how many there are.
  ///
  /// Blocks while the parent is behind.
  private func sendMemories() -> Int {
    if !encoder.hasAttachments { return 0 }
    let memories = encoder.attachments.compactMap { $0 as? SealedMemory }
    var sent = handover.send(memories)
    while sent == .full {
      // It reads messages with results: those that lie there have to be taken first.
      unsafe responses.ringIfParked()
      sent = handover.send(memories, wait: true)
      if sent == .full { heddle_yield() }
    }
    if sent == .closed { leaveForWantOfSocket() }
    return memories.count
  }
  /// The position whose low half a frame holds: jobs come in order, and fewer than 2³¹ are skipped.
  @exclusivity(unchecked) private var lastPosition: UInt64 = 0
  private func fullPosition(_ low: UInt32) -> UInt64 {
    unsafe lastPosition &+= UInt64(low &- UInt32(truncatingIfNeeded: lastPosition))
    return unsafe lastPosition
  }
  /// Takes `size` bytes from the `part` frames that follow, into `target` or, without one, to nowhere.
  ///
  /// Blocks.
  private func readParts(into target: UnsafeMutableRawBufferPointer?, count size: Int) {
    var filled = 0
    while filled < size {
      if unsafe partLeft == 0 {
        if unsafe requests.isEmpty { waitForRequests() }
        unsafe partLeft = unsafe Int(requests.header(offset: 0).byteCount)
        unsafe partSize = unsafe Frame.byteCount(payload: partLeft)
        unsafe partOffset = Frame.headerByteCount
      }
      let count = unsafe min(partLeft, size - filled)
      if let target = unsafe target {
        unsafe requests.copy(offset: partOffset, to: UnsafeMutableRawBufferPointer(rebasing: target[filled..<filled + count]))
      }
      filled += count
      unsafe partOffset += count
      unsafe partLeft -= count
      if unsafe partLeft == 0 { unsafe pass(partSize) }
    }
  }
  @exclusivity(unchecked) private var partLeft = 0
  @exclusivity(unchecked) private var partSize = 0
  @exclusivity(unchecked) private var partOffset = 0

  // MARK: Waiting and reporting

  private func waitForRequests() {
    report(heddle_monotonic_nanoseconds())
    defer {
      unsafe busySince = heddle_monotonic_nanoseconds()
      unsafe tellClock(busySince)
    }
    let isAfterBurst = unsafe burst > Self.burstLimit
    let limit = unsafe isAfterBurst ? Self.spinLimitAfterBurst : spinBudget
    unsafe burst = 0
    for spin in 0..<limit {
      if unsafe !requests.isEmpty {
        if !isAfterBurst { unsafe spinBudget = unsafe min(Self.spinLimit, spinBudget * 2) }
        return
      }
      if spin == Self.patience { unsafe responses.ringIfUnread() }
      heddle_pause()
    }
    if !isAfterBurst { unsafe spinBudget = unsafe max(Self.leastSpin, spinBudget / 2) }
    unsafe responses.ringIfUnread()
    while unsafe requests.isEmpty {
      unsafe sleepTicket += 1
      let parked = unsafe memory.ownWord(RegionLayout.parked)
      unsafe parked.pointee.store(sleepTicket, ordering: .sequentiallyConsistent)
      if unsafe requests.isEmptyForSure && heddle_await_bell(socket) == 0 { heddle_exit_at_once(0) }
      unsafe parked.pointee.store(0, ordering: .relaxed)
    }
  }
  @exclusivity(unchecked) private var cost: UInt64 = 0
  private var expectsLongJobs: Bool { unsafe cost > 10_000 }
  private func reportIfDue() {
    let now = heddle_monotonic_nanoseconds()
    tellClock(now)
    guard unsafe now &- busySince > Self.reportInterval else { return }
    report(now)
    unsafe responses.ringIfNobodyReads()
  }
  /// For the parent, who reads it only when this process has died: the cache line stays here.
  private func tellClock(_ now: UInt64) { unsafe memory.ownWord(RegionLayout.clock).pointee.store(now, ordering: .relaxed) }
  /// Says how long the jobs took since the last report, unless little has happened since: the words lie in a cache line that the
  /// parent reads, and one that moves to it and back with each job costs as much as the job.
  private func report(_ now: UInt64) {
    unsafe busyTime &+= now &- busySince
    unsafe busySince = now
    let count = unsafe jobs &- toldJobs
    guard unsafe count >= Self.reportCount || busyTime &- toldTime > Self.reportInterval, count > 0 else { return }
    unsafe cost = unsafe (busyTime &- toldTime) / count
    unsafe toldTime = unsafe busyTime
    unsafe toldJobs = unsafe jobs
    unsafe memory.ownWord(RegionLayout.busy).pointee.store(busyTime, ordering: .relaxed)
    unsafe memory.ownWord(RegionLayout.busy + 8).pointee.store(jobs, ordering: .releasing)
  }
  /// So many short jobs are told of together.
  ///
  /// Unit: jobs.
  private static let reportCount: UInt64 = 32
  @exclusivity(unchecked) private var toldTime: UInt64 = 0
  @exclusivity(unchecked) private var toldJobs: UInt64 = 0
}

/// A job that comes in parts: its main bytes first, then each segment when the decoder wants it.
///
/// What there is no memory for is not kept.
@safe private final class IncomingMessage: SegmentSource {
  private let shape: MessageShape
  /// Takes the next bytes: so many, into the target or to nowhere.
  private let read: (UnsafeMutableRawBufferPointer?, Int) -> Void
  private var mainBytes: UnsafeMutableRawBufferPointer?
  private var nextSegment = 0
  /// Segments that came before they were wanted.
  private var early: [Int: UnsafeMutableRawBufferPointer] = unsafe [:]

  init(shape: MessageShape, read: @escaping (UnsafeMutableRawBufferPointer?, Int) -> Void) {
    self.shape = shape
    unsafe self.read = unsafe read
  }
  deinit {
    unsafe mainBytes?.deallocate()
    unsafe early.values.forEach { buffer in unsafe buffer.deallocate() }
  }
  var mainByteCount: Int { shape.mainByteCount }
  /// The main bytes, once; nil: there is no memory for them.
  func main() -> UnsafeRawBufferPointer? {
    unsafe mainBytes = unsafe Self.room(shape.mainByteCount)
    unsafe read(mainBytes, shape.mainByteCount)
    return unsafe mainBytes.map { UnsafeRawBufferPointer($0) }
  }
  func byteCount(ofSegment index: Int) -> Int? { shape.segmentByteCounts.indices.contains(index) ? shape.segmentByteCounts[index] : nil }
  func read(segment index: Int, into target: UnsafeMutableRawBufferPointer) throws {
    while nextSegment < index {
      unsafe early[nextSegment] = unsafe Self.room(shape.segmentByteCounts[nextSegment])
      unsafe pass(into: early[nextSegment])
    }
    if index == nextSegment {
      unsafe pass(into: target)
    } else if let buffer = unsafe early[index] {
      unsafe target.copyMemory(from: UnsafeRawBufferPointer(buffer))
    } else {
      throw NoMemory(byteCount: shape.segmentByteCounts[index])
    }
  }
  /// Reads what the decoder did not want, so that the next frame is the next job.
  func skipRest() { while nextSegment < shape.segmentByteCounts.count { unsafe pass(into: nil) } }
  private func pass(into target: UnsafeMutableRawBufferPointer?) {
    unsafe read(target, shape.segmentByteCounts[nextSegment])
    nextSegment += 1
  }
  private static func room(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    guard PrivateMemory.isThere(byteCount) else { return nil }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(byteCount, 1), alignment: 16)
    return unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount])
  }
}
