import HeddleSystem

// What workers print. Only the supervisor reads it.
extension ProcessPool {
  /// Remembers what the job is called that was sent last to a worker, for a handler of what it prints.
  ///
  /// Under the core lock.
  func noteLastName(in channel: WorkerChannel, _ core: borrowing Core) {
    let positions = unsafe channel.flights.positions
    guard let position = positions.last else { return }
    let job = channel.flight(position).job
    let label = job.extras?.options.label ?? core.receivers[Int(job.type)].jobName
    unsafe channel.jobNames[position] = OutputRouter.JobName(label: label, attempt: job.extras?.attempt ?? 1)
  }
  /// Reads some of what a worker has printed.
  func forward(_ channel: WorkerChannel, _ stream: OutputStream, _ output: inout OutputForwarder) {
    let limit = 1 << 14
    let read =
      switch stream {
      case .standardError: channel.standardError.readAvailable(limit: limit)
      case .standardOutput: channel.standardOutput.readAvailable(limit: limit)
      }
    switch read {
    case .bytes(let bytes): take(bytes, from: stream, of: channel, &output)
    case .nothingNow: break
    case .end: if stream == .standardError { channel.hasClosedStandardError = true } else { channel.hasClosedStandardOutput = true }
    }
  }
  /// Reads the rest of what a worker that has gone had printed.
  func forwardRest(_ channel: WorkerChannel, _ output: inout OutputForwarder) {
    while case .bytes(let bytes) = channel.standardError.readAvailable(limit: 1 << 14) {
      take(bytes, from: .standardError, of: channel, &output)
    }
    guard let router = output.router else { return }
    while case .bytes(let bytes) = channel.standardOutput.readAvailable(limit: 1 << 14) {
      take(bytes, from: .standardOutput, of: channel, &output)
    }
    let loose = router.finish(&channel.desk, pid: channel.process.pid)
    if !loose.isEmpty { output.forward(loose) }
  }
  private func take(_ bytes: [UInt8], from stream: OutputStream, of channel: WorkerChannel, _ output: inout OutputForwarder) {
    guard let router = output.router else {
      channel.standardErrorTail.append(bytes)
      return output.forward(bytes)
    }
    let loose = router.take(
      bytes, from: stream, of: &channel.desk, pid: channel.process.pid, name: { nameOfJob(at: $0, in: channel) },
      tail: &channel.standardErrorTail)
    if !loose.isEmpty { output.forward(loose) }
  }
  private func nameOfJob(at position: UInt64, in channel: WorkerChannel) -> OutputRouter.JobName? {
    core.withLock { _ in
      // Jobs come in order: what lies before this one on both outputs is not asked for any more.
      if unsafe channel.jobNames.count > 1024 { unsafe channel.jobNames = unsafe channel.jobNames.filter { $0.key + 512 > position } }
      return unsafe channel.jobNames[position]
    }
  }
}
