import HeddleSystem

// How a worker's end is brought about. All under the core lock.
extension ProcessPool {
  /// How a worker is brought to its end.
  enum Stroke {
    /// SIGTERM, and SIGKILL after the grace.
    case signal
    /// SIGKILL at once.
    case kill
    /// It is told so in its ring, and killed where it is still there after that time.
    case word(Duration)
  }
  /// Seals a worker's fate, once: it gets no more jobs, and what it holds at its end fails so.
  ///
  /// - Parameter leaves: false: it stays one that starts, so that its end counts as a failed start.
  func doom(
    _ channel: WorkerChannel, _ code: JobError.Code, _ message: String, for position: UInt64? = nil, by stroke: Stroke,
    leaves: Bool = true, _ core: inout Core
  ) {
    var doom = WorkerChannel.Doom(code: code, message: message, position: position, since: .now)
    if leaves { core.state.workerLeaves(channel.place) }
    switch stroke {
    case .signal: channel.process.terminateGroup()
    case .word(let limit): doom.since = doom.since + (limit - Self.grace)
    case .kill:
      doom.isKilled = true
      channel.process.killGroup()
    }
    unsafe channel.doom = doom
  }
}
