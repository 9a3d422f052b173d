import CHeddle
import HeddleSystem
import HeddleWire
import Synchronization

// From the workers' rings to the futures. Any thread may do it: the supervisor, or one that waits.
extension ProcessPool {
  /// Reads one batch of a worker's results and ends their futures.
  ///
  /// false: there was nothing, or another thread is at it.
  func drain(_ channel: WorkerChannel, _ batch: ResultBatch) -> Bool {
    batch.clear()
    var bells = Bells()
    // A look at its memory is a system call or three, so it comes before the lock; then only the results are taken that were there before
    // the look: a job that makes the worker grow is told of after it has.
    var end: UInt64?
    var isSpent = false
    if limits.keptMemory != nil {
      guard channel.hasResponses else { return false }
      end = channel.publishedResponses
      isSpent = hasGrown(channel)
    }
    // The response lock is held until the results are landed: of several frames about one job the last must not be dealt with before
    // the others, which another thread may have copied.
    let hasRead = channel.response.withLockIfFree { reader in
      // 1. Copy.
      guard unsafe reader.read(into: batch, until: end) > 0 || batch.violation != nil else { return false }
      land(batch, from: channel, isSpent: isSpent, &bells)
      return true
    }
    guard hasRead == true else { return false }
    channel.ringIfRoomIsWanted()
    bells.ring(self)
    receive(batch, from: channel)
    return true
  }
  /// 2.
  ///
  /// Whose the results are, and what the worker gets next, under the core lock; the caller holds the response lock.
  ///
  /// - Parameter isSpent: it has grown past what one may that goes on.
  private func land(_ batch: ResultBatch, from channel: WorkerChannel, isSpent: Bool = false, _ bells: inout Bells) {
    core.withLock { core in
      if unsafe batch.hasGreeting {
        unsafe channel.hasGreeted = true
        core.state.workerGreeted(at: channel.place)
      }
      // The batch keeps its own reference to the list: one for each result would move between the processors with each.
      if unsafe batch.receivers.count != core.receivers.count { unsafe batch.receivers = core.receivers }
      var ended = 0
      for index in unsafe batch.results.indices {
        let header = batch.header(index)
        if header.flags & ResponseKind.more == 0, let job = unsafe channel.concludeStandard(low: header.position) {
          ended += 1
          if let payload = unsafe job.payload { core.trash.append(payload) }
          unsafe batch.arrivals.append(.init(future: job.future.takeRetainedValue(), type: Int(job.type), result: index, attempt: 1))
        } else if let arrival = land(header, index, from: channel, batch, &core) {
          unsafe batch.arrivals.append(arrival)
        }
      }
      if ended > 0 {
        core.state.jobsEnded(at: channel.place, count: ended)
        if owesTimer.load(ordering: .relaxed) && core.state.busyCount == 0 { owesTimer.store(false, ordering: .relaxed) }
      }
      channel.held.store(core.state.workers[channel.place].held, ordering: .relaxed)
      if let cost = channel.takeCost() { core.state.costReported(by: channel.place, nanoseconds: cost.nanoseconds, count: cost.count) }
      if let violation = unsafe batch.violation {
        report(violation, by: channel, &core, &bells)
      }
      if unsafe isSpent && !batch.results.isEmpty { replace(channel, &core) }
      dispatch(&core, &bells)
      // Whoever expects the end of what was sent here may have said so before it was owed.
      payTimer(&core, &bells)
    }
  }
  /// 3.
  ///
  /// Decodes the results and ends their futures, outside all locks: both run the user's code.
  private func receive(_ batch: ResultBatch, from channel: WorkerChannel) {
    for arrival in unsafe batch.arrivals {
      let answer = batch.answer(arrival)
      unsafe batch.receivers[arrival.type].receive(arrival.future, answer, decoder: batch.decoder)
      if let accusation = batch.decoder.takeAccusation() {
        var bells = Bells()
        core.withLock { report(accusation, by: channel, &$0, &bells) }
        bells.ring(self)
      }
    }
    while unsafe !batch.arrivals.isEmpty { unsafe batch.arrivals.removeLast() }
    // The batch may not be used again for long; a large result must not stay in memory for it.
    if unsafe batch.holdsLarge { batch.clear() }
  }
  /// A worker has gone, and what it had published is dealt with: the same for the results that it had written and not published.
  func drainDraft(_ channel: WorkerChannel, _ batch: ResultBatch) {
    batch.clear()
    var bells = Bells()
    let hasRead = channel.response.withLock { reader in
      guard reader.readDraft(into: batch, channel.memory) else { return false }
      land(batch, from: channel, &bells)
      return true
    }
    bells.ring(self)
    if hasRead { receive(batch, from: channel) }
  }
  /// A worker wrote what cannot be: nothing more of it is read, and the supervisor kills it.
  func report(_ violation: String, by channel: WorkerChannel, _ core: inout Core, _ bells: inout Bells) {
    channel.isBroken.store(true, ordering: .relaxed)
    core.violators.append((channel, violation))
    nudge(&core, &bells)
  }
  /// Kills the worker that runs a future's job, where there still is one: it wrote what cannot be.
  package func accuse(_ sentence: String, of future: AnyFuture) {
    var bells = Bells()
    core.withLock { core in
      if let (channel, _) = flight(of: future, in: core) { report(sentence, by: channel, &core, &bells) }
    }
    bells.ring(self)
  }
  /// Takes a job off its worker's hands.
  ///
  /// nil: it runs again, or nobody waits for it.
  private func land(
    _ header: FrameHeader, _ result: Int, from channel: WorkerChannel, _ batch: ResultBatch, _ core: inout Core
  ) -> ResultBatch.Arrival? {
    guard let position = channel.openPosition(low: header.position) else {
      unsafe batch.violation = unsafe batch.violation ?? "it answered a job that it does not have"
      return nil
    }
    if unsafe position == channel.taskPosition {
      let type = channel.flight(position).job.type
      return ResultBatch.Arrival(future: endTask(position, of: channel), type: Int(type), result: result, attempt: 1)
    }
    let flight = channel.flight(position)
    let job = flight.job
    if header.flags & ResponseKind.more != 0 {
      guard core.receivers[Int(job.type)].takesSeveral else {
        unsafe batch.violation = unsafe batch.violation ?? "it sent one of several results of a job that has one"
        return nil
      }
      if flight.isAbandoned { return nil }
      let future = unsafe job.future._withUnsafeGuaranteedRef { $0 }
      future.willReceive()
      return ResultBatch.Arrival(future: future, type: Int(job.type), result: result, attempt: job.extras?.attempt ?? 1)
    }
    if flight.isAbandoned {
      // It had its outcome when its time was over; now its thread is free.
      unsafe end(position, of: channel, .ended, &core).release()
      return nil
    }
    if let extras = job.extras, !core.dropsWaiting, extras.spend(forResult: header.type) {
      let again = recall(position, from: channel)
      core.state.jobsEnded(at: channel.place, count: 1)
      retry(again, extras, &core)
      return nil
    }
    let future = unsafe end(position, of: channel, .ended, &core).takeRetainedValue()
    return ResultBatch.Arrival(future: future, type: Int(job.type), result: result, attempt: job.extras?.attempt ?? 1)
  }
  /// Lets a job run again after its back-off.
  func retry(_ job: QueuedJob, _ extras: JobExtras, _ core: inout Core) {
    extras.attempt += 1
    let wait = extras.options.retry.backoff.delay(beforeAttempt: extras.attempt, random: .random(in: 0...1))
    core.delayed.append((.now + wait, job))
    if core.sleepsUntil != nil {
      core.sleepsUntil = nil
      wakeUp.wake()
    }
  }

  /// One that waits drains the rings itself: a result then costs no wake-up.
  ///
  /// Returns after some microseconds at most.
  package func help(_ future: AnyFuture) {
    if forks.hasForked { return }
    // Borrowed: a reference taken and given back at each look would cost more than the look. `channels` keeps them alive.
    let (channels, borrowed) = unsafe core.withLock { unsafe ($0.live, $0.borrowed) }
    if channels.isEmpty { return }
    let batch = batches.take(ResultBatch.init)
    defer { batches.give(batch) }
    defer { withExtendedLifetime(channels) {} }
    // Who helped in vain sleeps now.
    defer { if !future.hasEnded { expect(future) } }
    var busy = 0
    for index in unsafe borrowed.indices {
      unsafe borrowed[index]._withUnsafeGuaranteedRef { if $0.held.load(ordering: .relaxed) > 0 { busy += 1 } }
    }
    let isCrowded = busy >= processors.load(ordering: .relaxed)
    let budget = isCrowded ? SpinBudget.crowded : helpBudget.next()
    defer { if !isCrowded { helpBudget.looked(budget, inVain: !future.hasEnded) } }
    var idle = 0
    while idle < budget && !future.hasEnded {
      for index in unsafe borrowed.indices {
        let hasMoved = unsafe borrowed[index]._withUnsafeGuaranteedRef { channel in
          channel.hasResponses && isWorthDraining(channel, idle) && drain(channel, batch)
            || channel.hasOutbound.load(ordering: .relaxed) && stream(channel) == true
        }
        if hasMoved { idle = 0 }
      }
      let isAsleep = {
        unsafe borrowed.contains { unsafe $0._withUnsafeGuaranteedRef { $0.held.load(ordering: .relaxed) > 0 && $0.sleeps } }
      }
      helpBudget.pause(after: idle, wasWoken: isAsleep(), isAwaited: isAsleep())
      idle += 1
    }
  }
  /// While a worker is busy its results are left to gather a little: the ring's words move between the processors less often.
  private func isWorthDraining(_ channel: WorkerChannel, _ idle: Int) -> Bool {
    channel.held.load(ordering: .relaxed) <= 8 || channel.responseByteCount >= Self.helpByteCount || idle >= Self.helpPatience
  }
  /// So many bytes of results are drained at once.
  ///
  /// Unit: bytes.
  private static var helpByteCount: UInt64 { 2048 }
  /// After so long fewer are drained too.
  ///
  /// Unit: pauses.
  private static var helpPatience: Int { 100 }
}
