import HeddleSystem
import Synchronization

// When a worker has to go: it has had its jobs, its memory has grown, it has idled, or there are too many of them.
extension ProcessPool {
  /// How often the memory of workers that run jobs is looked at, where it is limited.
  ///
  /// A job that fills memory as fast as the kernel hands it out gets some tens of megabytes further in that time.
  private static let measureInterval = Duration.milliseconds(10)
  /// So long it is looked at after the last job, so that the supervisor need not be woken for each of several in a row.
  private static let measureTail = Duration.milliseconds(100)
  /// A worker of short jobs is measured no more often than this after them.
  private static let measurePause = Duration.milliseconds(1)

  // MARK: Memory

  /// What a round of the supervisor found out about memory.
  struct Measurements {
    var last = MonotonicTime(nanoseconds: 0)
    /// When a worker last held a job.
    var lastBusy = MonotonicTime(nanoseconds: 0)
    /// Those that hold more than they may, and how much that is.
    var tooLarge: [(WorkerChannel, Int)] = []
    /// When the next look is due; the distant future: no job runs.
    var next = MonotonicTime.distantFuture
  }
  /// Looks at the memory of the workers that run jobs, and kills those that hold too much.
  ///
  /// Only the supervisor, without the lock: each takes some microseconds.
  func measure(_ measurements: inout Measurements) {
    guard let limit = limits.memoryLimit else { return }
    let now = MonotonicTime.now
    let busy = core.withLock { core in core.live.filter { $0.held.load(ordering: .relaxed) > 0 } }
    if !busy.isEmpty { measurements.lastBusy = now }
    if now < measurements.lastBusy + Self.measureTail {
      if now >= measurements.last + Self.measureInterval {
        measurements.last = now
        for channel in busy {
          if let held = ProcessMemory.own(of: channel.process.pid, above: limit) { measurements.tooLarge.append((channel, held)) }
        }
      }
      measurements.next = measurements.last + Self.measureInterval
    } else {
      measurements.next = .distantFuture
    }
    killTooLarge(&measurements)
  }
  /// Kills those that hold too much, at once: what grows that fast would not heed a soft signal.
  private func killTooLarge(_ measurements: inout Measurements) {
    if measurements.tooLarge.isEmpty { return }
    var bells = Bells()
    core.withLock { core in
      for (channel, held) in measurements.tooLarge where core.channels[channel.place] === channel {
        guard let position = channel.openPositions.first(where: channel.isStarted) else { continue }
        let message = Self.tooLarge(held, limits.memoryLimit ?? 0)
        if recipe.width > 1 {
          // All that it runs goes with it: nobody can tell which of them it was.
          guard unsafe channel.doom == nil && !channel.isGone else { continue }
          takeBack(from: channel, isFinal: true, &core)
          doom(channel, .memoryLimitExceeded, message, by: .kill, &core)
        } else {
          guard stop(channel, for: position, .memoryLimitExceeded, message, atOnce: true, &core, &bells) else { continue }
        }
        unsafe channel.doom?.memory = held
      }
    }
    measurements.tooLarge = []
    bells.supervisor = false
    bells.ring(self)
  }
  private static func tooLarge(_ held: Int, _ limit: Int) -> String {
    "The worker held \(held.megabytes) while it ran this job, more than its limit of \(limit.megabytes), and was killed. "
      + "Raise memoryLimit, or make the job smaller."
  }
  /// Whether a worker that has just ended jobs holds more than one may that goes on.
  ///
  /// Called by whoever drains, without the lock.
  func hasGrown(_ channel: WorkerChannel) -> Bool {
    guard let limit = limits.keptMemory else { return false }
    let now = MonotonicTime.now.nanoseconds
    let last = channel.lastMeasured.load(ordering: .relaxed)
    guard now &- last >= Self.measurePause.clampedNanoseconds,
      channel.lastMeasured.compareExchange(expected: last, desired: now, ordering: .relaxed).exchanged
    else { return false }
    return ProcessMemory.own(of: channel.process.pid, above: limit) != nil
  }
  /// A worker gets no more jobs: what lies behind the ones that it runs goes elsewhere, then it is told to go.
  func replace(_ channel: WorkerChannel, _ core: inout Core) {
    // Its place may be another's by now.
    guard core.channels[channel.place] === channel else { return }
    core.state.workerSpent(channel.place)
    takeBackFromSpent(channel, &core)
  }
  private func takeBackFromSpent(_ channel: WorkerChannel, _ core: inout Core) {
    takeBack(from: channel, sparingFirst: core.state.workers[channel.place].phase == .starting ? 0 : recipe.width, &core)
  }

  // MARK: Idling, and another number of workers

  /// Finds the workers that have been without a job for too long.
  ///
  /// A worker's time begins when the supervisor first sees it without one, which it looks for once in that time.
  func watchIdle(_ now: MonotonicTime, _ core: inout Core) -> MonotonicTime {
    guard let limit = limits.idleTimeout else { return .distantFuture }
    var wakeTime = MonotonicTime.distantFuture
    for channel in core.live where unsafe channel.doom == nil {
      let worker = core.state.workers[channel.place]
      guard worker.isAlive && !worker.isSpent else { continue }
      if unsafe worker.held > 0 || channel.idleSince == nil || worker.ended != channel.endedWhenIdle {
        unsafe channel.idleSince = now
        unsafe channel.endedWhenIdle = worker.ended
      }
      let end = unsafe channel.idleSince! + limit
      if now < end { wakeTime = min(wakeTime, end) } else { core.state.workerSpent(channel.place) }
    }
    return wakeTime
  }
  /// Another number of workers, at least 1.
  ///
  /// Fewer: those that have nothing to do go now, the others after the jobs that they run.
  package func resize(to count: Int) {
    if forks.hasForked { return }
    var bells = Bells()
    core.withLock { core in
      let going = core.state.resized(to: max(1, count))
      while core.channels.count < core.state.workers.count { core.channels.append(nil) }
      for place in going { if let channel = core.channels[place] { takeBackFromSpent(channel, &core) } }
      dispatch(&core, &bells)
    }
    bells.ring(self)
  }
  /// Tells the workers to go that are spent and hold nothing.
  func retireRequested(_ now: MonotonicTime, _ core: inout Core, _ bells: inout Bells) -> MonotonicTime {
    var wakeTime = MonotonicTime.distantFuture
    var later: [WorkerChannel] = []
    for channel in core.retiring where unsafe channel.doom == nil && !channel.isGone {
      if let time = tellToGo(channel, now, "It had been told to go.", &core, &bells) {
        wakeTime = min(wakeTime, time)
        if unsafe channel.doom == nil { later.append(channel) }
      }
    }
    core.retiring = later
    return wakeTime
  }
}

extension Int {
  /// As text, for a number of bytes.
  var megabytes: String { "\((self + 500_000) / 1_000_000) MB" }
}
