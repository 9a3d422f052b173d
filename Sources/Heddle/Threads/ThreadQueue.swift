import CHeddle
import HeddleSystem
import Synchronization

/// The waiting work of a thread pool, and the threads that sleep for want of it.
///
/// How no wake-up is lost: Threads/README.md.
final class ThreadQueue: Sendable {
  /// A push and a pop touch its first 56 bytes, which lie in one line of memory with the lock; and one slot.
  private struct State: ~Copyable {
    /// Of the threads that were started the ones that have not left.
    var live: Int32 = 0
    /// How many there may be.
    var limit: Int32
    var isClosed = false
    var queues = WorkQueues()
    /// Threads that were ever wanted, less those that could not be started.
    var started = 0
    /// What each thread took beside the work it runs; others may take it from there.
    var batches: [ThreadBatch] = []
  }
  /// Its tally: how much waits in the queues.
  private let state: Locked<State>
  private let sleepers = Atomic<Int>(0)
  /// Whether a thread spins for work: it will see what is pushed, so nobody need be woken; and what it was handed.
  ///
  /// One does, or none: where another took what it was handed, a second may begin before it sees that.
  private let handover = Handover()
  /// Whether a thread was woken that does not look for work yet: it will, so nobody else need be woken.
  ///
  /// Where all processors are busy that takes a while, and so many wake-ups more would only crowd them.
  private let isWaking = Atomic<Bool>(false)
  /// Whether a thread gives its processor back and does not look for work before it has it again.
  private let isYielding = Atomic<Bool>(false)
  /// How many threads' batches hold something.
  private let filled = FilledCount()
  /// There are more threads than there may be.
  private let isCrowded = Atomic<Bool>(false)
  private let parker = Parker()
  private let searching = SearchBudget()
  /// How long one that waits for a job looks for its end before it sleeps.
  let helping = SpinBudget()
  /// Threads that are awake and will take what waits when no more comes.
  private let gatherers = Atomic<Int>(0)
  /// Whether waiting for more was worth it.
  private let gathering = SpinBudget(limit: ThreadQueue.gatherLimit, least: 0)
  /// How long a thread sleeps for want of work before it leaves; nil: for ever.
  private let idleTimeout: Duration?

  /// So much that a thread's share of it is a batch.
  ///
  /// Unit: items.
  private static let gatherGoal = 4 * batchLimit
  /// How long a thread that takes what waits lets one more come, and again one more: some 2 µs.
  ///
  /// Unit: pauses.
  private static let gatherLimit = 80
  /// How much a thread takes at once, so that the lock is taken once for several.
  ///
  /// Unit: items.
  static let batchLimit = 16

  /// As it was at first.
  private let maxThreads: Int

  init(maxThreads: Int, idleTimeout: Duration?) {
    state = Locked(State(limit: Int32(clamping: maxThreads)), alignment: 64)
    self.maxThreads = maxThreads
    self.idleTimeout = idleTimeout
  }

  enum Pushed {
    case accepted
    /// Accepted, and nobody is free to run it: start another thread.
    case acceptedThreadWanted
    case closed
  }
  func push(_ work: ThreadWork, priority: JobPriority = .medium) -> Pushed {
    if case .future(let future) = work, unsafe handover.give(future) { return .accepted }
    let pushed = state.withLock { state -> Pushed in
      if state.isClosed { return .closed }
      state.queues.push(work, priority)
      let waiting = noteCount(state)
      // A sleeper that was woken counts until it runs: what waits must not be more than those who are free to take it.
      let free = sleepers.load(ordering: .relaxed) + (handover.isWanted ? 1 : 0)
      if state.live < state.limit && waiting > free {
        state.started += 1
        state.live += 1
        return .acceptedThreadWanted
      }
      return .accepted
    }
    if case .accepted = pushed { wakeIfNeeded() }
    return pushed
  }
  /// A thread that was wanted starts; it is given its batch.
  func enrol() -> ThreadBatch {
    let batch = ThreadBatch(filled)
    state.withLock { $0.batches.append(batch) }
    return batch
  }
  /// The thread that was wanted could not be started.
  ///
  /// Returns whether any runs.
  func threadDidNotStart(_ batch: ThreadBatch) -> Bool {
    state.withLock { state in
      state.batches.removeAll { $0 === batch }
      state.started -= 1
      state.live -= 1
      return state.live > 0
    }
  }
  /// Another number of threads; those that are too many leave when they look for work.
  ///
  /// Returns how many are to be started, for what waits.
  func resize(to limit: Int) -> Int {
    let wanted = state.withLock { state in
      state.limit = Int32(clamping: limit)
      isCrowded.store(state.live > state.limit, ordering: .sequentiallyConsistent)
      let free = sleepers.load(ordering: .relaxed) + (handover.isWanted ? 1 : 0)
      // What a thread took in advance may lie behind a long job of its own: it waits too.
      let waiting = state.batches.reduce(Int(state.queues.count)) { $0 + $1.size }
      let wanted = state.isClosed ? 0 : max(0, min(limit - Int(state.live), waiting - free))
      state.started += wanted
      state.live += Int32(wanted)
      return wanted
    }
    parker.unpark()
    return wanted
  }
  /// Whether the thread of `batch` leaves: there are too many, or, where it has slept, nothing has come for long.
  private func leaves(_ batch: ThreadBatch, hasSlept: Bool) -> Bool {
    state.withLock { state in
      if state.isClosed { return false }
      // Work that came meanwhile counts on whoever slept.
      guard state.live > state.limit || hasSlept && state.queues.isEmpty else { return false }
      state.live -= 1
      isCrowded.store(state.live > state.limit, ordering: .sequentiallyConsistent)
      state.batches.removeAll { $0 === batch }
      while let work = batch.pop() { state.queues.push(work) }
      noteCount(state)
      return true
    }
  }
  /// Whether so many threads may be running now, none of them looking for work.
  func keepsBusy(_ processors: Int) -> Bool {
    maxThreads >= processors && sleepers.load(ordering: .relaxed) == 0 && !handover.isSearching
  }
  /// Whether something waits that no thread that is awake will take at once: one that was woken for it may not run yet.
  var isUntaken: Bool {
    (handover.isUntaken || state.tally > 0) && gatherers.load(ordering: .relaxed) == 0
  }
  /// Whether a thread was woken, or gave its processor back, that does not look for work yet: it may want the processor of who asks.
  var isWakingOne: Bool { isWaking.load(ordering: .relaxed) || isYielding.load(ordering: .relaxed) }
  /// Threads that were wanted, less those that could not be started.
  var startedCount: Int { state.withLock { $0.started } }
  @inline(__always) private func wakeIfNeeded() {
    #if !arch(x86_64)
      // Between what was pushed and the look at who searches; on x86-64 giving the lock back is one.
      atomicMemoryFence(ordering: .sequentiallyConsistent)
    #endif
    // Whoever is about to sleep has counted itself before it looks at the queue for the last time, under the lock: Threads/README.md.
    guard sleepers.load(ordering: .sequentiallyConsistent) > 0, !handover.isSearching,
      !isWaking.load(ordering: .sequentiallyConsistent),
      isWaking.compareExchange(expected: false, desired: true, ordering: .sequentiallyConsistent).exchanged
    else { return }
    parker.unpark(1)
  }

  /// The next work for the thread that has `own`.
  ///
  /// Blocks. nil: closed, and nothing is left; or the thread is to leave.
  func next(_ own: ThreadBatch) -> ThreadWork? {
    var idleEnd: MonotonicTime?
    while true {
      if isCrowded.load(ordering: .relaxed) && leaves(own, hasSlept: false) {
        // What it gave back, and what it would have looked for, is the others'.
        wakeIfNeeded()
        return nil
      }
      if let work = own.pop() { return work }
      gather()
      if let work = takeNow(own) { return work }
      // The kernel likes to wake a thread on the processor of who woke it, who would wait now until this one sleeps again; and who waits may
      // have given this thread its processor.
      let hasSlept = own.takeHasSlept()
      if helping.takeGaveWay() || hasSlept {
        isYielding.store(true, ordering: .relaxed)
        heddle_yield()
        isYielding.store(false, ordering: .relaxed)
      }
      if handover.begin() {
        let limit = searching.limit
        var spins = 0
        while spins < limit && handover.isWanted && state.tally == 0 {
          heddle_pause()
          spins += 1
        }
        searching.searched(spins, of: limit)
        if handover.isUntaken { gather() }
        if let work = unsafe handover.end().map(ThreadWork.future) ?? takeNow(own) {
          // While this thread searched nobody was woken: pass that on.
          if hasMore { wakeIfNeeded() }
          return work
        }
      }
      own.noteSleep()
      let ticket = parker.ticket
      sleepers.add(1, ordering: .sequentiallyConsistent)
      // Between the ticket and the last look: who wakes somebody from here on wakes this thread, or is seen by it.
      isWaking.store(false, ordering: .sequentiallyConsistent)
      var work = takeNow(own)
      // The last look is under the lock: a push is before it, and seen, or after it, and sees this sleeper.
      let (isClosed, isEmpty) = state.withLock { state in (state.isClosed, state.queues.isEmpty) }
      let sleeps = work == nil && !isClosed && isEmpty
      if sleeps {
        if idleEnd == nil, let idleTimeout { idleEnd = .now + idleTimeout }
        if !isCrowded.load(ordering: .sequentiallyConsistent) { parker.park(ticket: ticket, until: idleEnd ?? .distantFuture) }
        isWaking.store(false, ordering: .sequentiallyConsistent)
      }
      sleepers.subtract(1, ordering: .sequentiallyConsistent)
      if work == nil && !isClosed { work = takeNow(own) }
      // The clock is asked last: who was woken for work is waited for.
      if work == nil, sleeps, let idleEnd, idleEnd <= .now, leaves(own, hasSlept: true) { return nil }
      if let work {
        // Wake-ups are passed on: while one searched, several came and nobody was woken for them.
        if hasMore { wakeIfNeeded() }
        return work
      }
      if isClosed { return takeNow(own) }
    }
  }
  /// Lets a little more come where little waits and more is coming: one thread that submits and several that take at once what it
  /// brings meet at the lock for each job, which costs the one three times as long.
  ///
  /// Where nothing came meanwhile, since who submits waits for what it submitted, one waits half as long the next time.
  private func gather() {
    var waiting = self.waiting
    guard waiting > 0 && waiting < Self.gatherGoal else { return }
    let patience = gathering.next()
    if patience == 0 { return }
    // Who waits for what waits here need not give its processor away for it.
    gatherers.add(1, ordering: .relaxed)
    var hasGrown = false
    var spins = 0
    while spins < patience && waiting < Self.gatherGoal {
      // Not at each pause: each look takes the count from who submits.
      for _ in 0..<8 { heddle_pause() }
      spins += 8
      let now = self.waiting
      if now < waiting { break }
      if now > waiting {
        (waiting, spins, hasGrown) = (now, 0, true)
      }
    }
    gatherers.subtract(1, ordering: .relaxed)
    gathering.looked(patience, inVain: !hasGrown)
  }
  /// Says how much waits in the queues, to those who look without the lock; returns it.
  @inline(__always) @discardableResult private func noteCount(_ state: borrowing State) -> Int {
    let count = state.queues.count
    self.state.tally = count
    return Int(count)
  }
  /// What waits in the queues and in the searcher's hands.
  private var waiting: Int { Int(state.tally) + (handover.isUntaken ? 1 : 0) }
  /// Whether something waits, in the queue or in what a thread took in advance.
  private var hasMore: Bool { state.tally > 0 || !filled.isZero }
  /// From the searcher's hands, from the queue, or from another thread's batch; for a thread whose own batch is empty.
  private func takeNow(_ own: ThreadBatch) -> ThreadWork? {
    if let future = unsafe handover.take() {
      // Who pushed meanwhile relied on the searcher, who may be about to sleep now.
      if hasMore { wakeIfNeeded() }
      return unsafe .future(future)
    }
    if state.tally > 0, let work = takeShare(own) { return work }
    return filled.isZero ? nil : takeFromOthers(than: own)
  }
  /// From the queue: the first, and where many wait more of them into the batch.
  @inline(__always) private func takeShare(_ own: ThreadBatch) -> ThreadWork? {
    var tookMore = false
    let work = state.withLock { state -> ThreadWork? in
      defer { noteCount(state) }
      return state.queues.pop(upTo: Self.batchLimit, oneOf: 2 * Int(state.limit)) { ring, share in
        // Under both locks, so that one who looks for work sees it in the queue or here.
        own.fill(from: &ring, share)
        tookMore = true
      }
    }
    // What lies behind a job that may be long can be taken by others: they must not sleep.
    if tookMore { wakeIfNeeded() }
    return work
  }
  /// What lies in another thread's batch.
  @inline(never) private func takeFromOthers(than own: ThreadBatch) -> ThreadWork? {
    for other in state.withLock({ $0.batches }) where other !== own { if let work = other.pop() { return work } }
    return nil
  }

  /// Takes out every future that waits.
  func takeAll() -> [AnyFuture] {
    state.withLock { state in
      defer { noteCount(state) }
      return takeFutures(&state)
    }
  }
  private func takeFutures(_ state: inout State) -> [AnyFuture] {
    var futures: [AnyFuture] = []
    // What threads took in advance has not started either.
    for batch in state.batches { while let work = batch.pop() { state.queues.push(work) } }
    var steps: [ThreadWork] = []
    while let work = state.queues.pop() {
      switch work {
      case .future(let future): unsafe futures.append(future.takeRetainedValue())
      case .step: steps.append(work)
      }
    }
    for step in steps { state.queues.push(step) }
    return futures
  }
  /// Accepts nothing more.
  ///
  /// With `dropping`, takes out the futures that wait; steps of tasks stay, since a task cannot be dropped.
  func close(dropping: Bool) -> [AnyFuture] {
    let dropped = state.withLock { state -> [AnyFuture] in
      state.isClosed = true
      if let future = unsafe handover.close() { unsafe state.queues.push(.future(future)) }
      defer { noteCount(state) }
      return dropping ? takeFutures(&state) : []
    }
    parker.unpark()
    return dropped
  }
}
