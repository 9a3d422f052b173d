import HeddleSystem

extension Bridge {
  /// Where a worker keeps the compiled program for the next that starts, in the user's own cache; empty: nowhere.
  ///
  /// For workers of an interpreter that was not asked before, which hands it over otherwise. Its name has a hash of the program: another
  /// version of Heddle has another file. It is Heddle's own code, so `PYTHONDONTWRITEBYTECODE` does not concern it.
  static let cachePath: String = {
    func variable(_ name: String) -> String? {
      ChildProcess.environment.first { $0.hasPrefix("\(name)=/") }.map { String($0.dropFirst(name.utf8.count + 1)) }
    }
    guard let folder = variable("XDG_CACHE_HOME") ?? variable("HOME").map({ "\($0)/.cache" }) else { return "" }
    // FNV-1a.
    let hash = source.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return "\(folder)/heddle/bridge-\(String(hash, radix: 16))"
  }()
}
