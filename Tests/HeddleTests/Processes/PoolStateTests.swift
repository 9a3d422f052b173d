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
  var failedSpawns = 0
  var isShutDown = false
  let width: Int
  let jobLimit: Int

  init(workers: Int, width: Int, jobs: Int, capacity: Int) {
    state = PoolState(maxWorkers: workers, width: width, capacity: capacity)
    places = Array(repeating: .absent, count: workers)
    self.width = width
    jobLimit = jobs
  }
  enum Event: Hashable {
    case submit, spawned(Int), notSpawned(Int), greet(Int), claim(Int), end(Int), dies(Int), tick, shutDown(dropping: Bool), cancelWaiting
    case cancelSent(Int), blocks(Int), unblocks(Int), cost(Int, fast: Bool), exits(Int)
  }
  /// What may happen next.
  func events(deaths deathLimit: Int = 2, spawnFailures: Int = 1) -> [Event] {
    var events: [Event] = [.tick]
    if submitted < jobLimit && !isShutDown { events.append(.submit) }
    if !queue.isEmpty { events.append(.cancelWaiting) }
    if !isShutDown { events += [.shutDown(dropping: false), .shutDown(dropping: true)] }
    for place in places.indices {
      switch places[place] {
      case .absent: break
      case .requested:
        events.append(.spawned(place))
        if failedSpawns < spawnFailures { events.append(.notSpawned(place)) }
      case .alive(let jobs, let running, let greeted, let leaving):
        if deaths < deathLimit { events.append(.dies(place)) }
        if leaving && running == 0 { events.append(.exits(place)) }
        if !greeted {
          events.append(.greet(place))
        } else {
          if running < min(width, jobs.count) { events.append(.claim(place)) }
          if running > 0 { events += [.end(place), .cost(place, fast: true), .cost(place, fast: false)] }
        }
        if jobs.count > running && !leaving { events.append(.cancelSent(place)) }
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
    case .claim(let place): alter(place) { _, running, _, _ in running += 1 }
    case .end(let place):
      var job = -1
      alter(place) { jobs, running, _, _ in
        job = jobs.removeFirst()
        running -= 1
      }
      try end(job)
      state.jobsEnded(at: place, count: 1)
    case .cost(let place, let fast): state.costReported(by: place, nanoseconds: fast ? 500 : 5_000_000, count: 1)
    case .cancelSent(let place):
      var job = -1
      alter(place) { jobs, _, _, _ in job = jobs.removeLast() }
      try end(job)
      state.jobsEnded(at: place, count: 1)
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
    case .blocks, .unblocks: break
    }
    try settle()
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
  private mutating func settle() throws {
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
      }
    }
    if state.mustGiveUp {
      for job in queue { try end(job) }
      state.waitingJobsEnded(queue.count)
      queue = []
      state.gaveUp()
    }
    if state.isDrained {
      for place in places.indices {
        guard case .alive(_, _, _, let leaving) = places[place], !leaving else { continue }
        alter(place) { _, _, _, leaving in leaving = true }
        state.workerLeaves(place)
      }
    }
  }
  private func check() throws {
    var open: Set<Int> = []
    for job in queue + places.flatMap({ if case .alive(let jobs, _, _, _) = $0 { jobs } else { [Int]() } })
    where ended.contains(job) || !open.insert(job).inserted {
      throw Broken("job \(job) is in two places")
    }
    if open.count + ended.count != submitted { throw Broken("a job is lost") }
    if state.waiting != queue.count { throw Broken("\(state.waiting) wait, the queue has \(queue.count)") }
    for place in places.indices {
      let held = if case .alive(let jobs, _, _, _) = places[place] { jobs.count } else { 0 }
      if state.workers[place].held != held { throw Broken("place \(place) holds \(held)") }
      if (places[place] == .absent) != (state.workers[place].phase == .absent) { throw Broken("phase of \(place)") }
    }
    // What waits can always go on: somebody is free to be asked, or will report.
    if !queue.isEmpty && places.allSatisfy({ $0 == .absent }) { throw Broken("jobs wait and nobody is there") }
    if state.areAllGone && isShutDown && queue.isEmpty != true { throw Broken("gone with jobs") }
  }
  /// Whether everything is over after shutdown.
  var isOver: Bool { isShutDown && ended.count == submitted && places.allSatisfy { $0 == .absent } && state.isDrained && state.areAllGone }
  /// Lets everything run to its end.
  mutating func finish() throws {
    if !isShutDown { try apply(.shutDown(dropping: false)) }
    var steps = 0
    while !isOver && steps < 1000 {
      steps += 1
      let good = events(deaths: 0, spawnFailures: 0).filter {
        switch $0 {
        case .spawned, .greet, .claim, .end, .exits: true
        default: false
        }
      }
      guard let event = good.first else { throw Broken("stuck: \(self)") }
      try apply(event)
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
  @Test(arguments: [(workers: 2, width: 1, jobs: 3), (workers: 1, width: 2, jobs: 3)])
  func `every order of few events keeps each job in one place, and reaches shutdown`(size: (workers: Int, width: Int, jobs: Int)) throws {
    // Breadth first over all states; many orders lead to the same one.
    var seen: Set<World> = []
    var frontier = [(World(workers: size.workers, width: size.width, jobs: size.jobs, capacity: 4), [World.Event]())]
    var visited = 0
    let limit = 6_000
    while !frontier.isEmpty && visited < limit {
      var next: [(World, [World.Event])] = []
      for (world, path) in frontier {
        visited += 1
        if visited >= limit { break }
        do {
          var end = world
          try end.finish()
        } catch {
          Issue.record("\(error) after \(path), at the end")
          return
        }
        for event in world.events(deaths: 1) {
          var after = world
          do { try after.apply(event) } catch {
            Issue.record("\(error) after \(path + [event])")
            return
          }
          if seen.insert(after).inserted { next.append((after, path + [event])) }
        }
      }
      frontier = next
    }
    #expect(visited > 1000)
  }
  @Test(arguments: 0..<8) func `long random walks with many workers keep each job in one place`(seed: UInt64) throws {
    var random = Seeded(seed)
    var world = World(workers: Int.random(in: 1...8, using: &random), width: seed % 3 == 0 ? 3 : 1, jobs: .max, capacity: 16)
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
    state.gaveUp()
    #expect(!state.mustGiveUp)
    state.jobSubmitted()
    guard case .start(let place) = state.next() else { return #expect(Bool(false), "it tries again") }
    state.workerSpawned(at: place)
    state.workerGreeted(at: place)
    #expect(state.failedStarts == 0)
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
