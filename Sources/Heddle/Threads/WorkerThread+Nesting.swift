import HeddleSystem

/// Whether one may wait for a future.
@usableFromInline package enum WaitPermit {
  case granted
  /// `endWait` is to be called.
  case noted
  /// It would wait for ever.
  case refused(JobError)
}

// A job that waits for a job of the same pool. Its thread runs the other one meanwhile, so that a pool all of whose threads wait does
// not stand still. Threads/README.md has the argument.
extension WorkerThread {
  struct Nested {
    /// From the outermost to the innermost.
    var running: [(future: AnyFuture, task: Task<Void, Never>)] = []
    /// What jobs of this thread wait for.
    var awaited: [AnyFuture] = []
  }
  /// So deep may jobs wait inside each other on one thread.
  ///
  /// A thread's stack of 8 MiB then has 80 KiB for each.
  static var depthLimit: Int { 100 }

  /// Runs the job of `future`, which a job of this thread waits for, unless another thread has started it.
  ///
  /// Blocks until it has ended.
  func help(_ future: AnyFuture) {
    guard future.isPending, nested.withLock({ $0.running.count < Self.depthLimit }) else { return }
    let lane = Lane()
    // A task of its own, or who cancels the inner job would cancel the outer one.
    let task = Task(executorPreference: lane) {
      if future.start() { if case .plain = future.kind { future.execute() } else { await future.executeAsync() } }
      lane.close()
    }
    nested.withLock { $0.running.append((future, task)) }
    // A job runs now, whatever the one around it is.
    let wasInStep = isInStep.exchange(false, ordering: .relaxed)
    lane.run()
    isInStep.store(wasInStep, ordering: .relaxed)
    nested.withLock { $0.running.removeAll { $0.future === future } }
  }
  /// Cancels the task of a job that runs inside another one here.
  func cancelNested(_ future: AnyFuture) -> Bool {
    guard let task = nested.withLock({ $0.running.last { $0.future === future }?.task }) else { return false }
    task.cancel()
    return true
  }
  /// All futures whose jobs run here.
  func allRunning() -> [AnyFuture] {
    let outer = running().map { [$0] } ?? []
    return outer + nested.withLock { $0.running.map(\.future) }
  }

  // MARK: Waits that could not end

  /// A job of this thread is about to wait for `future`, which `help` could not run.
  func beginWait(for future: AnyFuture, among threads: [WorkerThread]) -> WaitPermit {
    // A task that waits in one of its steps gives the thread back.
    if isInStep.load(ordering: .relaxed) { return .granted }
    if future.isPending && nested.withLock({ $0.running.count >= Self.depthLimit }) { return .refused(.nestedTooDeep(Self.depthLimit)) }
    nested.withLock { $0.awaited.append(future) }
    // Two that close a circle at the same time have both noted their wait before either looks: one of them, or both, see it.
    guard Self.closesCircle(self, future, threads) else { return .noted }
    endWait(for: future)
    return .refused(.waitsForItself)
  }
  func endWait(for future: AnyFuture) {
    nested.withLock { nested in
      if let index = nested.awaited.lastIndex(where: { $0 === future }) { nested.awaited.remove(at: index) }
    }
  }
  /// Whether `future` runs on `waiter`, or on a thread that waits, directly or through others, for what `waiter` runs.
  private static func closesCircle(_ waiter: WorkerThread, _ future: AnyFuture, _ threads: [WorkerThread]) -> Bool {
    var open = [future]
    var seen: Set<ObjectIdentifier> = []
    while let next = open.popLast() {
      guard seen.insert(ObjectIdentifier(next)).inserted, !next.hasEnded else { continue }
      for thread in threads where thread.allRunning().contains(where: { $0 === next }) {
        if thread === waiter { return true }
        open += thread.nested.withLock { $0.awaited }
      }
    }
    return false
  }
}

extension JobError {
  /// A job waits for one that waits for it.
  static var waitsForItself: JobError {
    JobError(
      code: .wouldNeverEnd,
      message: "The job waits for a future of its own pool that cannot end before the job itself does, so the wait would never end. "
        + "Return the future's value instead of waiting for it, or use another executor for one of the two.")
  }
  /// Jobs wait inside each other.
  static func nestedTooDeep(_ limit: Int) -> JobError {
    JobError(
      code: .wouldNeverEnd,
      message: "\(limit) jobs of this pool wait inside each other on this thread, and the next would have to run inside them too. "
        + "Let a job return before what it submitted is waited for, or use fewer levels.")
  }
}
