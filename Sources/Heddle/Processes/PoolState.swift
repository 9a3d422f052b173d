/// What a pool of workers decides, as a pure value: no clock, no lock, no input or output, no bytes.
///
/// It is told what happened (`jobSubmitted`, `workerExited`) and says what to do next (`next`). It knows counts: how many jobs wait,
/// and how many each worker holds. Which job is where is the supervisor's book-keeping. An impossible event traps.
struct PoolState: Sendable, Hashable {
  /// Names a place for a worker, from 0; the place is used again after its worker has gone.
  typealias Place = Int

  /// One place.
  struct Worker: Sendable, Hashable {
    enum Phase: Sendable, Hashable {
      /// Nobody. Next: `requested`.
      case absent
      /// The supervisor was asked to start one. Next: `starting`, or `absent` where that failed.
      case requested
      /// Spawned, no greeting yet; its ring takes jobs, unless it has something to do first. Next: `running`, `leaving`, or `absent`.
      case starting
      /// Has greeted. Next: `leaving`, or `absent`.
      case running
      /// Was told to go, or is being killed; takes no more. Next: `absent`.
      case leaving
    }
    var phase = Phase.absent
    /// Jobs sent to it that have not ended: those that run and those behind them.
    var held = 0
    /// How many it may hold.
    ///
    /// From `width` to `PoolState.capacity`.
    var window = PoolState.firstWindow
    /// Nanoseconds a job takes, smoothed; 0: not known.
    var cost = 0.0
    /// It takes no more until something of it ends: its ring is full, or a large job is on the way in.
    var isBlocked = false
    /// Jobs of it that have ended, and that number at the last tick: whether it makes progress.
    var ended = 0
    var endedAtTick = 0
    /// Jobs that it ran to their end.
    var ran = 0
    /// It gets no more jobs, and goes when the last one of it has ended.
    var isSpent = false

    var isAlive: Bool { phase == .starting || phase == .running }
  }

  /// What to do next, as one small value.
  enum Step: Sendable, Equatable {
    case nothing
    /// Take up to `count` waiting jobs and send them to `place`; then tell `jobsSent`.
    case send(place: Place, count: Int)
    /// Start a worker at `place`; then tell `workerSpawned` or `workerNotSpawned`.
    case start(place: Place)
    /// Tell the worker at `place`, which holds no job and gets none, to go.
    case retire(place: Place)
  }

  /// The most jobs that one worker holds: its claim words.
  let capacity: Int
  /// How many jobs one worker runs at once.
  let width: Int
  /// After so many jobs a worker makes room for a new one; `.max`: never.
  let quota: Int
  /// Whether a worker has something to do before its first job: until then it gets none.
  let prepares: Bool
  /// How many workers there may be at once.
  private(set) var limit: Int
  /// Of these never fewer, and more only after `resized`.
  private(set) var workers: [Worker]
  /// Jobs that are in no worker's hands.
  private(set) var waiting = 0
  private(set) var isShutDown = false
  /// Workers in a row that ended before they greeted, or could not be spawned.
  private(set) var failedStarts = 0
  /// Workers that hold jobs.
  private(set) var busyCount = 0
  /// Workers that are spent and have not been told to go.
  private var spentCount = 0
  /// Of those that somebody killed before they greeted, in a row.
  private var killedStarts = 0
  /// Nothing can be done until something happens: `next` answered so.
  private var isSaturated = false

  /// A worker holds no more than this much work beyond what it runs, so that what waits can still go elsewhere.
  ///
  /// Unit: nanoseconds.
  private static let windowTime = 1_500_000.0
  /// Until the cost of a job is known.
  ///
  /// Small, since a job may be long; the first results raise it.
  fileprivate static let firstWindow = 4
  /// So many failed starts in a row fail what waits, instead of starting for ever.
  static let failedStartLimit = 3
  /// So many that somebody killed from outside before they greeted count as one failed start: that says little about the program.
  private static let killedStartWeight = 10

  init(maxWorkers: Int, width: Int, capacity: Int, quota: Int = .max, prepares: Bool = false) {
    self.capacity = capacity
    self.prepares = prepares
    self.width = width
    self.quota = quota
    limit = maxWorkers
    workers = Array(repeating: Worker(), count: maxWorkers)
  }

  // MARK: Decisions

  /// What to do next.
  ///
  /// To be asked until it answers `.nothing`.
  mutating func next() -> Step {
    if spentCount > 0, let place = workers.firstIndex(where: { $0.isSpent && $0.isAlive && $0.held == 0 }) {
      workers[place].phase = .leaving
      spentCount -= 1
      return .retire(place: place)
    }
    if waiting == 0 || isSaturated { return .nothing }
    // An idle worker first, then a new one, then a place behind a job that runs.
    var idle: Place?
    var absent: Place?
    var shortest: Place?
    var requested = 0
    var present = 0
    for place in workers.indices {
      let worker = workers[place]
      if worker.phase != .absent { present += 1 }
      switch worker.phase {
      case .absent: if absent == nil { absent = place }
      case .requested: requested += 1
      case .leaving: break
      case .starting where prepares: requested += 1
      case .starting, .running:
        if worker.isBlocked || worker.isSpent || worker.held >= quota - worker.ran { continue }
        if worker.held < width {
          // One that runs before one that still has to start.
          if idle == nil || workers[idle!].phase == .starting && worker.phase == .running { idle = place }
        } else if worker.held < worker.window, shortest == nil || worker.held < workers[shortest!].held {
          shortest = place
        }
      }
    }
    if let idle { return .send(place: idle, count: min(waiting, width - workers[idle].held, room(of: workers[idle]))) }
    if let absent, present < limit, requested < waiting, failedStarts < Self.failedStartLimit {
      workers[absent] = Worker(phase: .requested)
      return .start(place: absent)
    }
    if let shortest {
      return .send(place: shortest, count: min(waiting, workers[shortest].window - workers[shortest].held, room(of: workers[shortest])))
    }
    isSaturated = true
    return .nothing
  }
  /// How many more jobs a worker may be sent before it has had its quota.
  private func room(of worker: Worker) -> Int { quota - worker.ran - worker.held }

  /// Jobs that lie behind others although nothing of their worker has ended since the last tick: they go back to the queue.
  ///
  /// To be asked about every two milliseconds while `needsTicks`. Answers with the places whose waiting jobs are to be taken back;
  /// then tell `jobsTakenBack`.
  mutating func tick() -> [Place] {
    var stalled: [Place] = []
    let isSomebodyFree = workers.contains { $0.phase == .running && $0.held < width && !$0.isBlocked && !$0.isSpent }
    for place in workers.indices where isShortOfRoom(workers[place]) {
      workers[place].isBlocked = false
      isSaturated = false
    }
    for place in workers.indices where unstarted(workers[place]) > 0 {
      let isStill = workers[place].ended == workers[place].endedAtTick
      workers[place].endedAtTick = workers[place].ended
      // One that has not greeted yet keeps its jobs unless somebody could run them now.
      if isStill && (workers[place].phase == .running || isSomebodyFree) { stalled.append(place) }
    }
    return stalled
  }
  /// Whether some job lies behind another one, or a worker without one has no room.
  var needsTicks: Bool { workers.contains { unstarted($0) > 0 || isShortOfRoom($0) } }
  /// It could run a job, but its ring is full of what it has yet to pass over: no event will tell.
  private func isShortOfRoom(_ worker: Worker) -> Bool {
    waiting > 0 && worker.isBlocked && !worker.isSpent && worker.held < width && (worker.phase == .running || worker.phase == .starting)
  }
  private func unstarted(_ worker: Worker) -> Int {
    switch worker.phase {
    case .absent, .requested: 0
    case .starting: worker.held
    case .running, .leaving: max(0, worker.held - width)
    }
  }
  /// Shut down, and no job is left: the workers may go.
  var isDrained: Bool { isShutDown && waiting == 0 && workers.allSatisfy { $0.held == 0 } }
  var areAllGone: Bool { workers.allSatisfy { $0.phase == .absent } }
  var liveCount: Int { workers.count { $0.phase == .starting || $0.phase == .running } }

  private mutating func changeHeld(of place: Place, by change: Int) {
    let wasBusy = workers[place].held > 0
    workers[place].held += change
    let isBusy = workers[place].held > 0
    if isBusy != wasBusy { busyCount += isBusy ? 1 : -1 }
  }

  // MARK: Events

  /// Jobs wait: one was submitted, or came back for another attempt.
  mutating func jobSubmitted() {
    // Starts that failed while nothing waited gave up nobody's job. This one has a try of its own: nothing else would ever wake anybody.
    if failedStarts >= Self.failedStartLimit && waiting == 0 && liveCount == 0 { startsMayBeTriedAgain() }
    waiting += 1
  }
  /// `count` of the waiting jobs are in the ring of `place`.
  ///
  /// With `isBlocked` there was no room for more, or no more may follow now.
  mutating func jobsSent(to place: Place, count: Int, isBlocked: Bool) {
    precondition(count <= waiting, "\(count) jobs sent of \(self)")
    waiting -= count
    changeHeld(of: place, by: count)
    workers[place].isBlocked = isBlocked
  }
  /// Waiting jobs that ended where they waited: cancelled, or dropped at shutdown.
  mutating func waitingJobsEnded(_ count: Int) {
    precondition(count <= waiting, "\(count) waiting jobs ended of \(self)")
    waiting -= count
  }
  /// Jobs that `place` held have ended; those that were cancelled before it started them did not `run`.
  mutating func jobsEnded(at place: Place, count: Int, run: Bool = true) {
    precondition(count <= workers[place].held, "\(count) jobs ended at \(place) of \(self)")
    changeHeld(of: place, by: -count)
    workers[place].ended += count
    if run {
      workers[place].ran += count
      if workers[place].ran >= quota { workerSpent(place) }
    }
    workers[place].isBlocked = false
    isSaturated = false
  }
  /// The ring of `place` has room again, or its large job is in.
  mutating func unblocked(_ place: Place) {
    workers[place].isBlocked = false
    isSaturated = false
  }
  /// `place` reported that `count` jobs took so long.
  ///
  /// Unit: nanoseconds.
  mutating func costReported(by place: Place, nanoseconds: Double, count: Double) {
    let cost = nanoseconds / count
    let old = workers[place].cost
    workers[place].cost = old == 0 ? cost : old * 0.75 + cost * 0.25
    let fit = Self.windowTime / max(workers[place].cost, 1)
    let window = min(capacity, fit >= Double(capacity) ? capacity : (1 + Int(fit)) * width)
    if window > workers[place].window { isSaturated = false }
    workers[place].window = window
  }
  /// `count` jobs that `place` held but had not started wait again.
  mutating func jobsTakenBack(from place: Place, count: Int) {
    precondition(count <= workers[place].held, "\(count) jobs taken back from \(place) of \(self)")
    changeHeld(of: place, by: -count)
    workers[place].window = width
    waiting += count
    isSaturated = false
  }
  mutating func workerSpawned(at place: Place) {
    precondition(workers[place].phase == .requested, "spawned at \(place) of \(self)")
    workers[place].phase = .starting
    isSaturated = false
    // The pool may have been made smaller meanwhile.
    if workers.count(where: { $0.phase != .absent && !$0.isSpent }) > limit { workerSpent(place) }
  }
  mutating func workerNotSpawned(at place: Place) {
    precondition(workers[place].phase == .requested, "not spawned at \(place) of \(self)")
    workers[place] = Worker()
    failedStarts += 1
    isSaturated = false
  }
  mutating func workerGreeted(at place: Place) { if !prepares { workerPrepared(place) } }
  /// `place` is ready for its first job.
  mutating func workerPrepared(_ place: Place) {
    if workers[place].phase == .starting { workers[place].phase = .running }
    failedStarts = 0
    killedStarts = 0
    isSaturated = false
  }
  /// `place` could not be made ready, and is being killed.
  mutating func workerFailed(at place: Place) {
    failedStarts += 1
    workerLeaves(place)
  }
  /// `place` is to go: it takes no more.
  ///
  /// What it holds goes on until it has gone.
  mutating func workerLeaves(_ place: Place) {
    if workers[place].isSpent && workers[place].isAlive { spentCount -= 1 }
    if workers[place].phase != .absent { workers[place].phase = .leaving }
  }
  /// `place` gets no more jobs: its memory has grown, it has idled, or there are too many.
  ///
  /// What it runs goes on; then `next` retires it. What lies behind that should be taken back.
  mutating func workerSpent(_ place: Place) {
    guard workers[place].isAlive, !workers[place].isSpent else { return }
    workers[place].isSpent = true
    spentCount += 1
  }
  /// Another number of workers.
  ///
  /// Answers with the places that have to go, those without a job first.
  mutating func resized(to count: Int) -> [Place] {
    limit = count
    if count > workers.count { workers += Array(repeating: Worker(), count: count - workers.count) }
    isSaturated = false
    // Those that were only asked for are looked at when they are there.
    let alive = workers.indices.filter { workers[$0].isAlive && !workers[$0].isSpent }
    let surplus = max(0, workers.count(where: { $0.phase != .absent && !$0.isSpent }) - count)
    let chosen = alive.sorted { workers[$0].held < workers[$1].held }.prefix(surplus)
    for place in chosen { workerSpent(place) }
    return Array(chosen)
  }
  /// The process has gone.
  ///
  /// Of the jobs it held, `failed` had started and end with it, `back` wait again. `wasKilled`: from outside, by nobody of ours.
  mutating func workerExited(at place: Place, failed: Int, back: Int, wasKilled: Bool = false) {
    precondition(failed + back == workers[place].held, "\(failed) failed and \(back) back at \(place) of \(self)")
    if workers[place].phase == .starting {
      if wasKilled { killedStarts += 1 }
      if !wasKilled || killedStarts % Self.killedStartWeight == 0 { failedStarts += 1 }
    }
    if workers[place].isSpent && workers[place].isAlive { spentCount -= 1 }
    if workers[place].held > 0 { busyCount -= 1 }
    workers[place] = Worker()
    waiting += back
    isSaturated = false
  }
  /// Nothing is submitted any more.
  mutating func shutDown() { isShutDown = true }
  /// Whether nothing more can be started, so that what waits has to fail.
  var mustGiveUp: Bool {
    failedStarts >= Self.failedStartLimit && waiting > 0 && liveCount == 0 && !workers.contains { $0.phase != .absent }
  }
  /// Jobs wait for the few workers that are there, since starting the others failed.
  var isShortOfWorkers: Bool {
    failedStarts >= Self.failedStartLimit && waiting > 0 && workers.count(where: { $0.phase != .absent }) < limit
  }
  /// One further failed start is allowed: what waited has failed, or some time has passed.
  mutating func startsMayBeTriedAgain() {
    failedStarts = Self.failedStartLimit - 1
    isSaturated = false
  }
}
