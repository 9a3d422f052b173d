import CHeddle
import HeddleSystem
import HeddleWire
import Synchronization

/// One worker process as its parent sees it: the process, the shared memory, the jobs in it.
///
/// The fields are in three rooms: what never changes; what the pool's core lock guards (`request` to `doom`); what only the
/// supervisor's thread touches (the last). The response ring has a lock of its own.
// SAFETY: see the rooms above; `shared` and `mappings` keep `memory` mapped as long as this object lives.
final class WorkerChannel: @unchecked Sendable {
  let place: PoolState.Place
  /// Whether it runs several jobs at once.
  let runsSeveral: Bool
  private let wakesByWord: Bool
  let process: ChildProcess
  /// What stands in the environment of all that its jobs start: that may be in a process group of its own.
  let family = "HEDDLE_FAMILY_\(heddle_worker_depth())=\(Processes.uniqueWord)"
  /// Doorbell and lifeline: when this end is closed, the worker ends.
  let socket: Descriptor
  /// Carries shared memory both ways.
  ///
  /// Sent to under the core lock, read under the response lock, where `response` has its number.
  let handover: HandoverSocket
  /// Never written; closed with this object.
  private let lifeline: Descriptor
  /// The worker's standard error.
  let standardError: Descriptor
  /// Its standard output, where that is for the pool; otherwise -1.
  let standardOutput: Descriptor
  let memory: ChannelMemory
  private let mappings: Mappings
  let response: Locked<ResponseReader>

  // Guarded by the core lock.
  @exclusivity(unchecked) var request: RingWriter
  @exclusivity(unchecked) var flights = FlightTable()
  /// Of a worker that runs several jobs at once: those that have run long and would hold up the window.
  ///
  /// Each has an owned payload.
  @exclusivity(unchecked) var detached: [UInt64: Flight] = [:]
  /// Since when it has run nothing that is still wanted although something waits in it.
  @exclusivity(unchecked) var stuckSince: MonotonicTime?
  /// How many type definitions it has been sent.
  @exclusivity(unchecked) var definedTypes: UInt32 = 0
  /// The position of a large job that is being written; nil: none.
  @exclusivity(unchecked) var outboundPosition: UInt64?
  @exclusivity(unchecked) var bell = Bell()
  /// Why it is being stopped, and the one job that this is about.
  @exclusivity(unchecked) var doom: Doom?
  /// Its process has ended and is being buried.
  @exclusivity(unchecked) var isGone = false
  /// What it had reported when its cost was last reckoned.
  @exclusivity(unchecked) var toldTime: UInt64 = 0
  @exclusivity(unchecked) var toldJobs: UInt64 = 0
  /// The position of the initializer or the finalizer, while the worker has it.
  @exclusivity(unchecked) var taskPosition: UInt64?
  /// The next report of its cost holds the time of its initializer.
  @exclusivity(unchecked) var forgetsCost = false
  /// What the jobs that it has are called, for a handler of what they print.
  @exclusivity(unchecked) var jobNames: [UInt64: OutputRouter.JobName] = [:]
  /// Since when the supervisor has seen it without a job, and how many it had ended then.
  @exclusivity(unchecked) var idleSince: MonotonicTime?
  @exclusivity(unchecked) var endedWhenIdle = 0
  /// It runs and listens; it may still be at its initializer.
  @exclusivity(unchecked) var hasGreeted = false
  /// A time limit may have to be watched.
  @exclusivity(unchecked) var timedFlights = 0
  /// How many jobs it holds, for those who look without the lock.
  let held = Atomic<Int>(0)

  /// When its memory was last looked at after a job.
  ///
  /// Unit: nanoseconds.
  let lastMeasured = Atomic<UInt64>(0)

  /// A large job that is being written.
  ///
  /// While it is there only the thread that holds `isStreaming` writes the ring, and only it touches this.
  @exclusivity(unchecked) var outbound: OutboundMessage?
  let hasOutbound = Atomic<Bool>(false)
  let isStreaming = Atomic<Bool>(false)
  /// It wrote nonsense: nothing more of it is read, and it is being killed.
  let isBroken = Atomic<Bool>(false)
  /// The thread that drains answers a worker that sleeps for room.
  private let roomAnswered = Atomic<UInt64>(0)

  // The supervisor's own.
  var standardErrorTail = OutputTail()
  /// The worker has closed its standard error: it would poll readable for ever.
  var hasClosedStandardError = false
  var hasClosedStandardOutput = false
  /// What it printed, for a handler.
  var desk: OutputRouter.Desk
  /// Since when its end of the socket is closed; the process should be gone soon after.
  var closedSince: MonotonicTime?
  /// When it was started.
  let startTime = MonotonicTime.now
  /// When it is looked at next whether it takes what it is sent, and the job that it had not taken at the last look.
  var nextAnswerCheck = MonotonicTime.now
  var untakenPosition: UInt64?

  struct Doom {
    var code: JobError.Code
    var message: String
    var position: UInt64?
    /// When the soft signal was sent; SIGKILL follows.
    var since: MonotonicTime
    var isKilled = false
    /// What it was seen to hold, where it is stopped for that.
    ///
    /// Unit: bytes.
    var memory: Int?
  }
  private struct Mappings: ~Copyable {
    let shared: SharedMemory
    let parentWords: SharedMemory.Mapping
    let workerWords: SharedMemory.Mapping
    let requests: SharedMemory.Mapping
    let responses: SharedMemory.Mapping
  }

  /// Makes the shared memory and starts the process.
  ///
  /// Blocks for about half a millisecond.
  init(place: PoolState.Place, recipe: WorkerRecipe) throws(SystemError) {
    self.place = place
    runsSeveral = recipe.width > 1
    wakesByWord = recipe.wakesByWord
    let shared = try SharedMemory(byteCount: RegionLayout.byteCount)
    let parentWords = try shared.map(offset: 0, byteCount: RegionLayout.wordsByteCount, writable: true)
    // What the worker writes is mapped read-only here, as what we write is there.
    let workerWords = try shared.map(offset: RegionLayout.workerWordsOffset, byteCount: RegionLayout.wordsByteCount, writable: false)
    let requests = try shared.mapTwice(offset: RegionLayout.requestOffset, byteCount: RegionLayout.ringByteCount, writable: true)
    let responses = try shared.mapTwice(offset: RegionLayout.responseOffset, byteCount: RegionLayout.ringByteCount, writable: false)
    memory = unsafe ChannelMemory(
      own: parentWords.address, other: workerWords.address, outgoing: requests.address, incoming: responses.address)
    memory.writeIdentity()
    unsafe request = RingWriter(memory)
    let sockets = try Descriptor.socketPair()
    let errors = try Descriptor.pipe()
    let lifeline = try Descriptor.pipe()
    let handovers = try HandoverSocket.pair()
    desk = OutputRouter.Desk(secret: recipe.outputSecret)
    let outputs = recipe.standardOutput == .taken ? try Descriptor.pipe() : Descriptor.noPipe()
    let outputNumber: Int32 =
      switch recipe.standardOutput {
      case .inherited: 1
      case .standardError: errors.second.number
      case .taken: outputs.second.number
      case .discarded: -1
      }
    process = try ChildProcess(
      path: recipe.path, arguments: recipe.arguments, environment: recipe.environment + [family],
      descriptors: [
        -1, outputNumber, errors.second.number, sockets.second.number,
        shared.file.number, recipe.hasLifelinePipe ? lifeline.first.number : -1,
        recipe.program.map { $0.memory.file.number } ?? -1, handovers.second.number,
      ])
    self.lifeline = lifeline.second
    socket = sockets.first
    handover = HandoverSocket(handovers.first)
    response = Locked(ResponseReader(memory, handover: handover.descriptor.number))
    standardError = errors.first
    standardOutput = outputs.first
    mappings = Mappings(shared: shared, parentWords: parentWords, workerWords: workerWords, requests: requests, responses: responses)
    // A forked child must not keep alive what lies in the handover socket either.
    for number in lifelines { heddle_add_lifeline(number) }
  }
  deinit { for number in lifelines { heddle_remove_lifeline(number) } }
  private var lifelines: [Int32] { [socket.number, lifeline.number, handover.descriptor.number] }

  /// Wakes the worker if it sleeps.
  func ring() {
    if wakesByWord { memory.ring() } else { heddle_ring_bell(socket.number) }
  }
  /// Whether the worker says that it sleeps, which it does until it runs again.
  var sleeps: Bool { unsafe memory.otherWord(RegionLayout.parked).pointee.load(ordering: .relaxed) != 0 }

  // MARK: The response ring, without a lock

  /// Whether results lie there that may be read.
  var hasResponses: Bool {
    unsafe memory.otherWord(RegionLayout.head).pointee.load(ordering: .acquiring)
      != memory.ownWord(RegionLayout.tail).pointee.load(ordering: .relaxed)
      && !isBroken.load(ordering: .relaxed)
  }
  /// The same, as a full fence: after the supervisor has said that it sleeps.
  var hasResponsesForSure: Bool {
    unsafe memory.otherWord(RegionLayout.head).pointee.load(ordering: .sequentiallyConsistent)
      != memory.ownWord(RegionLayout.tail).pointee.load(ordering: .relaxed) && !isBroken.load(ordering: .relaxed)
  }
  /// Bytes of results that lie there, as the worker says.
  var responseByteCount: UInt64 {
    unsafe memory.otherWord(RegionLayout.head).pointee.load(ordering: .acquiring)
      &- memory.ownWord(RegionLayout.tail).pointee.load(ordering: .relaxed)
  }
  /// The end of its results, as the worker says.
  var publishedResponses: UInt64 { unsafe memory.otherWord(RegionLayout.head).pointee.load(ordering: .acquiring) }
  /// Rings for a worker that waits for room, once.
  func ringIfRoomIsWanted() {
    let sleep = unsafe memory.otherWord(RegionLayout.wantsRoom).pointee.load(ordering: .sequentiallyConsistent)
    if sleep != 0, roomAnswered.exchange(sleep, ordering: .relaxed) != sleep { ring() }
  }
  /// Says whether the supervisor sleeps: `ticket`, or 0.
  func setParked(_ ticket: UInt64) { unsafe memory.ownWord(RegionLayout.parked).pointee.store(ticket, ordering: .sequentiallyConsistent) }
  /// Says whether the supervisor sleeps for want of room in the request ring.
  func setWantsRoom(_ ticket: UInt64) {
    unsafe memory.ownWord(RegionLayout.wantsRoom).pointee.store(ticket, ordering: .sequentiallyConsistent)
  }
  /// Takes the bells that lie in the socket.
  ///
  /// false: the worker has closed it.
  func drainBells() -> Bool { heddle_drain_bells(socket.number) != 0 }

  // MARK: Under the core lock

  /// Lets the worker see what was written.
  ///
  /// Whether it has to be rung for.
  func publish() -> Bool {
    unsafe request.publish()
    return unsafe bell.shouldRing(sleep: memory.otherWord(RegionLayout.parked).pointee.load(ordering: .sequentiallyConsistent))
  }
  /// Room for a frame, looking anew at where the worker is only when it is short.
  ///
  /// nil: the worker wrote nonsense.
  func room(for byteCount: Int) -> Bool? {
    let first = unsafe flights.firstFrame(or: request.head)
    if unsafe !flights.isFull && request.room(keeping: first) >= byteCount { return true }
    guard unsafe request.refreshTail() else { return nil }
    unsafe flights.free(upTo: request.tail)
    if unsafe !flights.isFull && request.room(keeping: flights.firstFrame(or: request.head)) >= byteCount { return true }
    guard runsSeveral, detachRunning() else { return false }
    return unsafe !flights.isFull && request.room(keeping: flights.firstFrame(or: request.head)) >= byteCount
  }
  /// Takes jobs that run out of the window of a worker that runs several at once: one of them may outlast hundreds of others.
  ///
  /// Whether anything became free.
  private func detachRunning() -> Bool {
    // What the worker has passed it has also read: it copies a payload before that when it runs several.
    for position in unsafe flights.positions where unsafe flights[position].stage == .sent {
      guard unsafe flights[position].frameEnd <= request.tail, Claims.isClaimed(position, in: memory) else { continue }
      var flight = unsafe flights.detach(position)
      if flight.job.payload == nil {
        flight.job.payload = unsafe OwnedPayload(copying: request.payload(at: flight.frame, byteCount: Int(flight.job.byteCount)))
      }
      flight.seenRunning = min(MonotonicTime(nanoseconds: memory.start(of: position)), .now)
      unsafe detached[position] = flight
    }
    unsafe flights.free(upTo: request.tail)
    return true
  }
  /// The position whose low half the worker wrote; nil: no job of it is open there.
  func openPosition(low: UInt32) -> UInt64? {
    if let position = unsafe flights.position(low: low) { return position }
    return unsafe detached.isEmpty ? nil : detached.keys.first { UInt32(truncatingIfNeeded: $0) == low }
  }
  /// The job at a position, wherever it is kept.
  func flight(_ position: UInt64) -> Flight {
    // Hardly ever is one kept apart, and even an empty dictionary hashes its key.
    unsafe detached.isEmpty ? flights[position] : detached[position] ?? flights[position]
  }
  /// Changes it.
  func update(_ position: UInt64, _ change: (inout Flight) -> Void) {
    if unsafe detached[position] != nil { unsafe change(&detached[position]!) } else { unsafe change(&flights[position]) }
  }
  /// A job has ended, or was taken back.
  ///
  /// Its payload, where it has one of its own, is the caller's to release.
  @discardableResult func conclude(_ position: UInt64, _ stage: Flight.Stage) -> OwnedPayload? {
    if let flight = unsafe detached.isEmpty ? nil : detached.removeValue(forKey: position) { return flight.job.payload }
    unsafe flights[position].stage = stage
    return unsafe flights[position].job.payload.take()
  }
  /// Ends the flight of a job like most, with standard options and in its place in the window; nil: it is another, and nothing was done.
  ///
  /// The same as `openPosition`, `flight` and `conclude`, without a copy of the flight.
  @inline(__always)
  func concludeStandard(low: UInt32) -> (future: Unmanaged<AnyFuture>, type: UInt32, payload: OwnedPayload?)? {
    guard unsafe detached.isEmpty, let position = unsafe flights.position(low: low) else { return nil }
    return unsafe flights.concludeStandard(position)
  }
  /// The jobs that it was sent and that have not ended.
  var openPositions: [UInt64] {
    unsafe detached.keys.sorted() + flights.positions.filter { unsafe flights[$0].stage == .sent }
  }
  /// Whether it says that it has started this job.
  func isStarted(_ position: UInt64) -> Bool { unsafe detached[position] != nil || Claims.isClaimed(position, in: memory) }
  /// When it says that it started it.
  func start(of position: UInt64) -> MonotonicTime {
    unsafe detached[position]?.seenRunning ?? MonotonicTime(nanoseconds: memory.start(of: position))
  }
  /// When it says that it last looked at the clock; nil: never.
  var lastClock: MonotonicTime? {
    let told = unsafe memory.otherWord(RegionLayout.clock).pointee.load(ordering: .relaxed)
    return told == 0 ? nil : MonotonicTime(nanoseconds: told)
  }

  /// What the worker reported since the last call: nanoseconds and jobs.
  ///
  /// nil: nothing new.
  func takeCost() -> (nanoseconds: Double, count: Double)? {
    let jobs = unsafe memory.otherWord(RegionLayout.busy + 8).pointee.load(ordering: .acquiring)
    guard unsafe jobs != toldJobs else { return nil }
    let time = unsafe memory.otherWord(RegionLayout.busy).pointee.load(ordering: .relaxed)
    defer {
      unsafe toldJobs = jobs
      unsafe toldTime = time
    }
    if unsafe forgetsCost {
      unsafe forgetsCost = false
      return nil
    }
    // Anything may stand there: a negative difference is a large one, and is cut.
    return unsafe (min(Double(time &- toldTime), 1e12), max(1, Double(jobs &- toldJobs)))
  }
}

/// A large job on its way into a ring, piece by piece.
struct OutboundMessage {
  let payload: OwnedPayload
  private var piece = -1
  private var offset = 0

  init(payload: OwnedPayload) { self.payload = payload }
  /// The bytes that come next, at most `limit`; nil: all are written.
  mutating func next(limit: Int) -> UnsafeRawBufferPointer? {
    while piece < payload.segments.count {
      let bytes = unsafe piece < 0 ? payload.bytes : payload.segments[piece].bytes
      if offset < bytes.count {
        let end = min(bytes.count, offset + limit)
        defer { offset = end }
        return unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<end])
      }
      piece += 1
      offset = 0
    }
    return nil
  }
}

/// The last bytes of an output.
struct OutputTail {
  private static let limit = 4096
  private var bytes: [UInt8] = []
  /// What is kept does not begin where the output began.
  private var isCut = false

  mutating func append(_ more: [UInt8]) {
    isCut = isCut || bytes.count + more.count > Self.limit
    bytes += more.suffix(Self.limit)
    if bytes.count > 2 * Self.limit { bytes.removeFirst(bytes.count - Self.limit) }
  }
  /// As text, from the first whole line where something was cut.
  var text: String {
    var last = bytes.suffix(Self.limit)
    if isCut, let newline = last.firstIndex(of: UInt8(ascii: "\n")) { last = last[(newline + 1)...] }
    while last.last == UInt8(ascii: "\n") { last.removeLast() }
    return String(decoding: last, as: UTF8.self)
  }
}
