import CHeddle
import HeddleSystem
import HeddleWire
import Synchronization

// From the workers' rings to the futures. Any thread may do it: the supervisor, or one that waits.
extension ProcessPool {
  /// One result, resolved to whom it belongs.
  struct Arrival {
    var future: AnyFuture
    var receiver: any ResultReceiver
    var result: RawResult
    var attempt: Int
  }

  /// Reads one batch of a worker's results and ends their futures. false: there was nothing, or another thread is at it.
  func drain(_ channel: WorkerChannel, _ batch: ResultBatch) -> Bool {
    batch.clear()
    // 1. Copy, under the response lock.
    guard let taken = channel.response.withLockIfFree({ $0.read(into: batch) }), taken > 0 || batch.violation != nil else { return false }
    channel.ringIfRoomIsWanted()
    // 2. Whose they are, and what the worker gets next, under the core lock.
    var arrivals: [Arrival] = []
    arrivals.reserveCapacity(batch.results.count)
    var bells = Bells()
    core.withLock { core in
      unsafe channel.landedBatches += 1
      if batch.hasGreeting { core.state.workerGreeted(at: channel.place) }
      for result in batch.results {
        guard let arrival = land(result, from: channel, batch, &core) else { continue }
        arrivals.append(arrival)
      }
      if let cost = channel.takeCost() { core.state.costReported(by: channel.place, nanoseconds: cost.nanoseconds, count: cost.count) }
      if let violation = batch.violation {
        report(violation, by: channel, &core, &bells)
      }
      dispatch(&core, &bells)
    }
    bells.ring(self)
    // 3. Decode and end, outside all locks: both run the user's code.
    for arrival in arrivals {
      let answer = unsafe WorkerAnswer(
        kind: arrival.result.header.type, bytes: batch.bytes(of: arrival.result), segments: arrival.result.large, attempt: arrival.attempt)
      arrival.receiver.receive(arrival.future, answer, decoder: batch.decoder)
    }
    return true
  }
  /// A worker wrote what cannot be: nothing more of it is read, and the supervisor kills it.
  func report(_ violation: String, by channel: WorkerChannel, _ core: inout Core, _ bells: inout Bells) {
    channel.isBroken.store(true, ordering: .relaxed)
    core.violators.append((channel, violation))
    nudge(&core, &bells)
  }
  /// Takes a job off its worker's hands. nil: it runs again, or nobody waits for it.
  private func land(_ result: RawResult, from channel: WorkerChannel, _ batch: ResultBatch, _ core: inout Core) -> Arrival? {
    guard let position = channel.openPosition(low: result.header.position) else {
      batch.violation = batch.violation ?? "it answered a job that it does not have"
      return nil
    }
    let flight = channel.flight(position)
    let job = unsafe flight.job
    if flight.isAbandoned {
      // It had its outcome when its time was over; now its thread is free.
      unsafe end(position, of: channel, .ended, &core).release()
      return nil
    }
    if let extras = job.extras, !core.dropsWaiting, extras.spend(forResult: result.header.type) {
      let again = recall(position, from: channel)
      core.state.jobsEnded(at: channel.place, count: 1)
      retry(again, extras, &core)
      channel.held.store(core.state.workers[channel.place].held, ordering: .relaxed)
      return nil
    }
    let future = unsafe end(position, of: channel, .ended, &core).takeRetainedValue()
    return Arrival(future: future, receiver: core.receivers[Int(job.type)], result: result, attempt: job.extras?.attempt ?? 1)
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

  /// One that waits drains the rings itself: a result then costs no wake-up. Returns after some microseconds at most.
  package func help(_ future: AnyFuture) {
    let channels = core.withLock { $0.live }
    if channels.isEmpty { return }
    let batch = BatchCache.take()
    defer { BatchCache.give(batch) }
    var idle = 0
    while idle < Self.helpLimit && !future.isDone {
      for channel in channels {
        if channel.hasResponses && isWorthDraining(channel, idle) && drain(channel, batch) { idle = 0 }
        if channel.hasOutbound.load(ordering: .relaxed) && stream(channel) { idle = 0 }
      }
      idle += 1
      heddle_pause()
    }
  }
  /// While a worker is busy its results are left to gather a little: the ring's words move between the processors less often.
  private func isWorthDraining(_ channel: WorkerChannel, _ idle: Int) -> Bool {
    channel.held.load(ordering: .relaxed) <= 8 || channel.responseByteCount >= Self.helpByteCount || idle >= Self.helpPatience
  }
  /// How long one that waits helps before it sleeps: about 30 µs, what a wake-up costs. Unit: pauses.
  private static var helpLimit: Int { 1000 }
  /// So many bytes of results are drained at once. Unit: bytes.
  private static var helpByteCount: UInt64 { 2048 }
  /// After so long fewer are drained too. Unit: pauses.
  private static var helpPatience: Int { 100 }
}

/// A batch a thread, so that draining allocates nothing.
enum BatchCache {
  private static let spare = Locked<[ResultBatch]>([])
  static func take() -> ResultBatch { spare.withLock { $0.popLast() } ?? ResultBatch() }
  static func give(_ batch: ResultBatch) {
    batch.clear()
    spare.withLock { if $0.count < 8 { $0.append(batch) } }
  }
}
