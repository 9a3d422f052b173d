import CHeddle
import HeddleSystem
import HeddleWire

// From the queue into the workers' rings. All under the core lock, except `stream`.
extension ProcessPool {
  /// Carries out what the state decides, until it decides nothing more.
  func dispatch(_ core: inout Core, _ bells: inout Bells) {
    while true {
      switch core.state.next() {
      case .nothing:
        // Who sleeps past the next tick would not look at a job that lies behind a long one, nor at an answer nobody rang for.
        if core.sleepsUntil != nil && !core.wakesForTick && core.state.needsTicks { nudge(&core, &bells) }
        if !core.trash.isEmpty {
          bells.trash += core.trash
          core.trash = []
        }
        return
      case .start(let place):
        core.startRequests.append(place)
        nudge(&core, &bells)
      case .send(let place, let count):
        send(to: core.channels[place]!, count, &core, &bells)
      case .retire(let place):
        core.retiring.append(core.channels[place]!)
        nudge(&core, &bells)
      }
    }
  }
  /// Wakes the supervisor, once for each of its sleeps.
  func nudge(_ core: inout Core, _ bells: inout Bells) {
    guard core.sleepsUntil != nil else { return }
    core.sleepsUntil = nil
    bells.supervisor = true
  }

  /// Lets the supervisor look at the workers: at once where it has to measure them, else after a while.
  ///
  /// Most jobs have ended by then, and to wake it now would take a processor from the worker that is to wake. To set the timer costs several
  /// microseconds too, so the first job after a pause only leaves it owed: until another is sent, or somebody expects the job's end.
  private func watchSoon(_ core: inout Core, _ bells: inout Bells) {
    guard limits.memoryLimit == nil else { return nudge(&core, &bells) }
    if owesTimer.load(ordering: .relaxed) { payTimer(&core, &bells) } else { owesTimer.store(true, ordering: .relaxed) }
  }
  /// Sets the timer if it is owed.
  func payTimer(_ core: inout Core, _ bells: inout Bells) {
    guard owesTimer.load(ordering: .relaxed) else { return }
    owesTimer.store(false, ordering: .relaxed)
    guard wakeUp.hasTimer else { return nudge(&core, &bells) }
    core.sleepsUnwatched = false
    core.hasTimer = true
    bells.timer = true
  }
  /// The same, where somebody expects the end of a job; asked often, and mostly for nothing.
  package func expect(_ future: AnyFuture) {
    guard owesTimer.load(ordering: .relaxed), !forks.hasForked else { return }
    var bells = Bells()
    core.withLock { payTimer(&$0, &bells) }
    bells.ring(self)
  }
  /// Over before anybody would call the pool idle.
  static var watchDelay: Duration { .milliseconds(5) }

  /// Writes up to `limit` waiting jobs into a ring.
  private func send(to channel: WorkerChannel, _ limit: Int, _ core: inout Core, _ bells: inout Bells) {
    // Only the thread that streams writes that ring now.
    if unsafe channel.outboundPosition != nil { return core.state.jobsSent(to: channel.place, count: 0, isBlocked: true) }
    var sent = 0
    var isBlocked = false
    let held = core.state.workers[channel.place].held
    let isCrowded = core.state.busyCount + (held == 0 ? 1 : 0) > processors.load(ordering: .relaxed)
    while sent < limit && !isBlocked && !core.queue.isEmpty {
      var dropped: Unmanaged<AnyFuture>?
      var droppedPayload: OwnedPayload?
      var limit: Duration?
      var isUndefined = false
      unsafe core.queue.withNext { job, bytes in
        let future = unsafe job.future._withUnsafeGuaranteedRef { $0 }
        if !future.isOpen {
          unsafe dropped = unsafe job.future
          droppedPayload = job.payload
          return true
        }
        if unsafe job.type >= channel.definedTypes {
          isUndefined = true
          return false
        }
        // Behind a job that may be long goes only what fits the ring whole, so that it can be taken back.
        if let payload = job.payload, !payload.isSmall, held + sent > 0, channel.room(for: payload.ringByteCount) != true {
          isBlocked = true
          return false
        }
        // And memory is handed over only for what starts at once: what lies in a socket cannot be taken back.
        if let payload = job.payload, !payload.memories.isEmpty, held + sent >= recipe.width {
          isBlocked = true
          return false
        }
        guard let written = unsafe write(job, bytes, to: channel, isCrowded: isCrowded) else {
          isBlocked = true
          return false
        }
        limit = job.extras?.options.timeout
        sent += 1
        isBlocked = written == .large
        return true
      }
      if isUndefined { isBlocked = unsafe !define(core.receivers[Int(channel.definedTypes)], to: channel) }
      if !recipe.outputSecret.isEmpty { noteLastName(in: channel, core) }
      if let limit {
        unsafe channel.timedFlights += 1
        if let until = core.sleepsUntil, until > .now + limit { nudge(&core, &bells) }
      }
      if let dropped = unsafe dropped {
        // It was cancelled where it waited. Whoever did that has ended it; this was the queue's reference.
        unsafe dropped.release()
        if let droppedPayload { core.trash.append(droppedPayload) }
        core.state.waitingJobsEnded(1)
      }
    }
    if isBlocked, unsafe channel.outboundPosition == nil && !channel.request.refreshTail() {
      report(Self.tailViolation, by: channel, &core, &bells)
    }
    core.state.jobsSent(to: channel.place, count: sent, isBlocked: isBlocked)
    channel.held.store(core.state.workers[channel.place].held, ordering: .relaxed)
    // From now on somebody has to look now and then whether the worker takes what it was sent (`watchSilence`), and what it holds (`measure`).
    if sent > 0, core.sleepsUnwatched { watchSoon(&core, &bells) }
    if sent > 0 && channel.publish() { bells.add(channel) }
    if unsafe isBlocked && channel.outboundPosition != nil { nudge(&core, &bells) }
  }
  private static var tailViolation: String { "it moved the end of its requests to a place that cannot be" }
  enum Written { case whole, large }

  /// Tells a worker of the next type.
  ///
  /// false: there is no room.
  func define(_ receiver: any ResultReceiver, to channel: WorkerChannel) -> Bool {
    let definition = receiver.definition
    guard channel.room(for: Frame.byteCount(payload: definition.count)) == true else { return false }
    let header = unsafe FrameHeader(kind: RequestKind.define, byteCount: definition.count, type: channel.definedTypes)
    unsafe definition.withUnsafeBytes { _ = unsafe channel.request.write(header, $0) }
    unsafe channel.definedTypes += 1
    return true
  }
  /// Writes one job, whose type the worker knows.
  ///
  /// nil: there is no room.
  ///
  /// - Parameter isCrowded: more workers than there are processors have jobs.
  func write(_ job: borrowing QueuedJob, _ bytes: UnsafeRawBufferPointer, to channel: WorkerChannel, isCrowded: Bool = false) -> Written? {
    let position = unsafe channel.flights.next
    let flags = (job.extras?.options.timeout == nil ? 0 : RequestKind.timed) | (isCrowded ? RequestKind.crowded : 0)
    let memories = job.payload?.memories ?? []
    let frame: UInt64
    var flight = Flight(job: copy job, frame: 0, frameEnd: .max)
    if job.payload?.isSmall ?? true {
      guard channel.room(for: Frame.byteCount(payload: bytes.count)) == true, channel.hand(over: memories) else { return nil }
      frame = unsafe channel.request.write(
        FrameHeader(
          kind: RequestKind.job, byteCount: bytes.count, position: position, type: job.type, flags: flags,
          attachmentCount: memories.count), bytes)
      flight.frameEnd = unsafe channel.request.head
    } else {
      let payload = job.payload!
      let shape = payload.shape.encoded
      guard channel.room(for: Frame.byteCount(payload: shape.count * 8)) == true, channel.hand(over: memories) else { return nil }
      frame = unsafe shape.withUnsafeBytes { shape in
        unsafe channel.request.write(
          FrameHeader(
            kind: RequestKind.beginJob, byteCount: shape.count, position: position, type: job.type, flags: flags,
            attachmentCount: memories.count), shape)
      }
      unsafe channel.outbound = OutboundMessage(payload: payload)
      unsafe channel.outboundPosition = position
      channel.hasOutbound.store(true, ordering: .releasing)
    }
    flight.frame = frame
    unsafe channel.flights.append(flight)
    return unsafe channel.outboundPosition == nil ? .whole : .large
  }

  /// Writes on at a large job, as far as there is room.
  ///
  /// Outside the core lock: while `hasOutbound` says so nobody else writes that ring. Returns whether anything moved; nil: another thread
  /// is at it, so whether there is room was not looked at.
  func stream(_ channel: WorkerChannel) -> Bool? {
    guard channel.isStreaming.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged else { return nil }
    var hasMoved = false
    while channel.hasOutbound.load(ordering: .acquiring) {
      guard unsafe channel.request.refreshTail() else {
        var bells = Bells()
        core.withLock { report(Self.tailViolation, by: channel, &$0, &bells) }
        bells.ring(self)
        break
      }
      let oldest = core.withLock { _ in channel.firstWholeFrame }
      let room = unsafe channel.request.room(keeping: oldest ?? channel.request.head)
      let size = min(Frame.payloadLimit, room - Frame.headerByteCount) & ~15
      guard size >= Self.leastPart else { break }
      if let bytes = unsafe channel.outbound!.next(limit: size) {
        unsafe channel.request.write(FrameHeader(kind: RequestKind.part, byteCount: bytes.count), bytes)
        if channel.publish() { channel.ring() }
        hasMoved = true
        continue
      }
      var bells = Bells()
      core.withLock { core in
        if let position = unsafe channel.outboundPosition, unsafe channel.flights.positions.contains(position) {
          unsafe channel.flights[position].frameEnd = unsafe channel.request.head
        }
        unsafe channel.outbound = nil
        unsafe channel.outboundPosition = nil
        channel.hasOutbound.store(false, ordering: .releasing)
        core.state.unblocked(channel.place)
        dispatch(&core, &bells)
      }
      bells.ring(self)
      hasMoved = true
    }
    channel.isStreaming.store(false, ordering: .releasing)
    return hasMoved
  }
  /// Smaller parts than this are not worth a frame; one that waits for room waits for so much.
  ///
  /// Unit: bytes.
  static var leastPart: Int { 1 << 14 }

  // MARK: Taking back

  /// Takes back from a worker what it has not started; it waits again, before all others.
  ///
  /// - Parameter isFinal: the worker gets no more; what is still being written to it is taken back too, and its rest passed over.
  func takeBack(from channel: WorkerChannel, except spared: UInt64? = nil, sparingFirst: Int = 0, isFinal: Bool = false, _ core: inout Core)
  {
    var jobs: [QueuedJob] = []
    var left = sparingFirst
    for position in unsafe channel.flights.positions
    where unsafe position != spared && position != channel.taskPosition && channel.flights[position].stage == .sent {
      if left > 0 {
        left -= 1
        continue
      }
      if unsafe !isFinal && channel.outboundPosition == position { continue }
      if Claims.revoke(position, in: channel.memory) { jobs.append(recall(position, from: channel)) }
    }
    guard !jobs.isEmpty else { return }
    core.state.jobsTakenBack(from: channel.place, count: jobs.count)
    channel.held.store(core.state.workers[channel.place].held, ordering: .relaxed)
    core.queue.putBack(jobs)
  }
  /// A job that lies in a ring, with its payload copied out of it where nobody else holds it.
  ///
  /// Its flight is over.
  func recall(_ position: UInt64, from channel: WorkerChannel) -> QueuedJob {
    let job = copy(position, of: channel)
    if job.extras?.options.timeout != nil { unsafe channel.timedFlights -= 1 }
    channel.conclude(position, .revoked)
    return job
  }
  /// A job that a worker has, with its payload in a place of its own.
  func copy(_ position: UInt64, of channel: WorkerChannel) -> QueuedJob {
    let flight = channel.flight(position)
    var job = flight.job
    if job.payload == nil {
      job.payload = unsafe OwnedPayload(copying: channel.request.payload(at: flight.frame, byteCount: Int(job.byteCount)))
    }
    return job
  }
  /// A job of a worker is over for the pool: it has an outcome elsewhere.
  ///
  /// Returns the pool's reference to its future.
  func end(_ position: UInt64, of channel: WorkerChannel, _ stage: Flight.Stage, _ core: inout Core) -> Unmanaged<AnyFuture> {
    let job = channel.flight(position).job
    if job.extras?.options.timeout != nil { unsafe channel.timedFlights -= 1 }
    if let payload = channel.conclude(position, stage) { core.trash.append(payload) }
    core.state.jobsEnded(at: channel.place, count: 1, run: stage == .ended)
    channel.held.store(core.state.workers[channel.place].held, ordering: .relaxed)
    return unsafe job.future
  }
  /// Stops a worker because of the job that it runs at `position`.
  ///
  /// false: that job has ended meanwhile, and nobody is stopped.
  ///
  /// First everything behind it is taken back, so that nothing innocent can start before the signal arrives.
  func stop(
    _ channel: WorkerChannel, for position: UInt64, _ code: JobError.Code, _ message: String, atOnce: Bool = false, _ core: inout Core,
    _ bells: inout Bells
  ) -> Bool {
    if unsafe channel.isGone { return false }
    guard unsafe channel.doom == nil else { return unsafe channel.doom?.position == position }
    takeBack(from: channel, except: position, isFinal: true, &core)
    for other in unsafe channel.flights.positions where unsafe other > position && channel.flights[other].stage == .sent {
      if Claims.isClaimed(other, in: channel.memory) { return false }
    }
    doom(channel, code, message, for: position, by: atOnce ? .kill : .signal, &core)
    bells.supervisor = true
    core.sleepsUntil = nil
    dispatch(&core, &bells)
    return true
  }
}

extension WorkerChannel {
  /// Sends the memory that goes with the next frame.
  ///
  /// false: there is no room in the socket. Under the core lock; it does not block.
  func hand(over memories: [SealedMemory]) -> Bool {
    // A worker that has closed its end gets the frame all the same, and ends over it.
    memories.isEmpty || handover.send(memories) != .full
  }
  /// Where the first frame lies that may have to be read again: of a small job that has not ended.
  ///
  /// Under the core lock.
  var firstWholeFrame: UInt64? {
    let first = unsafe flights.positions.first { unsafe flights[$0].stage == .sent && $0 != outboundPosition }
    return first.map { unsafe flights[$0].frame }
  }
}

extension AnyFuture {
  /// Whether nobody has won the right to end it.
  var isOpen: Bool { word.load(ordering: .relaxed) & Stage.mask < Stage.ending }
}
