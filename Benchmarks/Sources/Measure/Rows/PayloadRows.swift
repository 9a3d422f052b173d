import Gauges
import Heddle

/// Large arrays as a job's argument and as its result.
struct Arrays: Row {
  static let name = "arrays"
  static let work = "64 MiB of [Float] or [UInt8] in an ordinary job, in and out, GB/s"
  static let must = "≥ half of memcpy's GB/s in, ≥ a third out"
  static let criteria = [
    Criterion.ratio("[Float] in", "memcpy", .atLeast(0.5)), .ratio("[UInt8] in", "memcpy", .atLeast(0.5)),
    .ratio("[Float] out", "memcpy", .atLeast(1.0 / 3)), .ratio("[UInt8] out", "memcpy", .atLeast(1.0 / 3)),
  ]
  let bench: Bench
  let pool = ProcessPoolExecutor(maxWorkers: 1)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    let rounds = 3
    let floats = GiveFloats.values
    let bytes = GiveBytes.values
    sample.add("[Float] in", "GB/s", try await rate(rounds) { _ = try await pool.submit(Take(values: floats)).value })
    sample.add("[UInt8] in", "GB/s", try await rate(rounds) { _ = try await pool.submit(Take(values: bytes)).value })
    sample.add(
      "[Float] out", "GB/s",
      try await rate(rounds) { _ = try await pool.submit(GiveFloats()).value })
    sample.add(
      "[UInt8] out", "GB/s",
      try await rate(rounds) { _ = try await pool.submit(GiveBytes()).value })
    try sample.add("memcpy", "GB/s", of: bench.swift, "copy", 64)
    try sample.add("CPython's ProcessPoolExecutor, in", "GB/s", of: bench.python, "sent", 64)
  }
  func end() async { await pool.shutdown() }
  private func rate(_ rounds: Int, _ body: () async throws -> Void) async rethrows -> Double {
    var times: [Double] = []
    for _ in 0..<rounds { times.append(try await Stopwatch.nanoseconds { try await body() }) }
    return Double(64 << 20) / Spread(times).median
  }
}
