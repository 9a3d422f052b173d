import CCounts
import Gauges
import Glibc
import Heddle

/// Counts what a job costs in things that do not depend on how fast the machine is: Scripts/check-counts.sh compares them with limits.
///
///     Counts                     allocations and wake-ups, a line `NAME VALUE` each
///     Counts WORK COUNT          does that work with so many jobs, and nothing else: to be run under strace or valgrind, which count
///     … --worse                  each job does what no job should: to see that a limit is exceeded
@main
struct Counts {
  static func main() async throws {
    var arguments = Array(CommandLine.arguments.dropFirst())
    let isWorse = arguments.contains("--worse")
    arguments.removeAll { $0 == "--worse" }
    let work = Work(waste: isWorse ? Waste() : nil)
    if arguments.isEmpty {
      try await Allocations(work: work).print()
      try await WakeUps(work: work).print()
      return
    }
    guard arguments.count == 2, let count = Int(arguments[1]) else {
      Console.line("usage: Counts [WORK COUNT] [--worse]", to: 2)
      exit(2)
    }
    switch arguments[0] {
    case "process-flood": try await withExecutor(ProcessPoolExecutor(maxWorkers: 2)) { try await work.flood($0, count) }
    case "process-quiet": try await withExecutor(ProcessPoolExecutor(maxWorkers: 2)) { try await work.afterQuiet($0, count) }
    case "inline": try await withExecutor(InlineExecutor()) { try await work.flood($0, count) }
    case "thread-submit":
      let pool = ThreadPoolExecutor(maxWorkers: 1)
      work.submitOnly(pool, count)
      withExtendedLifetime(pool) { exit(0) }
    default:
      Console.line("Counts: no work is called \(arguments[0])", to: 2)
      exit(2)
    }
  }
}

/// Says a count, divided by the jobs.
func say(_ name: String, _ value: Double) { print("\(name) \((value * 1000).rounded() / 1000)") }

/// Blocks asked of the allocator, a job.
struct Allocations {
  let work: Work
  /// Jobs that waste take longer.
  var count: Int { work.waste == nil ? 100_000 : 5_000 }

  func print() async throws {
    let processes = ProcessPoolExecutor(maxWorkers: 1)
    try await work.flood(processes, 1_000)
    let worker = try await processes.submit(Allocated()).value
    say("allocations.process-flood.parent", try await ofFlood(processes))
    say("allocations.process-flood.worker", Double(try await processes.submit(Allocated()).value - worker) / Double(count))
    say("allocations.process-map.parent", try await ofMap(processes))
    await processes.shutdown()
    let threads = ThreadPoolExecutor(maxWorkers: 1)
    say("allocations.thread-flood", try await ofFlood(threads))
    say("allocations.thread-map", try await ofMap(threads))
    await threads.shutdown()
    let inline = InlineExecutor()
    say("allocations.inline", try await ofFlood(inline))
    await inline.shutdown()
  }
  private func ofFlood<E: JobExecutor>(_ executor: E) async throws -> Double {
    try await work.flood(executor, 1_000)
    let before = count_allocations()
    try await work.flood(executor, count)
    return Double(count_allocations() - before) / Double(count)
  }
  private func ofMap<E: JobExecutor>(_ executor: E) async throws -> Double {
    try await work.map(executor, 1_000)
    let before = count_allocations()
    try await work.map(executor, count)
    return Double(count_allocations() - before) / Double(count)
  }
}

/// How often a thread of the parent or of a worker slept and was woken, a job; and a second where there is none.
struct WakeUps {
  let work: Work

  func print() async throws {
    let processes = ProcessPoolExecutor(maxWorkers: 2)
    try await work.flood(processes, 1_000)
    let count = work.waste == nil ? 100_000 : 5_000
    say("wake-ups.process-flood", Double(try await voluntary { try await work.flood(processes, count) }) / Double(count))
    let rounds = 50
    // Among them one of the calling thread, which makes the quiet by a sleep.
    say("wake-ups.process-quiet", Double(try await voluntary { try await work.afterQuiet(processes, rounds) }) / Double(rounds))
    say("wake-ups.idle-processes", await idle())
    await processes.shutdown()
    let threads = ThreadPoolExecutor(maxWorkers: 2)
    try await work.flood(threads, 1_000)
    say("wake-ups.thread-flood", Double(try await voluntary { try await work.flood(threads, count) }) / Double(count))
    say("wake-ups.idle-threads", await idle())
    await threads.shutdown()
  }
  private func voluntary(_ body: () async throws -> Void) async rethrows -> Int {
    let pids = [getpid()] + ProcessGauges.workers()
    let before = Self.sleeps(pids, exceptCaller: false)
    try await body()
    return Self.sleeps(pids, exceptCaller: false) - before
  }
  /// A second, watched by a thread that does not count.
  private func idle() async -> Double {
    let work = work
    return await PlainThread.run {
      let pids = [getpid()] + ProcessGauges.workers()
      usleep(50_000)
      let before = Self.sleeps(pids, exceptCaller: true)
      work.idle()
      return Double(Self.sleeps(pids, exceptCaller: true) - before) / 2
    }
  }
  private static func sleeps(_ pids: [pid_t], exceptCaller: Bool) -> Int {
    pids.map { ProcessGauges.contextSwitches(of: $0, exceptCaller: exceptCaller, ["voluntary_ctxt_switches"]) }.reduce(0, +)
  }
}
