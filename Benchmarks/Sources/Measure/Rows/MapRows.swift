import Gauges
import Heddle

/// Tiny items on threads.
struct ThreadMap: Row {
  static let name = "threads-map"
  static let work = "map over 1,000,000 tiny items on threads, µs an item"
  static let must = "≤ 0.008 with automatic chunks"
  static let criteria = [Criterion.figure("Heddle, collect()", .atMost(0.008))]
  let bench: Bench
  let pool = ThreadPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let count = bench.count(1_000_000)
    sample.add("Heddle, collect()", "µs", try await Flood.collect(pool, count))
    sample.add("Heddle, for try await", "µs", try await Flood.map(pool, count))
    try sample.add("concurrentPerform", "µs", of: bench.swift, "perform", count)
    try sample.add("rayon's par_iter", "µs", of: bench.rayon, "map", count)
  }
  func end() async { await pool.shutdown() }
}

/// Tiny items on processes.
struct ProcessMap: Row {
  static let name = "processes-map"
  static let work = "map over 1,000,000 tiny items on processes, µs an item"
  static let must = "≤ 0.10 with automatic chunks"
  static let criteria = [Criterion.figure("Heddle, collect()", .atMost(0.10))]
  let bench: Bench
  let pool = ProcessPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    sample.add("Heddle, collect()", "µs", try await Flood.collect(pool, bench.count(1_000_000)))
    sample.add("Heddle, for try await", "µs", try await Flood.map(pool, bench.count(1_000_000)))
    try sample.add("multiprocessing.Pool.map, its own chunks", "µs", of: bench.python, "pool-map", bench.count(1_000_000))
  }
  func end() async { await pool.shutdown() }
}

/// A Python function on processes.
struct PythonFlood: Row {
  static let name = "python-flood"
  static let work = "a Python function on processes, flooded, µs a call"
  static let must = "≤ 1/10 of CPython's own pool, with the same function"
  static let criteria = [Criterion.ratio("Heddle", "CPython's ProcessPoolExecutor", .atMost(0.1))]
  let bench: Bench

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) throws {
    try sample.add("Heddle", "µs", of: bench.pythonCalls, "flood", bench.count(100_000))
    try sample.add("Heddle, one at a time", "µs", of: bench.pythonCalls, "single", bench.count(10_000))
    try sample.add("Heddle, map", "µs", of: bench.pythonCalls, "map", bench.count(100_000))
    try sample.add("CPython's ProcessPoolExecutor", "µs", of: bench.python, "flood", bench.count(10_000))
    try sample.add("multiprocessing.Pool", "µs", of: bench.python, "pool-flood", bench.count(10_000))
  }
}
