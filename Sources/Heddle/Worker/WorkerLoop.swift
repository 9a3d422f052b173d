import CHeddle
import HeddleSystem
import HeddleWire

/// The child side: takes frames, claims jobs, writes results.
///
/// One task on one thread, for the life of the process. The jobs themselves are run by their type, which stays in charge as long as jobs of it
/// come: each asynchronous function between this loop and a job would cost a switch of executors and a frame.
///
/// It may block anywhere: the thread is its own. How it and its parent sleep without missing each other: Processes/README.md.
// SAFETY: only the loop's task touches the fields.
@safe final class WorkerLoop: @unchecked Sendable {
  private let memory: ChannelMemory
  private let handover = HandoverSocket(Descriptor(owning: WorkerRecipe.handoverNumber))
  @exclusivity(unchecked) private var requests: RingReader
  @exclusivity(unchecked) private var responses: ResponseWriter
  /// By type, and whether its jobs come several at a time.
  @exclusivity(unchecked) private var runners: [(runner: JobRunner, takesChunks: Bool)] = []
  /// Whether what jobs print is told apart by marks.
  private let marksOutput = heddle_marks_output()
  let encoder = MessageEncoder()
  let decoder = MessageDecoder.preparing()

  /// The job that was claimed last: its frame, the place of its type in `runners`, and what came beside it.
  @exclusivity(unchecked) private var header = FrameHeader(kind: 0, byteCount: 0)
  @exclusivity(unchecked) private(set) var payload = unsafe UnsafeRawBufferPointer(start: nil, count: 0)
  @exclusivity(unchecked) private(set) var type = 0
  @exclusivity(unchecked) private(set) var attachments: [Attachment] = []

  /// Jobs since the last report, in all, and the time they took.
  ///
  /// Unit: jobs, nanoseconds.
  @exclusivity(unchecked) private var jobs: UInt64 = 0
  @exclusivity(unchecked) private var busyTime: UInt64 = 0
  @exclusivity(unchecked) private var busySince: UInt64 = 0
  /// Jobs since it last had nothing to do.
  @exclusivity(unchecked) private var burst = 0
  @exclusivity(unchecked) private var sleepTicket: UInt64 = 0
  /// It has slept since it ran a job last.
  @exclusivity(unchecked) private var hasSlept = false

  /// How long it looks for the next job before it sleeps.
  private let spinBudget = SpinBudget(limit: 2000, least: 100)
  /// The same after a burst: this may be its end, where a spin would only take the processor from the parent, or a gap in it.
  ///
  /// A worker that sleeps in each gap has to be rung for in each, which takes ten times as long beside a program that computes.
  private let burstBudget = SpinBudget(limit: 1200, least: 60)
  /// The same where more workers have jobs than there are processors.
  private static let spinLimitInCrowd = 30
  private static let burstLimit = 8
  /// After so many pauses without a reader for its results it rings: the parent sleeps.
  private static let patience = 150
  /// How often it reports its cost, in a burst.
  ///
  /// Unit: nanoseconds.
  private static let reportInterval: UInt64 = 50_000
  /// How often it looks whether somebody reads, in a burst: a third of the work that it is sent in advance.
  ///
  /// To wake the parent takes its processor for as long as a short job. Unit: nanoseconds.
  private static let ringInterval: UInt64 = 500_000

  init(memory: ChannelMemory, socket: Int32) {
    self.memory = memory
    unsafe requests = RingReader(memory)
    unsafe responses = ResponseWriter(memory, socket: socket)
  }

  func run() async {
    unsafe responses.write(kind: ResponseKind.hello, payload: UnsafeRawBufferPointer(start: nil, count: 0))
    unsafe responses.ringIfParked()
    unsafe busySince = heddle_monotonic_nanoseconds()
    unsafe tellClock(busySince)
    claimNext()
    let feed = _JobFeed(self)
    while true {
      feed.begin()
      unsafe await runners[type].runner.serve(feed)
    }
  }
  /// Takes frames until there is a job that is this worker's.
  ///
  /// Blocks.
  func claimNext() {
    while true {
      if unsafe requests.isEmpty { waitForRequests() }
      unsafe header = requests.header(offset: 0)
      let count = unsafe Int(header.byteCount)
      unsafe payload = requests.bytes(offset: Frame.headerByteCount, count: count)
      switch unsafe header.kind {
      case RequestKind.define:
        let name = unsafe ChunkDefinition.name(in: payload)
        let runner = unsafe JobRunner.make(named: name ?? String(decoding: payload, as: UTF8.self), takesChunks: name != nil)
        unsafe runners.append((runner, takesChunks: name != nil))
        pass(Frame.byteCount(payload: count))
      case RequestKind.job, RequestKind.beginJob:
        // Also of a job that was taken back, whose message would be the next one's otherwise.
        if unsafe header.attachmentCount != 0 { unsafe attachments = unsafe receive(Int(header.attachmentCount)) }
        guard begin() else { break }
        unsafe type = unsafe Int(header.type)
        return
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

  /// Claims the job; false: it was taken back, and its frame is passed over.
  private func begin() -> Bool {
    let position = unsafe fullPosition(header.position)
    if unsafe header.flags & RequestKind.timed != 0 { memory.tellStart(position, nanoseconds: heddle_monotonic_nanoseconds()) }
    if Claims.claim(position, in: memory) {
      if marksOutput { heddle_mark_output(position, 0) }
      return true
    }
    dropAttachments()
    passJob()
    return false
  }
  private func passJob() { unsafe pass(Frame.byteCount(payload: payload.count)) }
  private func dropAttachments() {
    if unsafe !attachments.isEmpty { unsafe attachments = [] }
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
  /// Whether the job is items of a map that came together.
  var isChunk: Bool { unsafe runners[type].takesChunks }
  /// Whether its message is longer than a frame: see `incoming`.
  var isInParts: Bool { unsafe header.kind == RequestKind.beginJob }

  /// The message of a job that comes in parts.
  func incoming() -> IncomingMessage {
    // The parent is trusted.
    let shape = unsafe MessageShape(decoding: payload, limit: .max)!
    passJob()
    return unsafe IncomingMessage(shape: shape) { [unowned self] in unsafe readParts(into: $0, count: $1) }
  }
  /// Sends what a job left in the encoder.
  func finish(_ kind: UInt32) {
    if !isInParts { passJob() }
    dropAttachments()
    unsafe jobs += 1
    unsafe burst += 1
    let segments = encoder.hasSegments ? encoder.segments : []
    let sent = sendMemories()
    unsafe responses.writeResult(
      position: UInt64(header.position), kind: kind, main: encoder.bytes, segments: segments, attachmentCount: sent)
    if unsafe hasSlept && requests.isEmpty { giveWay() }
    // After the result: if nobody reads what is printed, that must not hold it up.
    if marksOutput {
      unsafe responses.ringIfParked()
      heddle_mark_output(unsafe lastPosition, 1)
    }
    dropLargeResult()
    if unsafe burst & 15 == 1 || expectsLongJobs { reportIfDue() }
  }

  func beginChunk() -> ChunkWriter { unsafe ChunkWriter(position: UInt64(header.position), &responses) }
  /// Sends what an item left in the encoder.
  func finish(_ kind: UInt32, to writer: inout ChunkWriter) {
    if let bytes = unsafe encoder.plainBytes, unsafe writer.append(bytes, kind, &responses) { return }
    let sent = sendMemories()
    unsafe writer.writeLarge(kind, encoder, attachmentCount: sent, &responses)
    dropLargeResult()
  }
  func finish(_ writer: consuming ChunkWriter) {
    passJob()
    unsafe writer.finish(&responses)
    unsafe jobs += 1
    unsafe burst += 1
    // What comes in chunks is sent in advance by their number, not by their time.
    reportIfDue(ringInterval: Self.reportInterval)
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
    // Whoever sends a job waits for it: the clock is looked at before it comes, which counts it as begun up to a microsecond too early.
    var now = heddle_monotonic_nanoseconds()
    report(now)
    defer {
      unsafe busySince = now
      tellClock(now)
    }
    let isAfterBurst = unsafe burst > Self.burstLimit
    let isCrowded = unsafe header.flags & RequestKind.crowded != 0
    let budget = isCrowded ? nil : isAfterBurst ? burstBudget : spinBudget
    let limit = budget?.next() ?? (isAfterBurst ? Self.spinLimitInCrowd : SpinBudget.crowded)
    unsafe burst = 0
    if unsafe hasSlept { giveWay() }
    for spin in 0..<limit {
      if unsafe !requests.isEmpty {
        budget?.looked(limit, inVain: false)
        return
      }
      if spin & 31 == 31 { now = heddle_monotonic_nanoseconds() }
      if spin == Self.patience { unsafe responses.ringIfUnread() }
      SpinBudget.pause(after: spin)
    }
    budget?.looked(limit, inVain: true)
    unsafe responses.ringIfUnread()
    unsafe hasSlept = true
    while unsafe requests.isEmpty {
      let bells = memory.bellCount
      unsafe sleepTicket += 1
      let parked = unsafe memory.ownWord(RegionLayout.parked)
      unsafe parked.pointee.store(sleepTicket, ordering: .sequentiallyConsistent)
      if unsafe requests.isEmptyForSure { unsafe responses.awaitBell(after: bells) }
      unsafe parked.pointee.store(0, ordering: .relaxed)
    }
    now = heddle_monotonic_nanoseconds()
  }
  /// The kernel likes to wake a process on the processor of who woke it, who would wait for its result until this one sleeps again.
  private func giveWay() {
    unsafe hasSlept = false
    heddle_yield()
  }
  @exclusivity(unchecked) private var cost: UInt64 = 0
  private var expectsLongJobs: Bool { unsafe cost > 10_000 }
  private func reportIfDue(ringInterval: UInt64 = ringInterval) {
    let now = heddle_monotonic_nanoseconds()
    tellClock(now)
    guard unsafe now &- busySince > Self.reportInterval else { return }
    report(now)
    guard unsafe now &- lookedAt > ringInterval else { return }
    unsafe lookedAt = now
    unsafe responses.ringIfNobodyReads()
  }
  /// When it looked last whether somebody reads.
  @exclusivity(unchecked) private var lookedAt: UInt64 = 0
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
