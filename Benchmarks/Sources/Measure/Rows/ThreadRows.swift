import Gauges
import Heddle

/// Threads, flooded.
struct ThreadFlood: Row {
  static let name = "threads-flood"
  static let work = "ThreadPoolExecutor, flooded with 200,000 closures that give futures"
  static let must = "≤ 0.30 × TaskGroup in the same run; below Dispatch, NIOThreadPool with a future, rayon with a channel"
  static let criteria = [
    Criterion.ratio("Heddle", "TaskGroup", .atMost(0.30)), .ratio("Heddle", "Dispatch, no result", .atMost(1)),
    .ratio("Heddle", "NIOThreadPool, futures", .atMost(1)), .ratio("Heddle", "rayon, channels", .atMost(1)),
  ]
  let bench: Bench
  let pool = ThreadPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let count = bench.count(200_000)
    sample.add("Heddle", "µs", try await Flood.closures(pool, count))
    sample.add("Heddle, jobs", "µs", try await Flood.all(pool, count))
    try sample.add("TaskGroup", "µs", of: bench.swift, "taskgroup", count)
    try sample.add("Dispatch, no result", "µs", of: bench.swift, "dispatch", count)
    try sample.add("NIOThreadPool, futures", "µs", of: bench.swift, "nio", count)
    try sample.add("rayon, channels", "µs", of: bench.rayon, "flood", count)
    try sample.add("Java's fixed pool", "µs", of: bench.java, "flood", count)
    try sample.add("Java's ForkJoinPool", "µs", of: bench.java, "forkjoin-flood", count)
    try sample.add("CPython's ThreadPoolExecutor", "µs", of: bench.python, "thread-flood", bench.count(20_000))
  }
  func end() async { await pool.shutdown() }
}

/// Threads, one at a time.
struct ThreadSingle: Row {
  private static let turns = 2
  static let name = "threads-single"
  static let work = "ThreadPoolExecutor, one at a time; and one after 10 ms of quiet, two turns of 50 rounds a run"
  static let must = "≤ 1 µs while its worker spins; after quiet below Dispatch"
  static let criteria = [Criterion.figure("Heddle", .atMost(1)), .ratio("Heddle after quiet", "Dispatch after quiet", .atMost(1))]
  let bench: Bench
  let pool = ThreadPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let count = bench.count(50_000)
    let rounds = bench.count(100) / Self.turns
    sample.add("Heddle", "µs", try await Flood.oneAtATime(pool, count))
    try sample.add("Task.detached", "µs", of: bench.swift, "task-single", count)
    try sample.add("Dispatch", "µs", of: bench.swift, "dispatch-single", count / 5)
    try sample.add("rayon", "µs", of: bench.rayon, "single", count / 5)
    try sample.add("Java's fixed pool", "µs", of: bench.java, "single", count / 5)
    try await sample.addMeans(ofTurns: Self.turns) { turn in
      turn.add("Heddle after quiet", "µs", try await Flood.afterQuiet(pool, rounds))
      try turn.add("Dispatch after quiet", "µs", of: bench.swift, "dispatch-quiet", rounds)
      try turn.add("rayon after quiet", "µs", of: bench.rayon, "quiet", rounds)
      try turn.add("Java's fixed pool after quiet", "µs", of: bench.java, "quiet", rounds)
    }
  }
  func end() async { await pool.shutdown() }
}
