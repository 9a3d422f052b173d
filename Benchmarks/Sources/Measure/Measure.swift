import CGauges
import Gauges
import Glibc
import Heddle

/// Prints the table of what Heddle must reach: every row with the figures of its runs, those of its peers in the same runs, and a verdict.
///
/// Options: --json, --only ROW[,ROW], --runs N (5), --quick, --list, --peers SOURCES BUILT. Scripts/measure.sh builds and starts it.
@main
struct Measure {
  static let rows: [any Row.Type] = [
    ProcessFlood.self, ProcessSingle.self, ProcessQuiet.self, Start.self, Arrays.self, SharedArrays.self, ThreadFlood.self,
    ThreadSingle.self, ThreadMap.self, ProcessMap.self, PythonFlood.self, Mixed.self, BesideSlow.self, IdleMemory.self, IdleSwitches.self,
    QueuedMemory.self, Growth.self, Crowd.self, Contention.self,
  ]

  static func main() async {
    var arguments = Array(CommandLine.arguments.dropFirst())
    if arguments == ["--burn"] { gauge_burn_forever() }
    func flag(_ name: String) -> Bool {
      defer { arguments.removeAll { $0 == name } }
      return arguments.contains(name)
    }
    func option(_ name: String, _ count: Int = 1) -> [String]? {
      guard let place = arguments.firstIndex(of: name) else { return nil }
      guard place + count < arguments.count else { usage("\(name) needs \(count) more") }
      let values = Array(arguments[(place + 1)...(place + count)])
      arguments.removeSubrange(place...(place + count))
      return values
    }
    let isJSON = flag("--json")
    let isQuick = flag("--quick")
    let isList = flag("--list")
    let runs = option("--runs").map { Int($0[0]) ?? 0 } ?? (isQuick ? 1 : 5)
    let peers = option("--peers", 2) ?? ["", ""]
    let only = option("--only").map { $0[0].split(separator: ",").map(String.init) }
    guard arguments.isEmpty else { usage("unknown: \(arguments.joined(separator: " "))") }
    guard runs > 0 else { usage("--runs needs a number of at least 1") }
    if isList { return print(rows.map { "\($0.name): \($0.work)" }.joined(separator: "\n")) }
    if let unknown = only?.first(where: { name in !rows.contains { $0.name == name } }) { usage("no row is called \(unknown)") }

    let chosen = rows.filter { row in only?.contains(row.name) ?? true }
    // A task of its own, as in a program that computes beside its main actor; rows that are about the main actor go there.
    let (text, isFailed) = await Task.detached {
      await measure(chosen, Bench(runs: runs, isQuick: isQuick, sources: peers[0], built: peers[1]), isJSON: isJSON)
    }.value
    print(text)
    exit(isFailed ? 1 : 0)
  }
  /// The exit status is that of the measuring: a figure that is not reached is no failure of it.
  static func measure(_ rows: [any Row.Type], _ bench: Bench, isJSON: Bool) async -> (String, Bool) {
    var results: [RowResult] = []
    for row in rows {
      let result = await measure(row, bench)
      results.append(result)
      // Each as soon as it is there; where standard output is to be JSON, elsewhere.
      Console.line(TextTable.text(of: result), to: isJSON ? 2 : 1)
    }
    return (
      isJSON ? JSONReport.text(of: results, machine: Machine.facts(), runs: bench.runs) : TextTable.summary(results),
      results.contains { $0.failure != nil }
    )
  }
  static func measure<R: Row>(_ type: R.Type, _ bench: Bench) async -> RowResult {
    var samples: [Sample] = []
    do {
      var row = try await type.init(bench)
      // The first starts workers and peers, fills caches, and does not count.
      for run in 0...bench.runs {
        var sample = Sample()
        try await row.run(&sample)
        if run > 0 { samples.append(sample) }
      }
      await row.end()
      bench.endPeers()
      return RowResult(type, samples)
    } catch {
      bench.endPeers()
      return RowResult(type, samples, failure: "\(error)")
    }
  }
  static func usage(_ mistake: String) -> Never {
    Console.line("measure: \(mistake)\nusage: Scripts/measure.sh [--json] [--only ROW[,ROW]] [--runs N] [--quick] [--list]", to: 2)
    exit(2)
  }
}

/// Where the figures were measured.
enum Machine {
  static func facts() -> [(String, String)] {
    let model = ProcessGauges.text(of: "/proc/cpuinfo").split(separator: "\n").first { $0.hasPrefix("model name") }
    let memory = ProcessGauges.text(of: "/proc/meminfo").split(separator: "\n").first { $0.hasPrefix("MemTotal") }
    let gibibytes = memory.flatMap { $0.split { !$0.isNumber }.first }.flatMap { Int($0) }.map { "\(($0 + 524_288) / 1_048_576) GiB" }
    return [
      ("processors", "\(Parallelism.available)"), ("model", model.map { String($0.split(separator: ":")[1].dropFirst()) } ?? "unknown"),
      ("memory", gibibytes ?? "unknown"),
      ("kernel", ProcessGauges.text(of: "/proc/sys/kernel/osrelease").split(separator: "\n").first.map(String.init) ?? "unknown"),
    ]
  }
}
