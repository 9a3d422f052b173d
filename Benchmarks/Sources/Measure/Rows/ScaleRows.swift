import Gauges
import Glibc
import Heddle

/// More and more jobs at once.
struct Growth: Row {
  static let name = "growth"
  static let work = "cost of a job as jobs grow, 10³ to 10⁷: submit all, await all, µs a job; the dearest size over the cheapest"
  static let must = "flat within noise (≤ 1.5)"
  static let criteria = [
    Criterion(text: "processes: dearest ÷ cheapest", bound: .atMost(1.5)) { Growth.range($0, "processes") },
    Criterion(text: "threads: dearest ÷ cheapest", bound: .atMost(1.5)) { Growth.range($0, "threads") },
  ]
  let bench: Bench
  let processes = ProcessPoolExecutor(maxWorkers: 2)
  let threads = ThreadPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    for exponent in 3...(bench.isQuick ? 5 : 7) {
      let count = (0..<exponent).reduce(1) { product, _ in product * 10 }
      // A few of the small sizes, so that one interruption does not decide.
      let times = exponent < 5 ? 9 : 1
      var costs: ([Double], [Double]) = ([], [])
      for _ in 0..<times {
        costs.0.append(try await Flood.all(processes, count))
        costs.1.append(try await Flood.all(threads, count))
      }
      sample.add("processes, \(Self.name(exponent))", "µs", Spread(costs.0).median)
      sample.add("threads, \(Self.name(exponent))", "µs", Spread(costs.1).median)
    }
  }
  func end() async {
    await processes.shutdown()
    await threads.shutdown()
  }
  private static func name(_ exponent: Int) -> String { "10" + ["³", "⁴", "⁵", "⁶", "⁷"][exponent - 3] }
  static func range(_ sample: Sample, _ kind: String) -> Double? {
    let costs = sample.figures.filter { $0.name.hasPrefix(kind + ",") }.map { $0.value }
    guard let most = costs.max(), let least = costs.min() else { return nil }
    return most / least
  }
}

/// Far more workers than processors.
struct Crowd: Row {
  static let name = "crowd"
  static let work = "64 workers on 2 cores, and 1,000 threads: flooded with 200,000, µs a job"
  static let must = "works, cost a job ≤ 2 × that of 2 workers"
  static let criteria = [
    Criterion.ratio("64 processes", "2 processes", .atMost(2)), .ratio("1,000 threads", "2 threads", .atMost(2)),
  ]
  let bench: Bench
  let processes = (ProcessPoolExecutor(maxWorkers: 2), ProcessPoolExecutor(maxWorkers: 64))
  let threads = (ThreadPoolExecutor(maxWorkers: 2), ThreadPoolExecutor(maxWorkers: 1_000))

  init(_ bench: Bench) async throws {
    self.bench = bench
    // All are to be there: each is kept for a moment.
    for future in (0..<64).map({ _ in processes.1.submit(Hold(microseconds: 200_000)) }) { _ = try await future.value }
    for future in (0..<1_000).map({ _ in threads.1.submit(Hold(microseconds: 200_000)) }) { _ = try await future.value }
  }
  func run(_ sample: inout Sample) async throws {
    let count = bench.count(200_000)
    sample.add("2 processes", "µs", try await Flood.all(processes.0, count))
    sample.add("64 processes", "µs", try await Flood.all(processes.1, count))
    sample.add("2 threads", "µs", try await Flood.all(threads.0, count))
    sample.add("1,000 threads", "µs", try await Flood.all(threads.1, count))
  }
  func end() async {
    await processes.0.shutdown()
    await processes.1.shutdown()
    await threads.0.shutdown()
    await threads.1.shutdown()
  }
}

/// Another program computes on both cores.
struct Contention: Row {
  static let name = "contention"
  static let work = "while another program uses both cores: flooded, and one at a time, µs a job"
  static let must = "cost a job ≤ 4 × that without (no collapse of windows, no livelock of spins)"
  static let criteria = [
    Criterion.ratio("processes, beside it", "processes", .atMost(4)), .ratio("threads, beside it", "threads", .atMost(4)),
    .ratio("processes one at a time, beside it", "processes one at a time", .atMost(4)),
    .ratio("threads one at a time, beside it", "threads one at a time", .atMost(4)),
  ]
  let bench: Bench
  let processes = ProcessPoolExecutor(maxWorkers: 2)
  let threads = ThreadPoolExecutor(maxWorkers: 2)

  init(_ bench: Bench) { self.bench = bench }
  func run(_ sample: inout Sample) async throws {
    try await measure("", &sample)
    let burners = (0..<2).compactMap { _ in Peer("burner", [bench.ownPath, "--burn"]) }
    precondition(burners.count == 2)
    usleep(50_000)
    try await measure(", beside it", &sample)
    try sample.add("TaskGroup, beside it", "µs", of: bench.swift, "taskgroup", bench.count(200_000))
    for burner in burners { kill(burner.pid, SIGKILL) }
    try sample.add("TaskGroup", "µs", of: bench.swift, "taskgroup", bench.count(200_000))
  }
  private func measure(_ suffix: String, _ sample: inout Sample) async throws {
    sample.add("processes" + suffix, "µs", try await Flood.all(processes, bench.count(200_000)))
    sample.add("threads" + suffix, "µs", try await Flood.all(threads, bench.count(200_000)))
    sample.add("processes one at a time" + suffix, "µs", try await Flood.oneAtATime(processes, bench.count(20_000)))
    sample.add("threads one at a time" + suffix, "µs", try await Flood.oneAtATime(threads, bench.count(20_000)))
  }
  func end() async {
    await processes.shutdown()
    await threads.shutdown()
  }
}
