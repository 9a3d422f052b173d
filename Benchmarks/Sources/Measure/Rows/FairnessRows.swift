import CGauges
import Gauges
import Heddle

/// Jobs that take a while: what the executor adds.
struct Mixed: Row {
  static let name = "mixed"
  static let work = "jobs of 1 ms, of 100 µs, and both mixed, on 2 workers: wall time over that of two bare threads with half the work each"
  static let must = "≤ 1.03 (1 ms) and ≤ 1.10 (100 µs)"
  static let criteria = [
    Criterion.figure("jobs of 1 ms", .atMost(1.03)), .figure("jobs of 100 µs", .atMost(1.10)), .figure("both mixed", .atMost(1.10)),
  ]
  let bench: Bench
  let pool = ProcessPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let long = bench.count(400)
    let short = bench.count(4_000)
    try await sample.add("jobs of 1 ms", "times", overIdeal(Array(repeating: 1_000, count: long)))
    try await sample.add("jobs of 100 µs", "times", overIdeal(Array(repeating: 100, count: short)))
    try await sample.add("both mixed", "times", overIdeal((0..<short).map { $0.isMultiple(of: 10) ? 1_000 : 100 }))
  }
  func end() async { await pool.shutdown() }
  private func overIdeal(_ work: [Int]) async throws -> Double {
    // A first few, so that what a job takes is known.
    for _ in 0..<8 { _ = try await pool.submit(Burn(microseconds: 100)).value }
    let time = try await Stopwatch.nanoseconds {
      for future in work.map({ pool.submit(Burn(microseconds: $0)) }) { _ = try await future.value }
    }
    let ideal = gauge_burn_in_two(UInt64(work.reduce(0, +)) * 500)
    return time / ideal
  }
}

/// Short jobs beside a long one.
struct BesideSlow: Row {
  static let name = "beside-slow"
  static let work = "399 jobs of 1 ms beside one of 2 s, 2 workers: when the 399 are done, s"
  static let must = "≤ 0.50 s: what a busy worker holds is taken back"
  static let criteria = [Criterion.figure("Heddle", .atMost(0.5))]
  let bench: Bench
  let pool = ProcessPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    for _ in 0..<8 { _ = try await pool.submit(Last(microseconds: 1_000)).value }
    let begin = Stopwatch.now()
    let slow = pool.submit(Last(microseconds: 2_000_000))
    var last: UInt64 = 0
    for future in (0..<399).map({ _ in pool.submit(Last(microseconds: 1_000)) }) {
      let end = try await future.value
      last = max(last, end)
    }
    sample.add("Heddle", "s", Double(last - begin) / 1e9)
    _ = try await slow.value
  }
  func end() async { await pool.shutdown() }
}
