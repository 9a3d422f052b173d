import Glibc
import Heddle

struct Nothing: Job {
  var number: Int
  func run() async throws -> Int { number &+ 1 }
}
/// Computes for a while: numbers below the limit that are prime, the slow way.
struct Primes: Job {
  var limit: Int
  func run() async throws -> Int {
    (2..<limit).count { number in !(2..<number).prefix { $0 * $0 <= number }.contains { number.isMultiple(of: $0) } }
  }
}

/// Prints what issue 3 asks to be shown.
///
/// Options: --json, --jobs N (default 1000000), --runs N (default 5).
@main
struct Measure {
  static func main() async throws {
    let arguments = CommandLine.arguments
    func option(_ name: String, _ standard: Int) -> Int {
      arguments.firstIndex(of: name).flatMap { $0 + 1 < arguments.count ? Int(arguments[$0 + 1]) : nil } ?? standard
    }
    var report = Report(isJSON: arguments.contains("--json"))
    report.add("processors", Double(Parallelism.available), "processors")
    try await cores(&report)
    try await waits(&report)
    try await million("2 processes", ProcessPoolExecutor(maxWorkers: 2), option("--jobs", 1_000_000), &report)
    try await million("4 threads", ThreadPoolExecutor(maxWorkers: 4), option("--jobs", 1_000_000), &report)
    try await costs(&report, runs: option("--runs", 5))
    report.finish()
  }

  /// Cores used by computing jobs on as many threads as there are processors.
  static func cores(_ report: inout Report) async throws {
    let threads = ThreadPoolExecutor()
    let before = processorTime()
    let time = try await seconds { for try await _ in threads.map((0..<200).map { _ in Primes(limit: 60_000) }) {} }
    report.add("cores used by ThreadPoolExecutor, computing", (processorTime() - before) / time, "cores")
    await threads.shutdown()
  }
  /// Eighty waits of 20 ms on eight threads: 0.2 s is the least.
  static func waits(_ report: inout Report) async throws {
    let threads = ThreadPoolExecutor(maxWorkers: 8)
    var runs: [Double] = []
    for _ in 0..<5 {
      runs.append(
        try await seconds {
          let futures = (0..<80).map { _ in threads.submit { usleep(20_000) } }
          for future in futures { _ = try await future.value }
        })
    }
    report.add("80 waits of 20 ms on 8 threads", runs: runs, "s")
    await threads.shutdown()
  }
  /// Very many jobs through `map`, every result checked; memory must not grow with them.
  static func million<E: JobExecutor>(_ name: String, _ executor: E, _ count: Int, _ report: inout Report) async throws {
    for try await _ in executor.map((0..<10_000).lazy.map { Nothing(number: $0) }) {}
    let before = memory("VmRSS")
    var most = before
    var next = 0
    let time = try await seconds {
      for try await value in executor.map((0..<count).lazy.map { Nothing(number: $0) }) {
        next += 1
        guard value == next else { fatalError("job \(next - 1) gave \(value)") }
        if next % 10_000 == 0 { most = max(most, memory("VmRSS")) }
      }
    }
    guard next == count else { fatalError("\(next) results of \(count) jobs") }
    await executor.shutdown(.finishAll)
    report.add("\(count) jobs mapped through \(name)", time, "s")
    report.add("\(count) jobs mapped through \(name), growth of memory", most - before, "MiB")
  }
  /// What a job costs, beside a task group in the same run.
  static func costs(_ report: inout Report, runs: Int) async throws {
    let processes = ProcessPoolExecutor(maxWorkers: 2)
    let threads = ThreadPoolExecutor(maxWorkers: 2)
    let count = 200_000
    let single = 20_000
    var flood: [Double] = []
    var one: [Double] = []
    var threadFlood: [Double] = []
    var group: [Double] = []
    var ratio: [Double] = []
    for _ in 0..<(runs + 1) {
      try await flood.append(seconds { try await submitAll(processes, count) } / Double(count) * 1e6)
      try await one.append(
        seconds { for number in 0..<single { _ = try await processes.submit(Nothing(number: number)).value } } / Double(single) * 1e6)
      try await threadFlood.append(seconds { try await submitAll(threads, count) } / Double(count) * 1e6)
      await group.append(
        seconds {
          let sum = await withTaskGroup(of: Int.self) { group in
            for number in 0..<count { group.addTask { number &+ 1 } }
            return await group.reduce(0, &+)
          }
          precondition(sum == count * (count + 1) / 2)
        } / Double(count) * 1e6)
      ratio.append(flood.last! / group.last!)
    }
    // The first run starts the workers.
    report.add("process flood", runs: Array(flood.dropFirst()), "µs a job")
    report.add("process, one at a time", runs: Array(one.dropFirst()), "µs a job")
    report.add("thread flood", runs: Array(threadFlood.dropFirst()), "µs a job")
    report.add("TaskGroup", runs: Array(group.dropFirst()), "µs a task")
    report.add("process flood / TaskGroup", runs: Array(ratio.dropFirst()), "times")
    await processes.shutdown()
    await threads.shutdown()
  }
  static func submitAll<E: JobExecutor>(_ executor: E, _ count: Int) async throws {
    let futures = (0..<count).map { executor.submit(Nothing(number: $0)) }
    var sum = 0
    for future in futures { sum &+= try await future.value }
    precondition(sum == count * (count + 1) / 2)
  }
}
