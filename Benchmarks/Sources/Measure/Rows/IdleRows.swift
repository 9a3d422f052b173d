import Gauges
import Glibc
import Heddle

/// What an idle worker has for itself.
struct IdleMemory: Row {
  static let name = "idle-memory"
  static let work = "idle worker: memory private to it, after 1,000 jobs"
  static let must = "≤ 4 MB"
  static let criteria = [Criterion.figure("worker", .atMost(4))]

  init(_ bench: Bench) {}
  func run(_ sample: inout Sample) async throws {
    let pool = ProcessPoolExecutor(maxWorkers: 2)
    _ = try await Flood.all(pool, 1_000)
    usleep(20_000)
    let workers = ProcessGauges.workers()
    sample.add("worker", "MB", workers.map { ProcessGauges.privateMemory(of: $0) }.reduce(0, +) / Double(workers.count) / 1e6)
    await pool.shutdown()
  }
}

/// What an idle pool does: nothing.
struct IdleSwitches: Row {
  static let name = "idle-switches"
  static let work = "idle executor: context switches a second from 10 ms after the last job; and processor time"
  static let must = "0 a second, parent and workers (beside Dispatch's manager, which wakes once a second in any Swift program on Linux)"
  static let criteria = [
    Criterion(text: "processes: parent, over the bare program", bound: .atMost(0)) { IdleSwitches.over($0, "processes: parent") },
    .figure("processes: workers", .atMost(0)),
    Criterion(text: "threads, over the bare program", bound: .atMost(0)) { IdleSwitches.over($0, "threads") },
  ]
  let bench: Bench

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let seconds = bench.isQuick ? 1 : 2
    sample.add("bare program", "a second", await PlainThread.run { Idle.watch([], seconds: seconds) }.parent)
    let processes = ProcessPoolExecutor(maxWorkers: 2)
    _ = try await Flood.all(processes, 10_000)
    let workers = ProcessGauges.workers()
    let idle = await PlainThread.run { Idle.watch(workers, seconds: seconds) }
    sample.add("processes: parent", "a second", idle.parent)
    sample.add("processes: workers", "a second", idle.workers)
    // Reading /proc costs some itself.
    sample.add("processor time", "ms a second", idle.processorTime)
    await processes.shutdown()

    let threads = ThreadPoolExecutor(maxWorkers: 2)
    _ = try await Flood.all(threads, 10_000)
    sample.add("threads", "a second", await PlainThread.run { Idle.watch([], seconds: seconds) }.parent)
    await threads.shutdown()
  }
  /// A timer of once a second is met once more or less in the span that is watched.
  private static func over(_ sample: Sample, _ name: String) -> Double? {
    guard let value = sample[name], let bare = sample["bare program"] else { return nil }
    return value <= bare + 0.5 ? 0 : value - bare
  }
}

/// What happens in a second of which nobody wants anything.
struct Idle {
  var parent: Double
  var workers: Double
  /// Unit: milliseconds.
  var processorTime: Double

  /// From 10 ms on after the call; the calling thread, which sleeps itself, does not count.
  static func watch(_ workers: [pid_t], seconds: Int) -> Idle {
    usleep(10_000)
    let time = ProcessGauges.processorTime()
    let before = (switches([getpid()], exceptCaller: true), switches(workers, exceptCaller: false))
    usleep(UInt32(seconds) * 1_000_000)
    let after = (switches([getpid()], exceptCaller: true), switches(workers, exceptCaller: false))
    let spent = ProcessGauges.processorTime() - time
    func each(_ count: Int) -> Double { Double(count) / Double(seconds) }
    return Idle(parent: each(after.0 - before.0), workers: each(after.1 - before.1), processorTime: spent / 1e6 / Double(seconds))
  }
  private static func switches(_ pids: [pid_t], exceptCaller: Bool) -> Int {
    pids.map { ProcessGauges.contextSwitches(of: $0, exceptCaller: exceptCaller) }.reduce(0, +)
  }
}

/// What jobs that wait take.
struct QueuedMemory: Row {
  static let name = "queued-memory"
  static let work = "1,000,000 queued jobs: resident memory, bytes a job, its future with it (payload: 8 bytes)"
  static let must = "≤ 300 bytes a job over its own payload"
  static let criteria = [Criterion.figure("processes", .atMost(308)), .figure("threads", .atMost(308))]
  let bench: Bench

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    try await measure(ProcessPoolExecutor(maxWorkers: 2), "processes", &sample)
    try await measure(ThreadPoolExecutor(maxWorkers: 2), "threads", &sample)
  }
  private func measure<E: JobExecutor>(_ pool: E, _ name: String, _ sample: inout Sample) async throws {
    let count = bench.count(1_000_000)
    _ = try await Flood.all(pool, 1_000)
    // Both workers are kept busy while the jobs come.
    let busy = (0..<2).map { _ in pool.submit(Hold(microseconds: bench.isQuick ? 500_000 : 2_000_000)) }
    usleep(20_000)
    ProcessGauges.trim()
    let before = (ProcessGauges.residentMemory(), ProcessGauges.allocated())
    let futures = (0..<count).map { pool.submit(Nothing(number: $0)) }
    sample.add(name, "bytes", (ProcessGauges.residentMemory() - before.0) / Double(count))
    sample.add("\(name), from malloc", "bytes", (ProcessGauges.allocated() - before.1) / Double(count))
    for future in busy { _ = try await future.value }
    for future in futures { _ = try await future.value }
    await pool.shutdown()
  }
}
