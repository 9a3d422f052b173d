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

/// The same in memory that both sides see.
struct SharedArrays: Row {
  static let name = "shared"
  static let work = "a job with a SharedBuffer of 64 MiB and of 4 KiB, there, and back in a result, µs a job"
  static let must = "O(1): no copy, no matter the size (64 MiB ≤ 2 × 4 KiB)"
  static let criteria = [
    Criterion.ratio("64 MiB there", "4 KiB there", .atMost(2)), .ratio("64 MiB there and back", "4 KiB there and back", .atMost(2)),
  ]
  let bench: Bench
  let pool = ProcessPoolExecutor(maxWorkers: 1)
  let large: SharedBuffer<UInt8>
  let small: SharedBuffer<UInt8>

  init(_ bench: Bench) throws {
    self.bench = bench
    large = try SharedBuffer(count: 64 << 20) { _ = unsafe $0.initialize(repeating: 1) }
    small = try SharedBuffer(count: 4 << 10) { _ = unsafe $0.initialize(repeating: 1) }
  }
  func run(_ sample: inout Sample) async throws {
    for (name, buffer) in [("4 KiB", small), ("64 MiB", large)] {
      sample.add("\(name) there", "µs", try await time { _ = try await pool.submit(Look(buffer: buffer)).value })
      sample.add("\(name) there and back", "µs", try await time { _ = try await pool.submit(Return(buffer: buffer)).value })
    }
  }
  func end() async { await pool.shutdown() }
  private func time(_ body: () async throws -> Void) async rethrows -> Double {
    let count = bench.count(1000)
    return try await Stopwatch.nanoseconds { for _ in 0..<count { try await body() } } / Double(count) / 1e3
  }
}
