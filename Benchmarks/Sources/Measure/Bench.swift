import Gauges
import Glibc

/// What rows share: how much to do, and the peers, each started when it is first asked.
final class Bench {
  /// Runs of each row that count; one more comes before them.
  let runs: Int
  /// A tenth of the work, to see that it works.
  let isQuick: Bool
  /// Where Peers/ lies.
  let sources: String
  /// Where Peers/build.sh has put what it built.
  let built: String
  private var started: [String: Result<Peer, PeerAbsent>] = [:]

  init(runs: Int, isQuick: Bool, sources: String, built: String) {
    self.runs = runs
    self.isQuick = isQuick
    self.sources = sources
    self.built = built
  }

  /// So many, or a tenth of it where it is to be quick.
  func count(_ full: Int) -> Int { isQuick ? max(full / 10, 1) : full }

  /// TaskGroup, Dispatch, NIOThreadPool, and plain C: a socket pair, posix_spawn, memcpy.
  var swift: Result<Peer, PeerAbsent> { peer("Swift", [beside("SwiftPeers")], needs: beside("SwiftPeers")) }
  /// Heddle's process pool in a program that has the Swift runtime inside.
  var staticStart: Result<Peer, PeerAbsent> { peer("StaticStart", [beside("StaticStart")], needs: beside("StaticStart")) }
  /// CPython's own pools, in the interpreter that Heddle's executor is given too.
  var python: Result<Peer, PeerAbsent> { peer("Python", [pythonPath, "-B", sources + "/pools.py"], needs: pythonPath) }
  /// Heddle's Python executor.
  var pythonCalls: Result<Peer, PeerAbsent> {
    peer("PythonCalls", [beside("PythonCalls"), pythonPath, sources + "/work.py:same"], needs: pythonPath)
  }
  /// Java's executors.
  var java: Result<Peer, PeerAbsent> { peer("Java", ["java", "-cp", built + "/java", "Pools"], needs: built + "/java/Pools.class") }
  /// rayon.
  var rayon: Result<Peer, PeerAbsent> { peer("rayon", [built + "/rayon"], needs: built + "/rayon") }

  /// This program, to be started once more.
  var ownPath: String { beside("Measure") }

  private lazy var pythonPath: String = Self.find("python3")
  private func beside(_ name: String) -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count - 1)
    let path = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return path.prefix(through: path.lastIndex(of: "/") ?? path.startIndex) + name
  }
  private func peer(_ name: String, _ command: [String], needs file: String) -> Result<Peer, PeerAbsent> {
    if let peer = started[name] { return peer }
    let peer: Result<Peer, PeerAbsent> =
      if access(file, R_OK) != 0 { .failure(PeerAbsent(reason: "\(name) is not on this machine")) } else if let peer = Peer(name, command) {
        .success(peer)
      } else { .failure(PeerAbsent(reason: "\(name) does not start")) }
    started[name] = peer
    return peer
  }
  /// Ends all peers, so that those of one row do not run beside the next.
  func endPeers() { started = [:] }

  /// The interpreter itself: what is on the path may be a script that looks for it each time.
  private static func find(_ name: String) -> String {
    if let set = getenv("MEASURE_PYTHON") { return String(cString: set) }
    for folder in (getenv("PATH").map { String(cString: $0) } ?? "").split(separator: ":") where access("\(folder)/\(name)", X_OK) == 0 {
      return "\(folder)/\(name)"
    }
    return name
  }
}

/// Why a peer gives no figures here.
struct PeerAbsent: Error {
  var reason: String
}
