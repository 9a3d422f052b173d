import Glibc
import Heddle
import HeddleSystem
import Testing

/// A host inside a worker: it has a pool of its own, whose workers have children, and then it dies.
private struct Hosts: Job {
  var fault: Fault
  var pids: String
  func run() async throws -> Int {
    let pool = ProcessPoolExecutor(maxWorkers: 2)
    let futures = (0..<2).map { _ in pool.submit(Lingers(pids: pids)) }
    // Two numbers a worker: its own and its child's.
    while (text(of: pids) ?? "").split(separator: "\n").count < 4 { usleep(500) }
    fault.happen()
    return futures.count
  }
}
/// Starts a process and never ends.
private struct Lingers: Job {
  var pids: String
  func run() async throws -> Int {
    unsafe system("sleep 600 & echo $! >> \(pids)")
    append(Array("\(getpid())\n".utf8), to: pids)
    while true { pause() }
  }
}
extension Core {
  /// A program that has a pool and dies leaves nobody behind.
  @Suite struct HostDeath {
    @Test(arguments: [Fault.trap, .signal(11), .signal(15), .killedFromOutside, .exit0, .exit3, .signal(6)])
    func `a host that dies leaves no worker`(fault: Fault) async throws {
      let scratch = Scratch()
      try await withSubject(.processes, workers: 1) { pool in
        let result = await pool.submit(Hosts(fault: fault, pids: scratch.path("pids"))).result
        #expect(result.jobError?.exit.map(fault.exits.contains) == true, "\(result)")
        let pids = (text(of: scratch.path("pids")) ?? "").split(separator: "\n").compactMap { Int32($0) }
        #expect(pids.count == 4)
        for pid in pids { try await eventually("the end of \(pid)", limit: .seconds(1)) { !isAlive(pid) } }
      }
    }
  }
}
