import HeddleSystem
import HeddleWire

// What a worker runs for the pool and not for a user: its initializer, before its first job, and its finalizer, after its last.
//
// A task is a job like any other for the worker; here it is no job: nobody counts it, nothing takes it back, and it never runs again.
extension ProcessPool {
  /// Writes the initializer into the ring of a worker that has just been started.
  func sendInitializer(to channel: WorkerChannel, _ core: inout Core, _ bells: inout Bells) {
    guard let initializer else { return }
    unsafe channel.forgetsCost = true
    let isSent = send(initializer, to: channel, &core, &bells) { [self] error in initializerEnded(channel, error) }
    if isSent { return }
    // A new ring has room for the first frame; for its shared memory there may be none, where too much of it is under way.
    core.startFailure = "\(initializer.options.label!) could not be sent: too many descriptors are under way between processes"
    core.state.workerFailed(at: channel.place)
    doom(channel, .workerNotStarted, core.startFailure, by: .kill, &core)
  }
  /// Writes the finalizer into the ring of a worker that is to go.
  ///
  /// Whether it was: there must be room.
  func sendFinalizer(to channel: WorkerChannel, _ core: inout Core, _ bells: inout Bells) -> Bool {
    guard let finalizer else { return false }
    return send(finalizer, to: channel, &core, &bells) { [self] error in
      if let error { say("heddle: \(finalizer.options.label!) failed in worker \(channel.process.pid): \(error)\n") }
    }
  }
  private func send(
    _ task: WorkerTask, to channel: WorkerChannel, _ core: inout Core, _ bells: inout Bells,
    ended: @escaping @Sendable ((any Error)?) -> Void
  ) -> Bool {
    guard let number = core.typeNumbers[task.type] else { return false }
    while unsafe channel.definedTypes <= number {
      guard unsafe define(core.receivers[Int(channel.definedTypes)], to: channel) else { return false }
    }
    let (future, error) = task.makeFuture(self)
    let job = unsafe QueuedJob(
      future: .passRetained(future), payload: task.payload, extras: JobExtras(task.options),
      byteCount: UInt32(truncatingIfNeeded: task.payload.bytes.count), type: number)
    let position = unsafe channel.flights.next
    guard unsafe write(job, task.payload.bytes, to: channel) != nil else {
      unsafe job.future.release()
      return false
    }
    // Now and not before: a future that nobody ends keeps who waits for it, and so this pool and the channel. It cannot end yet, since that
    // takes the core lock, which the caller holds.
    _ = future.addWaiter { ended(error()) }
    unsafe channel.taskPosition = position
    if !recipe.outputSecret.isEmpty { noteLastName(in: channel, core) }
    if task.options.timeout != nil { unsafe channel.timedFlights += 1 }
    if channel.publish() { bells.add(channel) }
    return true
  }
  /// Takes a task off its worker's hands: it has ended, or its worker has.
  func endTask(_ position: UInt64, of channel: WorkerChannel) -> AnyFuture {
    let job = channel.flight(position).job
    if job.extras?.options.timeout != nil { unsafe channel.timedFlights -= 1 }
    channel.conclude(position, .ended)
    unsafe channel.taskPosition = nil
    return unsafe job.future.takeRetainedValue()
  }
  private func initializerEnded(_ channel: WorkerChannel, _ error: (any Error)?) {
    var bells = Bells()
    core.withLock { core in
      // A worker that is buried is counted there.
      guard core.channels[channel.place] === channel, unsafe !channel.isGone else { return }
      if let error {
        let reason = "\(initializer!.options.label!) failed: \(error)"
        core.startFailure = reason
        core.state.workerFailed(at: channel.place)
        if unsafe channel.doom != nil { return }  // its time was over, or the pool ends
        doom(channel, .workerNotStarted, reason, by: .kill, &core)
      } else if unsafe channel.doom == nil {
        core.state.workerPrepared(channel.place)
        dispatch(&core, &bells)
      }
    }
    bells.ring(self)
  }
  /// Tells the user what belongs to no job.
  private func say(_ text: String) {
    if let printed = recipe.printed { printed(Array(text.utf8)) } else { _ = StandardError.writeWithoutBlocking(Array(text.utf8)) }
  }
}
