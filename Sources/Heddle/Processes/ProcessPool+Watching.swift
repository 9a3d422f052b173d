import HeddleSystem
import HeddleWire

// Workers that are there and do nothing: no event tells of those, so the supervisor looks.
extension ProcessPool {
  static var suspension: String { "it was suspended from outside (SIGSTOP) and did not take its next job" }
  /// How often a worker that holds jobs is looked at.
  private static let answerInterval = Duration.milliseconds(500)
  /// From the end of a worker's socket to its death, which follows at once where it ends by itself.
  private static let closingLimit = Duration.milliseconds(500)

  /// Finds workers that do not greet, that closed their channel and live on, or that do not take the job that is theirs to run.
  ///
  /// Under the core lock, by the supervisor. Returns when to look again. While nothing is in a worker's hands nothing is looked at, so an idle
  /// pool sleeps; `send` wakes the supervisor when that changes.
  func watchSilence(
    _ now: MonotonicTime, _ core: inout Core, _ violators: inout [(WorkerChannel, String)], _ suspects: inout [WorkerChannel]
  ) -> MonotonicTime {
    var next = MonotonicTime.distantFuture
    for channel in core.live where unsafe channel.doom == nil && !channel.isGone {
      if core.state.workers[channel.place].phase == .starting, unsafe !channel.hasGreeted {
        let end = channel.startTime + recipe.startLimit
        if now >= end {
          // It stays one that is starting, so that it counts as a failed start.
          let message = "a worker did not greet within \(recipe.startLimit) and was killed."
          doom(channel, .workerDied, message, by: .kill, leaves: false, &core)
          continue
        }
        next = min(next, end)
      }
      if let since = channel.closedSince {
        if now >= since + Self.closingLimit { violators.append((channel, "it closed its channel")) }
        next = min(next, since + Self.closingLimit)
      }
      guard core.state.workers[channel.place].held > 0, core.state.workers[channel.place].phase == .running else { continue }
      if now >= channel.nextAnswerCheck {
        let untaken = untakenPosition(in: channel)
        if let untaken, channel.untakenPosition == untaken { suspects.append(channel) }
        channel.untakenPosition = untaken
        channel.nextAnswerCheck = now + Self.answerInterval
      }
      next = min(next, channel.nextAnswerCheck)
    }
    return next
  }
  /// The job that a worker could run now and has not started; nil: none.
  private func untakenPosition(in channel: WorkerChannel) -> UInt64? {
    var running = 0
    for position in channel.openPositions {
      guard channel.isStarted(position) else { return running < recipe.width ? position : nil }
      running += 1
    }
    return nil
  }
}
