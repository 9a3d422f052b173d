import Gauges
import Glibc
import Heddle
import Synchronization

/// What became of the jobs of one pool, or of all.
struct Tally: CustomStringConvertible {
  var jobs = 0
  var succeeded = 0
  /// Workers that were killed under a job.
  var blamed = 0
  var trapped = 0
  var cancelled = 0
  var timedOut = 0
  var threw = 0
  /// Jobs whose worker grew past the memory limit.
  var tooLarge = 0
  /// Jobs that found no worker, since an initializer failed again and again.
  var unborn = 0
  /// What the pools did beside jobs.
  var resized = 0
  var idled = 0
  var prepared = 0
  var finished = 0

  mutating func add(_ other: Tally) {
    jobs += other.jobs
    succeeded += other.succeeded
    blamed += other.blamed
    trapped += other.trapped
    cancelled += other.cancelled
    timedOut += other.timedOut
    threw += other.threw
    tooLarge += other.tooLarge
    unborn += other.unborn
    resized += other.resized
    idled += other.idled
    prepared += other.prepared
    finished += other.finished
  }
  var description: String {
    "\(jobs) jobs: \(succeeded) succeeded, \(blamed) killed, \(trapped) trapped, \(cancelled) cancelled, \(timedOut) timed out, "
      + "\(threw) threw, \(tooLarge) too large, \(unborn) without a worker; "
      + "\(prepared) initializers, \(finished) finalizers, \(resized) resizes, \(idled) idle ends"
  }
}

/// One pool, from its beginning to its end, and all that is asked of it.
final class Load {
  private enum Kind { case doubled, marks, bulk, naps, timed, retried, refuses, traps, counts, leaks, swells }
  private struct Item {
    var kind: Kind
    var number: Int
    var wasCancelled = false
    /// A future of either output.
    var future: Future<Int>?
    var bulk: (future: Future<[UInt8]>, count: Int)?
    var counts: Future<[Int]>?
    var any: AnyFuture { future ?? bulk?.future ?? counts! }
  }
  private var random: Seeded
  private let killer: Killer
  private let marks: String
  private let setup: Setup
  private var items: [Item] = []
  private var tally = Tally()
  /// How often each job's end was told.
  private let ends = Ends()

  /// Told of everything that is waited for.
  private let watchdog: Watchdog

  init(seed: UInt64, killer: Killer, watchdog: Watchdog) {
    self.watchdog = watchdog
    random = Seeded(seed)
    self.killer = killer
    marks = "/tmp/heddle-soak-\(getpid())-\(seed)"
    setup = Setup(&random, path: marks)
  }
  deinit {
    unlink(marks)
    setup.tidyUp()
  }

  func run(for span: Duration) async throws -> Tally {
    let clock = ContinuousClock()
    let end = clock.now + span
    let pool = ProcessPoolExecutor(maxWorkers: setup.maxWorkers, configuration: setup.configuration)
    var isDropped = false
    while clock.now < end {
      submit(to: pool)
      for index in items.indices.suffix(200) where Int.random(in: 0..<20, using: &random) == 0 {
        if items[index].any.cancel() { items[index].wasCancelled = true }
      }
      if Int.random(in: 0..<4, using: &random) == 0 {
        tally.resized += 1
        pool.resize(to: Int.random(in: 1...4, using: &random))
      }
      // The last burst is left to the shutdown.
      if clock.now < end {
        for item in items { try await check(item, isDropped: false) }
        items.removeAll(keepingCapacity: true)
        if let limit = setup.configuration.idleTimeout, Int.random(in: 0..<8, using: &random) == 0 { try await idle(limit) }
      }
    }
    watchdog.waits(for: "shutdown", of: setup)
    switch Int.random(in: 0..<4, using: &random) {
    case 0: await pool.shutdown(.finishAll)
    case 1:
      isDropped = true
      await pool.shutdown(.finishRunning)
    case 2:
      isDropped = true
      await pool.shutdown(.kill(after: .milliseconds(Int64.random(in: 0...100, using: &random))))
    default:
      // From two sides at once.
      isDropped = true
      async let one: Void = pool.shutdown(.finishAll)
      async let two: Void = pool.shutdown(.kill(after: .zero))
      _ = await (one, two)
    }
    for item in items { try await check(item, isDropped: isDropped) }
    try checkMarks()
    (tally.prepared, tally.finished) = setup.counts
    guard tally.finished <= tally.prepared else {
      throw Violation("\(tally.finished) workers finished of \(tally.prepared) that were prepared")
    }
    return tally
  }
  /// Nothing is submitted until the workers have gone.
  private func idle(_ limit: Duration) async throws {
    for _ in 0..<500 where !ProcessGauges.workers().isEmpty { try await Task.sleep(for: .milliseconds(10)) }
    guard ProcessGauges.workers().isEmpty else {
      throw Violation("workers that idle for \(limit) are there after five seconds: \(ProcessGauges.workers())")
    }
    tally.idled += 1
  }

  private func submit(to pool: ProcessPoolExecutor) {
    for _ in 0..<Int.random(in: 1...400, using: &random) {
      tally.jobs += 1
      let number = tally.jobs
      var item = Item(kind: .doubled, number: number)
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<3:
        item.kind = .bulk
        let count = Int.random(in: 0...1 << 21, using: &random)
        item.bulk = (pool.submit(Bulk(bytes: Bulk.pattern(Int.random(in: 0...1 << 21, using: &random)), answers: count)), count)
      case 3..<6:
        item.kind = .naps
        item.future = pool.submit(Naps(milliseconds: 2, value: number))
      case 6..<8:
        item.kind = .timed
        item.future = pool.submit(Naps(milliseconds: 60, value: number), options: JobOptions(timeout: .milliseconds(5)))
      case 8..<20:
        item.kind = .retried
        let retry = RetryPolicy(crashes: 50, backoff: .immediate)
        item.future = pool.submit(Doubled(value: number), options: JobOptions(retry: retry, priority: .high))
      case 20..<25:
        item.kind = .refuses
        item.future = pool.submit(Refuses(value: number))
      case 25:
        item.kind = .traps
        item.future = pool.submit(Traps(value: number))
      case 26..<34 where setup.isPrepared:
        item.kind = .counts
        item.counts = pool.submit(Counts())
      case 34 where setup.configuration.softMemoryLimit != nil:
        item.kind = .leaks
        item.future = pool.submit(Hoards(mebibytes: 30, value: number))
      case 35 where setup.configuration.memoryLimit != nil && number % 16 == 0:
        item.kind = .swells
        item.future = pool.submit(
          Hoards(value: number), options: JobOptions(retry: RetryPolicy(memory: number / 16 % 2, backoff: .immediate)))
      case 26..<50:
        item.kind = .marks
        item.future = pool.submit(Marks(path: marks, value: number))
      default: item.future = pool.submit(Doubled(value: number))
      }
      // Held by themselves: the load may have ended, with a violation, before its futures.
      let ends = self.ends
      item.future?.onCompletion { _ in ends.tell(number) }
      item.bulk?.future.onCompletion { _ in ends.tell(number) }
      item.counts?.onCompletion { _ in ends.tell(number) }
      items.append(item)
    }
  }

  // MARK: What must hold

  private func check(_ item: Item, isDropped: Bool) async throws {
    watchdog.waits(for: "\(item.kind) \(item.number), which is \(item.any.state)", of: setup)
    let error: any Error
    if let bulk = item.bulk {
      switch await bulk.future.result {
      case .success(let bytes):
        guard bytes.count == bulk.count, Bulk.isWhole(bytes) else { throw Violation("job \(item.number) has \(bytes.count) wrong bytes") }
        tally.succeeded += 1
        return try checkEnd(item)
      case .failure(let failure): error = failure
      }
    } else if let counts = item.counts {
      switch await counts.result {
      case .success(let counts):
        guard counts.count == 2, counts[0] == 1, counts[1] <= setup.configuration.jobsPerWorker ?? .max else {
          throw Violation("job \(item.number): its worker was prepared \(counts.first ?? -1) times and ran \(counts.last ?? -1) such jobs")
        }
        tally.succeeded += 1
        return try checkEnd(item)
      case .failure(let failure): error = failure
      }
    } else {
      switch await item.future!.result {
      case .success(let value):
        guard value == (item.kind == .doubled || item.kind == .retried ? 2 * item.number : item.number), item.kind != .traps,
          item.kind != .swells
        else {
          throw Violation("\(item.kind) \(item.number) has the result \(value)")
        }
        tally.succeeded += 1
        return try checkEnd(item)
      case .failure(let failure): error = failure
      }
    }
    try checkEnd(item)
    if let refusal = error as? Refusal, item.kind == .refuses, refusal.value == item.number { return tally.threw += 1 }
    guard let error = error as? JobError else { throw Violation("\(item.kind) \(item.number): \(error)") }
    switch error.code {
    case .workerDied where error.exit == .signal(SIGKILL) && killer.hasKilled(error.workerPID ?? 0): tally.blamed += 1
    case .workerDied where item.kind == .traps && [.signal(SIGILL), .signal(SIGTRAP)].contains(error.exit):
      guard error.message.contains("Index out of range") else { throw Violation("a trap does not say what it was: \(error)") }
      tally.trapped += 1
    case .cancelled where item.wasCancelled || isDropped: tally.cancelled += 1
    case .timedOut where item.kind == .timed: tally.timedOut += 1
    case .memoryLimitExceeded where item.kind == .swells: tally.tooLarge += 1
    case .workerNotStarted where setup.isFlaky && error.message.contains("the initializer Prepares failed"): tally.unborn += 1
    // Thirty kills in a row before one had greeted: on a loaded machine the killer is faster than the starts.
    case .workerNotStarted where killer.count >= 30 && error.message.contains("SIGKILL"): tally.unborn += 1
    default: throw Violation("\(item.kind) \(item.number): \(error)")
    }
  }
  private func checkEnd(_ item: Item) throws {
    // `result` may be there a moment before the completion was called.
    for _ in 0..<2000 {
      let count = ends.count(item.number)
      if count == 1 { return }
      if count > 1 { throw Violation("job \(item.number) ended \(count) times") }
      usleep(1000)
    }
    throw Violation("the end of job \(item.number) was not told")
  }
  private func checkMarks() throws {
    let file = open(marks, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return }
    defer { close(file) }
    var seen: Set<Int> = []
    var number = 0
    while read(file, &number, 8) == 8 {
      guard seen.insert(number).inserted else { throw Violation("job \(number) ran twice") }
    }
  }
}

/// How often the end of each job was told.
private final class Ends: Sendable {
  private let counts = Mutex<[Int: Int]>([:])
  func tell(_ number: Int) { counts.withLock { $0[number, default: 0] += 1 } }
  func count(_ number: Int) -> Int { counts.withLock { $0[number, default: 0] } }
}
