import Gauges
import Heddle
import PoolStarts

/// Processes, flooded.
struct ProcessFlood: Row {
  static let name = "processes-flood"
  static let work = "ProcessPoolExecutor, flooded: submit 200,000, await all"
  static let must =
    "≤ 0.8 µs, and ≤ 0.8 × TaskGroup in the same run; ≤ 1/80 of CPython's ProcessPoolExecutor; "
    + "processor time of all processes ≤ 2.2 µs a job"
  static let criteria = [
    Criterion.figure("Heddle", .atMost(0.8)), .ratio("Heddle", "TaskGroup", .atMost(0.8)),
    .ratio("Heddle", "CPython's ProcessPoolExecutor", .atMost(1.0 / 80)), .figure("processor time", .atMost(2.2)),
  ]
  let bench: Bench
  let pool = ProcessPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let count = bench.count(200_000)
    let before = ProcessGauges.processorTime()
    sample.add("Heddle", "µs", try await Flood.all(pool, count))
    sample.add("processor time", "µs", (ProcessGauges.processorTime() - before) / Double(count) / 1e3)
    try sample.add("TaskGroup", "µs", of: bench.swift, "taskgroup", count)
    try sample.add("CPython's ProcessPoolExecutor", "µs", of: bench.python, "flood", bench.count(5_000))
    try sample.add("multiprocessing.Pool", "µs", of: bench.python, "pool-flood", bench.count(5_000))
  }
  func end() async { await pool.shutdown() }
}

/// Processes, one at a time.
struct ProcessSingle: Row {
  static let name = "processes-single"
  static let work = "ProcessPoolExecutor, one at a time"
  static let must = "≤ 1.5 µs, 1/80 of CPython's, awaited from a task and from the main actor alike"
  static let criteria = [
    Criterion.figure("Heddle, from a task", .atMost(1.5)), .figure("Heddle, from the main actor", .atMost(1.5)),
    .ratio("Heddle, from a task", "CPython's ProcessPoolExecutor", .atMost(1.0 / 80)),
    .ratio("Heddle, from the main actor", "CPython's ProcessPoolExecutor", .atMost(1.0 / 80)),
  ]
  let bench: Bench
  let pool = ProcessPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let count = bench.count(50_000)
    sample.add("Heddle, from a task", "µs", try await Flood.oneAtATime(pool, count))
    sample.add("Heddle, from the main actor", "µs", try await OnMainActor.oneAtATime(pool, count))
    try sample.add("Task.detached", "µs", of: bench.swift, "task-single", count)
    try sample.add("socket pair, 64 bytes", "µs", of: bench.swift, "socket", count)
    try sample.add("CPython's ProcessPoolExecutor", "µs", of: bench.python, "single", bench.count(1_000))
  }
  func end() async { await pool.shutdown() }
}

/// The same work, awaited where a program's main function is.
@MainActor enum OnMainActor {
  static func oneAtATime<E: JobExecutor>(_ executor: E, _ count: Int) async throws -> Double {
    try await Flood.oneAtATime(executor, count)
  }
}

/// Processes, after they had nothing to do.
struct ProcessQuiet: Row {
  private static let turns = 2
  static let name = "processes-quiet"
  static let work = "ProcessPoolExecutor, one job after 10 ms of quiet (all parked); two turns of 50 rounds a run"
  static let must = "≤ 1.5 × the raw socket pair with 64-byte messages, after the same quiet"
  static let criteria = [Criterion.ratio("Heddle", "socket pair, 64 bytes", .atMost(1.5))]
  let bench: Bench
  let pool = ProcessPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let rounds = bench.count(100) / Self.turns
    try await sample.addMeans(ofTurns: Self.turns) { turn in
      turn.add("Heddle", "µs", try await Flood.afterQuiet(pool, rounds))
      try turn.add("socket pair, 64 bytes", "µs", of: bench.swift, "socket-quiet", rounds)
      try turn.add("Dispatch", "µs", of: bench.swift, "dispatch-quiet", rounds)
    }
  }
  func end() async { await pool.shutdown() }
}

/// How long a pool takes until it works.
struct Start: Row {
  static let name = "start"
  static let work = "ProcessPoolExecutor: start a pool, first result back; and each further worker"
  static let must =
    "≤ 4 ms; each further worker ≤ 2 ms; in a program that loads the Swift runtime, and in one that has it inside (--static-swift-stdlib)"
  static let criteria = [
    Criterion.figure("first result", .atMost(4)), .figure("each further worker", .atMost(2)),
    .figure("first result, runtime inside", .atMost(4)), .figure("each further worker, runtime inside", .atMost(2)),
  ]
  let bench: Bench

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let rounds = bench.isQuick ? 1 : 5
    sample.add("first result", "ms", try await PoolStarts.firstResult(rounds))
    sample.add("each further worker", "ms", try await PoolStarts.furtherWorker(rounds))
    try sample.add("first result, runtime inside", "ms", of: bench.staticStart, "first", rounds)
    try sample.add("each further worker, runtime inside", "ms", of: bench.staticStart, "further", rounds)
    try sample.add("posix_spawn of /bin/true", "ms", of: bench.swift, "spawn", bench.count(50))
    try sample.add("CPython's ProcessPoolExecutor, first result", "ms", of: bench.python, "start")
  }
}
