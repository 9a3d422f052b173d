import Gauges
import Glibc

/// What this process holds.
struct Vitals: CustomStringConvertible {
  var descriptors: Int
  var threads: Int
  var children: Int
  /// Mapped regions of workers.
  var regions: Int
  /// Resident.
  ///
  /// Unit: MiB.
  var memory: Int

  var description: String {
    "\(descriptors) descriptors, \(threads) threads, \(children) children, \(regions) shared regions, \(memory) MiB"
  }

  static func now() -> Vitals {
    Vitals(
      descriptors: ProcessGauges.names(in: "/proc/self/fd").count, threads: ProcessGauges.names(in: "/proc/self/task").count,
      children: ProcessGauges.children().count,
      regions: ProcessGauges.text(of: "/proc/self/maps").split(separator: "\n").count { $0.contains("memfd:heddle") },
      memory: (ProcessGauges.text(of: "/proc/self/statm").split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) / 256)
  }
  /// What is held once no child and no region is left; they may take a moment.
  static func settled() async throws -> Vitals {
    for _ in 0..<500 {
      let vitals = now()
      if vitals.children == 0 && vitals.regions == 0 { return vitals }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw Violation("left behind after five seconds: \(now()); children \(ProcessGauges.children())")
  }
  /// The first and last of a run, which must be alike; the first few pools fill caches.
  static func compare(_ all: [Vitals]) throws -> (Vitals, Vitals) {
    guard all.count >= 8 else { return (all.first ?? now(), all.last ?? now()) }
    // Threads of the language's own pool and Dispatch's descriptors come when they are wanted: the most of the first half is what they come to.
    let early = all[2..<all.count / 2]
    let late = all[(all.count / 2)...]
    func most(_ part: ArraySlice<Vitals>, _ value: (Vitals) -> Int) -> Int { part.map(value).max() ?? 0 }
    for (what, value, slack) in [
      ("descriptors", { $0.descriptors }, 2), ("threads", { $0.threads }, 2), ("MiB", { $0.memory }, 64),
    ] as [(String, (Vitals) -> Int, Int)] where most(late, value) > most(early, value) + slack {
      throw Violation("more and more \(what): at most \(most(early, value)) in the first half, \(most(late, value)) in the second")
    }
    return (all[2], all.last!)
  }

  /// For how long a process has been there.
  ///
  /// Unit: seconds; in steps of the kernel's tick, 10 ms.
  static func age(of pid: Int32) -> Double {
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    let fields = ProcessGauges.text(of: "/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ") ?? []
    let now = Double(ProcessGauges.text(of: "/proc/uptime").prefix { $0 != " " })
    guard fields.count > 19, let start = Double(fields[19]), let now else { return 0 }
    return now - start / ticks
  }
}
