import CHeddle
import HeddleSystem
import HeddleWire
import Synchronization

// The pool's own thread. It starts and buries workers, watches time, forwards what workers print, and drains when nobody else does.
extension ProcessPool {
  /// The body of the thread: returns when the pool is shut down and nothing of it is left.
  ///
  /// Blocks.
  func supervise() {
    let batch = ResultBatch()
    var poller = Poller()
    var output = OutputForwarder(sink: recipe.printed, output: recipe.output)
    var lastTick = MonotonicTime.now
    var measurements = Measurements()
    var familyGuard: FamilyGuard?
    var hasCounted = false
    while true {
      drainAll(batch)
      if startRequestedWorkers() {
        // While the worker starts.
        if !hasCounted { processors.store(Processors.available(), ordering: .relaxed) }
        hasCounted = true
        // Without a guard one does without: it is only for the case that this process is killed.
        if familyGuard == nil, let guardWord { familyGuard = try? FamilyGuard(word: guardWord) }
      }
      measure(&measurements)
      let plan = look(&lastTick, isMeasuring: limits.memoryLimit == nil || measurements.next < .distantFuture)
      for violator in plan.violators { kill(violator.0, because: violator.1) }
      for suspect in plan.suspects where suspect.process.isSuspended { kill(suspect, because: Self.suspension) }
      for error in plan.failures { error() }
      if plan.isOver { break }
      sleep(until: min(plan.wakeTime, measurements.next), &poller, &output)
    }
    familyGuard = nil
    output.router?.close()
    wakeUp.close()
    finished.succeed(())
  }

  /// Drains and streams until nothing moves.
  private func drainAll(_ batch: ResultBatch) {
    let channels = core.withLock { $0.live }
    var moved = true
    while moved {
      moved = false
      for channel in channels {
        if channel.hasResponses && drain(channel, batch) { moved = true }
        if channel.hasOutbound.load(ordering: .acquiring) && stream(channel) == true { moved = true }
      }
    }
  }

  // MARK: Starting

  /// Returns whether any was started.
  private func startRequestedWorkers() -> Bool {
    var hasStarted = false
    while let place = core.withLock({ $0.startRequests.isEmpty ? nil : $0.startRequests.removeFirst() }) {
      let channel: WorkerChannel
      do { channel = try WorkerChannel(place: place, recipe: recipe) } catch {
        core.withLock { core in
          core.startFailure = "\(error)"
          core.state.workerNotSpawned(at: place)
        }
        continue
      }
      var bells = Bells()
      core.withLock { core in
        core.channels[place] = channel
        core.live.append(channel)
        core.state.workerSpawned(at: place)
        sendInitializer(to: channel, &core, &bells)
        dispatch(&core, &bells)
      }
      bells.ring(self)
      // While it starts: none of its jobs can have made it a victim yet.
      memoryWatch.begin()
      hasStarted = true
    }
    return hasStarted
  }

  // MARK: Time

  private struct Plan {
    var wakeTime = MonotonicTime.distantFuture
    var violators: [(WorkerChannel, String)] = []
    /// Workers that do not take the job that is theirs to run: perhaps they are suspended.
    var suspects: [WorkerChannel] = []
    /// To be done without the lock: futures that end now.
    var failures: [() -> Void] = []
    var isOver = false
  }
  /// How often jobs behind a slow one are looked for: more than the time of work that a worker is sent in advance.
  private static let tickInterval = Duration.milliseconds(2)
  /// From the soft signal to SIGKILL.
  static let grace = Duration.milliseconds(500)
  /// How long a worker that was told to go may take: what its `atexit` handlers do.
  private static let leaveLimit = Duration.seconds(2)

  /// Looks at everything that depends on time, and says until when nothing more does.
  ///
  /// - Parameter isMeasuring: false: memory is limited, and was not looked at because no worker held a job.
  private func look(_ lastTick: inout MonotonicTime, isMeasuring: Bool) -> Plan {
    let now = MonotonicTime.now
    var bells = Bells()
    var plan = core.withLock { core -> Plan in
      var plan = Plan()
      plan.violators = core.violators
      core.violators = []
      // Whoever needs us from here on says so, since we may have looked past it.
      core.sleepsUntil = nil
      if core.hasTimer {
        // One that is set by somebody who had the lock before, and is late, wakes us for nothing; one that comes after is not touched.
        wakeUp.setTimer(nil)
        core.hasTimer = false
      }
      returnDelayed(now, &core, &plan)
      if core.state.needsTicks {
        if now >= lastTick + Self.tickInterval {
          lastTick = now
          for place in core.state.tick() {
            guard let channel = core.channels[place] else { continue }
            // What comes next there is not behind anything; taken back it could come after jobs that were submitted later.
            let spared = core.state.workers[place].phase == .starting ? 0 : recipe.width
            takeBack(from: channel, sparingFirst: spared, &core)
          }
        }
      }
      plan.wakeTime = min(plan.wakeTime, watchIdle(now, &core))
      plan.wakeTime = min(plan.wakeTime, watchStarts(now, &core))
      dispatch(&core, &bells)
      plan.wakeTime = min(plan.wakeTime, retireRequested(now, &core, &bells))
      watchLimits(now, &core, &bells, &plan)
      plan.wakeTime = min(plan.wakeTime, watchSilence(now, &core, &plan.violators, &plan.suspects))
      if core.state.mustGiveUp { giveUp(&core, &plan) }
      if core.state.isShutDown { finish(now, &core, &bells, &plan) }
      // Asked last: what was dispatched here may lie behind another job.
      core.wakesForTick = core.state.needsTicks
      if core.wakesForTick { plan.wakeTime = min(plan.wakeTime, lastTick + Self.tickInterval) }
      if !core.startRequests.isEmpty || !core.violators.isEmpty { plan.wakeTime = now }
      if core.retiring.contains(where: { unsafe $0.doom == nil && $0.outboundPosition == nil }) { plan.wakeTime = now }
      core.sleepsUnwatched = core.state.busyCount == 0
      owesTimer.store(false, ordering: .relaxed)
      // A job came between the measuring and this: whoever sent it could not tell.
      if !isMeasuring && !core.sleepsUnwatched { plan.wakeTime = now }
      core.sleepsUntil = plan.wakeTime
      return plan
    }
    bells.supervisor = false  // that is this thread
    bells.ring(self)
    if core.withLock({ $0.state.isShutDown && $0.state.areAllGone && $0.state.isDrained && $0.delayed.isEmpty }) { plan.isOver = true }
    return plan
  }
  /// Workers that could not be started are tried again after a while, where others live and jobs wait.
  private func watchStarts(_ now: MonotonicTime, _ core: inout Core) -> MonotonicTime {
    guard core.state.isShortOfWorkers else {
      core.nextStartTry = nil
      return .distantFuture
    }
    let time = core.nextStartTry ?? now + Self.startPause
    core.nextStartTry = time
    if now < time { return time }
    core.nextStartTry = nil
    core.state.startsMayBeTriedAgain()
    return .distantFuture
  }
  private static let startPause = Duration.seconds(1)
  private func returnDelayed(_ now: MonotonicTime, _ core: inout Core, _ plan: inout Plan) {
    guard !core.delayed.isEmpty else { return }
    // One that was cancelled meanwhile has ended: nobody waits for its next attempt.
    core.delayed.removeAll { delayed in
      if unsafe delayed.job.future._withUnsafeGuaranteedRef({ $0.isOpen }) { return false }
      unsafe delayed.job.future.release()
      return true
    }
    let due = core.delayed.filter { $0.time <= now }
    core.delayed.removeAll { $0.time <= now }
    core.queue.putBack(due.map(\.job))
    for _ in due { core.state.jobSubmitted() }
    for delayed in core.delayed { plan.wakeTime = min(plan.wakeTime, delayed.time) }
  }
  /// Stops what has run too long, and kills what did not heed the soft signal.
  private func watchLimits(_ now: MonotonicTime, _ core: inout Core, _ bells: inout Bells, _ plan: inout Plan) {
    for channel in core.live {
      if let doom = unsafe channel.doom {
        if !doom.isKilled && now >= doom.since + Self.grace {
          unsafe channel.doom!.isKilled = true
          channel.process.killGroup()
        } else if !doom.isKilled {
          plan.wakeTime = min(plan.wakeTime, doom.since + Self.grace)
        }
        continue
      }
      if channel.runsSeveral { stopIfStuck(channel, now, &core, &plan) }
      guard unsafe channel.timedFlights > 0 && channel.doom == nil else { continue }
      for position in channel.openPositions {
        guard let extras = channel.flight(position).job.extras, let limit = extras.options.timeout else { continue }
        guard channel.isStarted(position) else {
          // It has not started, so it cannot be over before this.
          plan.wakeTime = min(plan.wakeTime, now + limit)
          continue
        }
        let seen = channel.flight(position).seenRunning ?? now
        channel.update(position) { $0.seenRunning = seen }
        let end = min(channel.start(of: position), seen) + limit
        if now < end {
          plan.wakeTime = min(plan.wakeTime, end)
        } else {
          timeOut(position, of: channel, extras, limit, &core, &bells, &plan)
          break
        }
      }
    }
  }
  /// Stops a worker of several threads that nobody needs as it is: all that it runs has run out of time, and it either has no thread
  /// left, or does not start what waits (one of those calls keeps the GIL), or is all that keeps the pool from its end.
  private func stopIfStuck(_ channel: WorkerChannel, _ now: MonotonicTime, _ core: inout Core, _ plan: inout Plan) {
    let open = channel.openPositions
    let started = open.filter(channel.isStarted)
    guard !started.isEmpty, started.allSatisfy({ channel.flight($0).isAbandoned }) else {
      unsafe channel.stuckSince = nil
      return
    }
    let isLast = core.state.isShutDown && core.state.waiting == 0 && core.delayed.isEmpty && open.count == started.count
    if started.count < recipe.width && !isLast {
      guard open.count > started.count else {
        unsafe channel.stuckSince = nil
        return
      }
      let since = unsafe channel.stuckSince ?? now
      unsafe channel.stuckSince = since
      guard now >= since + Self.grace else {
        plan.wakeTime = min(plan.wakeTime, since + Self.grace)
        return
      }
    }
    takeBack(from: channel, &core)
    // What was claimed meanwhile proves that it was not stuck.
    guard channel.openPositions.allSatisfy({ channel.flight($0).isAbandoned }) else { return }
    let message = "The worker was stopped because all that it ran had run out of time."
    doom(channel, .timedOut, message, by: .signal, &core)
    plan.wakeTime = now
  }
  private func timeOut(
    _ position: UInt64, of channel: WorkerChannel, _ extras: JobExtras, _ limit: Duration, _ core: inout Core, _ bells: inout Bells,
    _ plan: inout Plan
  ) {
    var error = JobError.timedOut(limit, onThread: recipe.width > 1).named(extras.options.label)
    error.attempt = extras.attempt
    error.workerPID = channel.process.pid
    error.ran = limit
    if recipe.width > 1 {
      // The others that run in that process must not die for it: the future ends, its place is free when the job returns.
      let job = copy(position, of: channel)
      channel.update(position) {
        $0.isAbandoned = true
        $0.job.extras = nil
      }
      unsafe channel.timedFlights -= 1
      if !core.dropsWaiting, unsafe job.future._withUnsafeGuaranteedRef({ $0.isOpen }), extras.spend(for: .timedOut) {
        _ = unsafe job.future.retain()
        retry(job, extras, &core)
      } else {
        let future = unsafe job.future.takeUnretainedValue()
        plan.failures.append { future.fail(error) }
      }
      plan.wakeTime = .now
      return
    }
    guard stop(channel, for: position, .timedOut, error.message, &core, &bells) else { return }
    // One that does not heed the soft signal has to be killed, and nothing else may wake us for that.
    plan.wakeTime = min(plan.wakeTime, .now + Self.grace)
    if extras.budget.timeouts > 0 { return }  // the burial lets it run again
    let future = unsafe channel.flight(position).job.future.takeUnretainedValue()
    plan.failures.append { future.fail(error) }
  }
  /// No worker can be started: what waits fails, and the next job tries again.
  private func giveUp(_ core: inout Core, _ plan: inout Plan) {
    let jobs = core.queue.removeAll()
    core.state.waitingJobsEnded(jobs.count)
    core.state.startsMayBeTriedAgain()
    let error = JobError(
      code: .workerNotStarted,
      message: "No worker could be started, in \(PoolState.failedStartLimit) tries or more: \(core.startFailure)")
    plan.failures.append { for job in jobs { unsafe job.future.takeRetainedValue().fail(error) } }
  }
  /// Shut down: tells the workers to go once nothing is left to do, and kills those that run past the time that was given.
  private func finish(_ now: MonotonicTime, _ core: inout Core, _ bells: inout Bells, _ plan: inout Plan) {
    // What was cancelled where it waits is not waited for, although no worker may come by to pass over it.
    let dropped = core.queue.dropEndedFront()
    core.state.waitingJobsEnded(dropped)
    if let killTime = core.killTime, !core.state.isDrained {
      if now < killTime {
        plan.wakeTime = min(plan.wakeTime, killTime)
      } else {
        for channel in core.live where unsafe channel.doom == nil && channel.held.load(ordering: .relaxed) > 0 {
          let message = "The executor was shut down while this job ran; its worker was stopped."
          doom(channel, .cancelled, message, by: .signal, &core)
        }
        plan.wakeTime = min(plan.wakeTime, now + Self.grace)
      }
    }
    guard core.state.isDrained && core.delayed.isEmpty else { return }
    for channel in core.live where unsafe channel.doom == nil {
      if let time = tellToGo(channel, now, "The executor was shut down.", &core, &bells) { plan.wakeTime = min(plan.wakeTime, time) }
    }
  }
  /// Tells a worker that holds nothing to go, or waits with it until what is being written to it is there.
  ///
  /// Returns when it is to be looked at again.
  func tellToGo(
    _ channel: WorkerChannel, _ now: MonotonicTime, _ why: String, _ core: inout Core, _ bells: inout Bells
  ) -> MonotonicTime? {
    if unsafe channel.taskPosition != nil {
      // It is still at its initializer, which nobody needs any more.
      doom(channel, .workerDied, why, by: .signal, &core)
      return now + Self.grace
    }
    // A large job that was taken back is still being written: the worker passes its rest over.
    if unsafe channel.outboundPosition != nil { return now + Self.tickInterval }
    // One that hangs in its exit is killed like one that hangs in a job. What has to be fast has no finalizers.
    let finalizes = core.killTime == nil && sendFinalizer(to: channel, &core, &bells)
    let limit = Self.leaveLimit + (finalizes ? finalizer!.limit : .zero)
    doom(channel, .workerDied, why, by: .word(limit), &core)
    if channel.room(for: Frame.headerByteCount) == true {
      unsafe channel.request.write(FrameHeader(kind: RequestKind.stop, byteCount: 0), UnsafeRawBufferPointer(start: nil, count: 0))
      if channel.publish() { bells.add(channel) }
    } else {
      channel.process.killGroup()
    }
    return now + limit
  }
  private func kill(_ channel: WorkerChannel, because violation: String) {
    core.withLock { core in
      // It may have gone meanwhile, and another have its place and, who knows, its number.
      guard core.channels[channel.place] === channel, unsafe channel.doom == nil || channel.doom?.position != nil else { return }
      // One that has not greeted counts as a start that failed, or another would be started for ever.
      let leaves = core.state.workers[channel.place].phase != .starting
      doom(channel, .workerDied, "The worker was stopped because \(violation).", by: .kill, leaves: leaves, &core)
    }
  }

  // MARK: Sleeping

  /// Sleeps until something happens or the time has come.
  ///
  /// What happens is then dealt with: deaths, output, bells.
  private func sleep(until deadline: MonotonicTime, _ poller: inout Poller, _ output: inout OutputForwarder) {
    let channels = core.withLock { $0.live }
    poller.clear()
    poller.add(wakeUp.number)
    poller.add(wakeUp.timerNumber)
    for channel in channels {
      poller.add(channel.closedSince == nil ? channel.socket.number : -1)
      poller.add(channel.process.ended.number)
      poller.add(output.isBlocked || channel.hasClosedStandardError ? -1 : channel.standardError.number)
      poller.add(output.isBlocked || channel.hasClosedStandardOutput ? -1 : channel.standardOutput.number)
    }
    // Say that we sleep, then look once more: a worker that wrote before it saw that does not ring.
    let ticket = poller.nextTicket()
    var hasStreamed = false
    for channel in channels {
      channel.setParked(ticket)
      if channel.hasOutbound.load(ordering: .acquiring) {
        channel.setWantsRoom(ticket)
        // Another thread that streams may have looked for room before we said that we wait for it, and leave now.
        hasStreamed = stream(channel) != false || hasStreamed
      }
    }
    let isDue = hasStreamed || channels.contains { $0.hasResponsesForSure } || core.withLock { $0.sleepsUntil == nil }
    poller.poll(until: isDue ? .now : output.isBlocked ? min(deadline, .now + .milliseconds(20)) : deadline)
    for channel in channels {
      channel.setParked(0)
      channel.setWantsRoom(0)
    }
    core.withLock { $0.sleepsUntil = nil }
    output.flush()
    if poller.isReady(0) { wakeUp.drain() }
    // It may have been set after it was taken back; who sets it now has done what the next look sees.
    if poller.isReady(1) { wakeUp.setTimer(nil) }
    for (index, channel) in channels.enumerated() {
      let first = 2 + 4 * index
      if poller.isReady(first) && !channel.drainBells() { channel.closedSince = .now }
      if poller.isReady(first + 2) { forward(channel, .standardError, &output) }
      if poller.isReady(first + 3) { forward(channel, .standardOutput, &output) }
      if poller.isReady(first + 1) { bury(channel, &output) }
    }
  }
}
