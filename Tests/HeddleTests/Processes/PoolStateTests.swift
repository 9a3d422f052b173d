import Testing

@testable import Heddle

/// A world around a `PoolState`: it knows who holds which job, and answers to what the state decides.
private struct World: Hashable {
  enum Place: Hashable {
    case absent
    case requested
    /// In order; `running` of the first has been claimed.
    case alive(jobs: [Int], running: Int, greeted: Bool, leaving: Bool)
  }
  var state: PoolState
  var places: [Place]
  var queue: [Int] = []
  var submitted = 0
  var ended: Set<Int> = []
  var deaths = 0
  /// Places that were not empty after the last event: a pool that is made smaller keeps them until they are done.
  var wereThere = 0
  var failedSpawns = 0
  var isShutDown = false
  let width: Int
  let jobLimit: Int
  /// How often workers are spent, the pool is resized, costs are reported, jobs cancelled, and initializers fail.
  var budget = Budget()
  /// Up to what size the pool is resized.
  var sizeLimit = 2

  struct Budget: Hashable {
    var spent = 0
    var resizes = 0
    var costs = Int.max
    var cancels = Int.max
    var failedInitializers = 0
  }

  init(workers: Int, width: Int, jobs: Int, capacity: Int, quota: Int = .max, prepares: Bool = false) {
    state = PoolState(maxWorkers: workers, width: width, capacity: capacity, quota: quota, prepares: prepares)
    places = Array(repeating: .absent, count: workers)
    self.width = width
    jobLimit = jobs
  }
  enum Event: Hashable {
    case submit, spawned(Int), notSpawned(Int), greet(Int), claim(Int), end(Int), dies(Int), tick, shutDown(dropping: Bool), cancelWaiting
    case cancelSent(Int), cost(Int, fast: Bool), exits(Int), spent(Int), resize(Int), failsToPrepare(Int)
  }
  /// What may happen next.
  func events(deaths deathLimit: Int = 2, spawnFailures: Int = 1) -> [Event] {
    var events: [Event] = [.tick]
    if submitted < jobLimit && !isShutDown { events.append(.submit) }
    if !queue.isEmpty && budget.cancels > 0 { events.append(.cancelWaiting) }
    if !isShutDown { events += [.shutDown(dropping: false), .shutDown(dropping: true)] }
    if budget.resizes > 0 { for count in 1...sizeLimit where count != state.limit { events.append(.resize(count)) } }
    for place in places.indices {
      switch places[place] {
      case .absent: break
      case .requested:
        events.append(.spawned(place))
        if failedSpawns < spawnFailures { events.append(.notSpawned(place)) }
      case .alive(let jobs, let running, let greeted, let leaving):
        if deaths < deathLimit { events.append(.dies(place)) }
        if budget.spent > 0 && state.workers[place].isAlive && !state.workers[place].isSpent { events.append(.spent(place)) }
        if leaving && running == 0 { events.append(.exits(place)) }
        if !greeted {
          if !leaving || !state.prepares { events.append(.greet(place)) }
          if state.prepares && !leaving && budget.failedInitializers > 0 { events.append(.failsToPrepare(place)) }
        } else {
          if running < min(width, jobs.count) { events.append(.claim(place)) }
          if running > 0 { events.append(.end(place)) }
          if running > 0 && budget.costs > 0 { events += [.cost(place, fast: true), .cost(place, fast: false)] }
        }
        if jobs.count > running && !leaving && budget.cancels > 0 { events.append(.cancelSent(place)) }
      }
    }
    return events
  }
  mutating func apply(_ event: Event) throws {
    switch event {
    case .submit:
      queue.append(submitted)
      submitted += 1
      state.jobSubmitted()
    case .cancelWaiting:
      budget.cancels -= 1
      try end(queue.removeLast())
      state.waitingJobsEnded(1)
    case .spawned(let place):
      places[place] = .alive(jobs: [], running: 0, greeted: false, leaving: false)
      state.workerSpawned(at: place)
    case .notSpawned(let place):
      places[place] = .absent
      failedSpawns += 1
      state.workerNotSpawned(at: place)
    case .greet(let place):
      alter(place) { _, _, greeted, _ in greeted = true }
      state.workerGreeted(at: place)
      if state.prepares { state.workerPrepared(place) }
    case .failsToPrepare(let place):
      budget.failedInitializers -= 1
      alter(place) { _, _, _, leaving in leaving = true }
      state.workerFailed(at: place)
    case .claim(let place): alter(place) { _, running, _, _ in running += 1 }
    case .end(let place):
      var job = -1
      alter(place) { jobs, running, _, _ in
        job = jobs.removeFirst()
        running -= 1
      }
      try end(job)
      state.jobsEnded(at: place, count: 1)
    case .cost(let place, let fast):
      budget.costs -= 1
      state.costReported(by: place, nanoseconds: fast ? 500 : 5_000_000, count: 1)
    case .cancelSent(let place):
      var job = -1
      budget.cancels -= 1
      alter(place) { jobs, _, _, _ in job = jobs.removeLast() }
      try end(job)
      state.jobsEnded(at: place, count: 1, run: false)
    case .spent(let place):
      budget.spent -= 1
      state.workerSpent(place)
      takeBack(place)
    case .resize(let count):
      budget.resizes -= 1
      let going = state.resized(to: count)
      while places.count < state.workers.count { places.append(.absent) }
      for place in going { takeBack(place) }
    case .dies(let place), .exits(let place):
      guard case .alive(let jobs, let running, _, _) = places[place] else { throw Broken("dies at \(place)") }
      if case .dies = event { deaths += 1 }
      places[place] = .absent
      for job in jobs.prefix(running) { try end(job) }
      queue = jobs.dropFirst(running) + queue
      state.workerExited(at: place, failed: running, back: jobs.count - running)
    case .tick: for place in state.tick() { takeBack(place) }
    case .shutDown(let dropping):
      isShutDown = true
      state.shutDown()
      if dropping {
        for place in places.indices { takeBack(place) }
        for job in queue { try end(job) }
        state.waitingJobsEnded(queue.count)
        queue = []
      }
    }
    try settle(wakesSupervisor: event != .submit)
    try check()
  }
  private mutating func takeBack(_ place: Int) {
    guard case .alive(let jobs, let running, _, _) = places[place], jobs.count > running else { return }
    alter(place) { jobs, running, _, _ in jobs.removeLast(jobs.count - running) }
    queue = jobs.dropFirst(running) + queue
    state.jobsTakenBack(from: place, count: jobs.count - running)
  }
  private mutating func end(_ job: Int) throws { if !ended.insert(job).inserted { throw Broken("job \(job) ended twice") } }
  private mutating func alter(_ place: Int, _ body: (inout [Int], inout Int, inout Bool, inout Bool) -> Void) {
    guard case .alive(var jobs, var running, var greeted, var leaving) = places[place] else { return }
    body(&jobs, &running, &greeted, &leaving)
    places[place] = .alive(jobs: jobs, running: running, greeted: greeted, leaving: leaving)
  }
  /// Carries out what the state wants, as the supervisor does.
  ///
  /// Only it gives up; whoever submits a job does not wake it.
  private mutating func settle(wakesSupervisor: Bool) throws {
    for step in 0... {
      if step > 100 { throw Broken("the state never comes to rest") }
      let next = state.next()
      if next == .nothing { break }
      switch next {
      case .nothing: break
      case .start(let place):
        guard places[place] == .absent else { throw Broken("start at \(place), which is \(places[place])") }
        places[place] = .requested
      case .send(let place, let count):
        guard case .alive(let jobs, _, _, let leaving) = places[place], !leaving else {
          throw Broken("send to \(place), which is \(places[place])")
        }
        guard count > 0, count <= queue.count, jobs.count + count <= state.capacity else { throw Broken("send of \(count)") }
        let next = queue.prefix(count)
        alter(place) { jobs, _, _, _ in jobs += next }
        queue.removeFirst(count)
        state.jobsSent(to: place, count: count, isBlocked: false)
      case .retire(let place):
        guard case .alive([], 0, _, leaving: false) = places[place] else { throw Broken("retire \(place), which is \(places[place])") }
        alter(place) { _, _, _, leaving in leaving = true }
      }
    }
    if state.mustGiveUp {
      if !wakesSupervisor { throw Broken("a job came, and nobody is told that no worker will") }
      for job in queue { try end(job) }
      state.waitingJobsEnded(queue.count)
      queue = []
      state.startsMayBeTriedAgain()
    }
    if state.isDrained {
      for place in places.indices {
        guard case .alive(_, _, _, let leaving) = places[place], !leaving else { continue }
        alter(place) { _, _, _, leaving in leaving = true }
        state.workerLeaves(place)
      }
    }
  }
  private mutating func check() throws {
    defer { wereThere = places.count { $0 != .absent } }
    var open: Set<Int> = []
    for job in queue + places.flatMap({ if case .alive(let jobs, _, _, _) = $0 { jobs } else { [Int]() } })
    where ended.contains(job) || !open.insert(job).inserted {
      throw Broken("job \(job) is in two places")
    }
    let present = places.count { if case .alive(_, _, _, leaving: false) = $0 { true } else { $0 == .requested } }
    if present > max(state.limit, wereThere) { throw Broken("\(present) workers of \(state.limit)") }
    for place in places where state.prepares {
      if case .alive(let jobs, _, greeted: false, _) = place, !jobs.isEmpty { throw Broken("a job before the initializer") }
    }
    for place in places.indices where state.workers[place].ran + state.workers[place].held > state.quota { throw Broken("over its quota") }
    if open.count + ended.count != submitted { throw Broken("a job is lost") }
    if state.waiting != queue.count { throw Broken("\(state.waiting) wait, the queue has \(queue.count)") }
    for place in places.indices {
      let held = if case .alive(let jobs, _, _, _) = places[place] { jobs.count } else { 0 }
      if state.workers[place].held != held { throw Broken("place \(place) holds \(held)") }
      if (places[place] == .absent) != (state.workers[place].phase == .absent) { throw Broken("phase of \(place)") }
    }
    if state.busyCount != state.workers.count(where: { $0.held > 0 }) { throw Broken("\(state.busyCount) are busy of \(state)") }
    // What waits can always go on: somebody is free to be asked, or will report.
    if !queue.isEmpty && places.allSatisfy({ $0 == .absent }) { throw Broken("jobs wait and nobody is there") }
    if state.areAllGone && isShutDown && queue.isEmpty != true { throw Broken("gone with jobs") }
  }
  /// Whether everything is over after shutdown.
  var isOver: Bool { isShutDown && ended.count == submitted && places.allSatisfy { $0 == .absent } && state.isDrained && state.areAllGone }
  /// What happens next if nothing more goes wrong.
  func stepToTheEnd() throws -> Event {
    if !isShutDown { return .shutDown(dropping: false) }
    let good = events(deaths: 0, spawnFailures: 0).first {
      switch $0 {
      case .spawned, .greet, .claim, .end, .exits: true
      default: false
      }
    }
    guard let good else { throw Broken("stuck: \(self)") }
    return good
  }
  /// Lets everything run to its end.
  mutating func finish() throws {
    var steps = 0
    while !isOver && steps < 1000 {
      steps += 1
      try apply(stepToTheEnd())
    }
    if !isOver { throw Broken("shutdown is never reached: \(self)") }
  }
}
private struct Broken: Error, CustomStringConvertible {
  var description: String
  init(_ description: String) { self.description = description }
}

/// The pool's decisions, without a process.
@Suite struct PoolStateTests {
  /// What an exhaustive walk explores: everything that may happen, in every order, as often as it says.
  struct Corner: Sendable, CustomTestStringConvertible {
    var name: String
    var workers = 2
    var width = 1
    var jobs = 3
    var quota = Int.max
    var prepares = false
    var deaths = 0
    var failedSpawns = 0
    fileprivate var budget = World.Budget(costs: 0, cancels: 0)
    var testDescription: String { name }
  }
  static let corners = [
    Corner(name: "deaths", deaths: 1),
    Corner(name: "failed starts", jobs: 2, deaths: 1, failedSpawns: 3),
    Corner(name: "deaths, failed starts and cancels", deaths: 1, failedSpawns: 1, budget: World.Budget(costs: 0, cancels: 1)),
    Corner(name: "cancels", budget: World.Budget(costs: 0, cancels: 2)),
    Corner(name: "costs", jobs: 3, budget: World.Budget(costs: 1, cancels: 0)),
    Corner(name: "a quota of one job", quota: 1, deaths: 1),
    Corner(name: "spent workers", jobs: 2, deaths: 1, budget: World.Budget(spent: 2, costs: 0, cancels: 0)),
    Corner(name: "resizes", budget: World.Budget(resizes: 2, costs: 0, cancels: 0)),
    Corner(
      name: "starts that fail while nothing waits", prepares: true,
      budget: World.Budget(spent: 1, costs: 0, cancels: 0, failedInitializers: 3)),
    Corner(name: "initializers", prepares: true, deaths: 1, budget: World.Budget(costs: 0, cancels: 0, failedInitializers: 1)),
    Corner(name: "a worker of two threads", workers: 1, width: 2, deaths: 1, failedSpawns: 1, budget: World.Budget(costs: 0, cancels: 1)),
  ]
  @Test(arguments: corners) func `every order of events keeps each job in one place, and reaches shutdown`(corner: Corner) throws {
    var first = World(
      workers: corner.workers, width: corner.width, jobs: corner.jobs, capacity: 4, quota: corner.quota, prepares: corner.prepares)
    first.budget = corner.budget
    // All states, breadth first; many orders lead to the same one. Of each the hash is kept, and that of the one after it on its way to
    // the end: from every state, whatever happened before, shutdown has to be reached if nothing more goes wrong.
    var seen: Set<Int> = [first.hashValue]
    var frontier = [(first, [World.Event]())]
    var next: [Int: Int] = [:]
    var ends: Set<Int> = []
    while !frontier.isEmpty {
      var following: [(World, [World.Event])] = []
      for (world, path) in frontier {
        if world.isOver { ends.insert(world.hashValue) }
        let way = try world.isOver ? nil : world.stepToTheEnd()
        for event in world.events(deaths: corner.deaths, spawnFailures: corner.failedSpawns) {
          var after = world
          do { try after.apply(event) } catch {
            Issue.record("\(error) after \(path + [event])")
            return
          }
          let hash = after.hashValue
          if event == way { next[world.hashValue] = hash }
          if seen.insert(hash).inserted { following.append((after, path + [event])) }
        }
      }
      frontier = following
    }
    for start in seen {
      var way: Set<Int> = []
      var state = start
      while !ends.contains(state) {
        guard let step = next[state], way.insert(state).inserted else {
          Issue.record("the end is not reached from everywhere")
          return
        }
        state = step
      }
      ends.formUnion(way)
    }
    #expect(seen.count > 1000, "\(seen.count) states")
  }
  @Test(arguments: 0..<12) func `long random walks with many workers keep each job in one place`(seed: UInt64) throws {
    var random = Seeded(seed)
    var world = World(
      workers: Int.random(in: 1...8, using: &random), width: seed % 3 == 0 ? 3 : 1, jobs: .max, capacity: 16,
      quota: seed % 4 == 1 ? 5 : .max)
    if seed % 2 == 1 { world.budget = World.Budget(spent: .max, resizes: .max) }
    world.sizeLimit = 8
    var path: [World.Event] = []
    for _ in 0..<10_000 {
      let events = world.events(deaths: .max, spawnFailures: .max).filter { if case .shutDown = $0 { false } else { true } }
      // Enough submits that something waits, not so many that all do.
      let event = world.queue.count < 5 && Bool.random(using: &random) ? .submit : events.randomElement(using: &random)!
      path.append(event)
      do { try world.apply(event) } catch {
        Issue.record("\(error) with seed \(seed) after \(path.count) events, the last: \(path.suffix(12))")
        return
      }
    }
    do { try world.finish() } catch { Issue.record("\(error) with seed \(seed)") }
  }
  @Test func `a worker whose ring is full is asked again only after something has changed`() {
    var state = PoolState(maxWorkers: 1, width: 1, capacity: 8)
    for _ in 0..<5 { state.jobSubmitted() }
    #expect(state.next() == .start(place: 0))
    #expect(state.next() == .nothing)
    state.workerSpawned(at: 0)
    #expect(state.next() == .send(place: 0, count: 1))
    state.jobsSent(to: 0, count: 1, isBlocked: false)
    guard case .send(0, let count) = state.next() else { return #expect(Bool(false), "a place behind the first") }
    #expect(count >= 1)
    state.jobsSent(to: 0, count: 1, isBlocked: true)
    #expect(state.next() == .nothing)
    state.jobsEnded(at: 0, count: 1)
    #expect(state.next() != .nothing)
  }
  @Test func `a worker without a job and without room is looked at again at the next tick`() {
    var state = PoolState(maxWorkers: 1, width: 1, capacity: 8)
    state.jobSubmitted()
    _ = state.next()
    state.workerSpawned(at: 0)
    state.workerGreeted(at: 0)
    #expect(state.next() == .send(place: 0, count: 1))
    state.jobsSent(to: 0, count: 0, isBlocked: true)
    #expect(state.next() == .nothing)
    #expect(state.needsTicks)
    #expect(state.tick().isEmpty)
    #expect(state.next() == .send(place: 0, count: 1))
  }
  @Test func `three failed starts in a row give up what waits, and the next job tries again`() {
    var state = PoolState(maxWorkers: 2, width: 1, capacity: 8)
    state.jobSubmitted()
    for _ in 0..<PoolState.failedStartLimit {
      guard case .start(let place) = state.next() else { return #expect(Bool(false), "it tries") }
      #expect(!state.mustGiveUp)
      state.workerNotSpawned(at: place)
    }
    #expect(state.next() == .nothing)
    #expect(state.mustGiveUp)
    state.waitingJobsEnded(1)
    state.startsMayBeTriedAgain()
    #expect(!state.mustGiveUp)
    state.jobSubmitted()
    guard case .start(let place) = state.next() else { return #expect(Bool(false), "it tries again") }
    state.workerSpawned(at: place)
    state.workerGreeted(at: place)
    #expect(state.failedStarts == 0)
  }
  @Test func `starts that failed while nothing waited cost the next job nothing`() {
    var state = PoolState(maxWorkers: 4, width: 1, capacity: 8, prepares: true)
    for _ in 0..<4 { state.jobSubmitted() }
    for place in 0..<4 {
      #expect(state.next() == .start(place: place))
      state.workerSpawned(at: place)
    }
    state.workerPrepared(0)
    while case .send(0, let count) = state.next() { state.jobsSent(to: 0, count: count, isBlocked: false) }
    for place in 1..<4 {
      state.workerFailed(at: place)
      state.workerExited(at: place, failed: 0, back: 0)
    }
    #expect(state.failedStarts == 3 && state.waiting == 0)
    // The one that has all jobs is done and goes.
    state.jobsEnded(at: 0, count: 4)
    state.workerSpent(0)
    #expect(state.next() == .retire(place: 0))
    state.workerExited(at: 0, failed: 0, back: 0)
    #expect(!state.mustGiveUp)
    state.jobSubmitted()
    guard case .start = state.next() else { return #expect(Bool(false), "the job waits for ever") }
  }
  @Test func `workers that somebody kills as they start are no proof that none can start`() {
    var state = PoolState(maxWorkers: 1, width: 1, capacity: 8)
    state.jobSubmitted()
    var tries = 0
    while !state.mustGiveUp {
      guard case .start(let place) = state.next() else { return #expect(Bool(false), "it tries") }
      state.workerSpawned(at: place)
      guard case .send = state.next() else { return #expect(Bool(false), "it sends") }
      state.jobsSent(to: place, count: 1, isBlocked: false)
      state.workerExited(at: place, failed: 0, back: 1, wasKilled: true)
      tries += 1
    }
    #expect(tries == 10 * PoolState.failedStartLimit)
  }
}
