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
  static let must = "0 a second, parent and workers"
  static let criteria = [
    Criterion.figure("processes: parent", .atMost(0)), .figure("processes: workers", .atMost(0)), .figure("threads", .atMost(0)),
  ]
  let bench: Bench

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let processes = ProcessPoolExecutor(maxWorkers: 2)
    _ = try await Flood.all(processes, 10_000)
    usleep(10_000)
    let workers = ProcessGauges.workers()
    let seconds = bench.isQuick ? 1 : 2
    let time = ProcessGauges.processorTime()
    let before = (Self.switchesHere(), Self.switches(of: workers))
    usleep(UInt32(seconds) * 1_000_000)
    let after = (Self.switchesHere(), Self.switches(of: workers))
    sample.add("processes: parent", "a second", Double(after.0 - before.0) / Double(seconds))
    sample.add("processes: workers", "a second", Double(after.1 - before.1) / Double(seconds))
    // Reading /proc costs some itself.
    sample.add("processor time", "ms a second", (ProcessGauges.processorTime() - time) / 1e6 / Double(seconds))
    await processes.shutdown()

    let threads = ThreadPoolExecutor(maxWorkers: 2)
    _ = try await Flood.all(threads, 10_000)
    usleep(10_000)
    let idle = Self.switchesHere()
    usleep(UInt32(seconds) * 1_000_000)
    sample.add("threads", "a second", Double(Self.switchesHere() - idle) / Double(seconds))
    await threads.shutdown()
  }
  /// Of all threads but this one, which sleeps itself.
  private static func switchesHere() -> Int { ProcessGauges.contextSwitches(of: getpid(), exceptCaller: true) }
  private static func switches(of workers: [pid_t]) -> Int {
    workers.map { ProcessGauges.contextSwitches(of: $0, exceptCaller: false) }.reduce(0, +)
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
