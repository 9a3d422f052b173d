import CHeddle
import HeddleSystem
import HeddleWire
import Synchronization

// When a worker has gone. Only the supervisor does this.
extension ProcessPool {
  /// How long a job that has started has run; nil where its worker does not say.
  ///
  /// Of a job without a time limit the worker tells when it last looked at the clock, at most 16 short jobs before.
  private func runTime(of position: UInt64, _ job: QueuedJob, in channel: WorkerChannel) -> Duration? {
    let isTold = recipe.tellsStarts || job.extras?.options.timeout != nil
    guard let start = isTold ? channel.start(of: position) : channel.lastClock else { return nil }
    let now = MonotonicTime.now
    return start <= now ? now - start : nil
  }

  /// A worker has gone: what it had finished keeps its result, what it ran fails or runs again, what lay behind runs elsewhere.
  func bury(_ channel: WorkerChannel, _ output: inout OutputForwarder) {
    // From here on its number may be another's: nobody signals it any more.
    core.withLock { _ in unsafe channel.isGone = true }
    let end = channel.process.reap()
    // The group went with it; so does what its jobs had put elsewhere.
    Processes.kill(startedWith: channel.family, after: channel.process.pid)
    let batch = batches.take(ResultBatch.init)
    while channel.hasResponses {
      // Another thread may be reading: it will be done in some microseconds.
      if unsafe !drain(channel, batch) && batch.violation != nil { break }
    }
    if !channel.isBroken.load(ordering: .relaxed) { drainDraft(channel, batch) }
    batches.give(batch)
    // Another thread may be reading results, and holds the lock until they are landed: those jobs have ended, their worker did not fail them.
    channel.response.withLock { _ in }
    forwardRest(channel, &output)
    let isOutOfMemory = end.exit == .signal(9) && core.withLock { _ in unsafe channel.doom == nil } && memoryWatch.hasKilled()
    var certificate = DeathCertificate(
      end: end, pid: channel.process.pid, note: DeathNote(channel.memory), isOutOfMemory: isOutOfMemory,
      sharesWorker: recipe.width > 1, standardErrorTail: channel.standardErrorTail.text)
    // A thread that streams into the ring leaves it soon; nobody starts anew.
    while !channel.isStreaming.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged {}
    var bells = Bells()
    let failures = unsafe core.withLock { core -> [(Unmanaged<AnyFuture>, JobError)] in
      channel.hasOutbound.store(false, ordering: .relaxed)
      unsafe channel.outboundPosition = nil
      var failures: [(Unmanaged<AnyFuture>, JobError)] = unsafe []
      var back: [QueuedJob] = []
      var started = 0
      var initializerDeath: JobError?
      certificate.doom = unsafe channel.doom
      if let position = unsafe channel.taskPosition {
        let hasStarted = channel.isStarted(position)
        let ran = runTime(of: position, channel.flight(position).job, in: channel)
        let error = certificate.error(attempt: 1, ran: ran)
        unsafe failures.append((.passRetained(endTask(position, of: channel)), error))
        if hasStarted && core.state.workers[channel.place].phase == .starting { initializerDeath = error }
      }
      for position in channel.openPositions {
        // The claims of a worker that wrote nonsense say nothing: the first job is what it ran, or that job would come back for ever.
        let isSuspect = channel.isBroken.load(ordering: .relaxed) && started < recipe.width
        let hasStarted = isSuspect || channel.isStarted(position)
        let isAbandoned = channel.flight(position).isAbandoned
        let ran = runTime(of: position, channel.flight(position).job, in: channel)
        let job = recall(position, from: channel)
        guard hasStarted else {
          back.append(job)
          continue
        }
        started += 1
        if isAbandoned {
          // It had its outcome, or runs again.
          unsafe job.future.release()
          if let payload = job.payload { core.trash.append(payload) }
          continue
        }
        let error = certificate.error(attempt: job.extras?.attempt ?? 1, ran: ran).named(job.extras?.options.label)
        if let extras = job.extras, !core.dropsWaiting, unsafe job.future._withUnsafeGuaranteedRef({ $0.isOpen }),
          extras.spend(for: error.code)
        {
          retry(job, extras, &core)
        } else {
          unsafe failures.append((job.future, error))
          if let payload = job.payload { core.trash.append(payload) }
        }
      }
      if core.state.workers[channel.place].phase == .starting {
        core.startFailure = initializerDeath.map { "\(initializer!.options.label!) ended its worker: \($0)" } ?? certificate.startFailure
      }
      core.processorTime += end.processorTime
      core.peakMemory = max(core.peakMemory, end.peakMemory ?? 0)
      core.goneCount += 1
      let wasKilled = unsafe end.exit == .signal(9) && channel.doom == nil && !isOutOfMemory
      core.state.workerExited(at: channel.place, failed: started, back: back.count, wasKilled: wasKilled)
      core.channels[channel.place] = nil
      core.live.removeAll { $0 === channel }
      if core.dropsWaiting {
        core.state.waitingJobsEnded(back.count)
        unsafe failures += back.map { unsafe ($0.future, JobError.cancelledAtShutdown) }
      } else {
        core.queue.putBack(back)
      }
      dispatch(&core, &bells)
      return unsafe failures
    }
    bells.ring(self)
    unsafe failures.forEach { future, error in unsafe future.takeRetainedValue().fail(error, cancelled: error.code == .cancelled) }
  }
}

extension JobExtras {
  /// Takes one further run from the budget for that cause.
  ///
  /// false: there is none left.
  func spend(for code: JobError.Code) -> Bool {
    switch code {
    case .workerDied: Self.take(&budget.crashes)
    case .timedOut: Self.take(&budget.timeouts)
    case .memoryLimitExceeded: Self.take(&budget.memory)
    default: false
    }
  }
  /// The same for a result that is an error.
  func spend(forResult kind: UInt32) -> Bool {
    switch kind {
    case ResultKind.codableError, ResultKind.remoteError: Self.take(&budget.errors)
    case ResultKind.outOfMemory: Self.take(&budget.memory)
    default: false
    }
  }
  private static func take(_ count: inout Int) -> Bool {
    guard count > 0 else { return false }
    count -= 1
    return true
  }
}
