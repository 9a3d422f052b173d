import HeddleSystem

extension Bridge {
  /// Where an interpreter keeps the compiled program for the next that starts, in the user's own cache; empty: nowhere.
  ///
  /// Compiling takes longer than all else that a worker does before it greets. Its name has a hash of the program: another
  /// version of Heddle has another file. It is Heddle's own code, so `PYTHONDONTWRITEBYTECODE` does not concern it.
  static let cachePath: String = {
    // A path that is not absolute counts as none.
    func folder(_ name: String) -> String? { EnvironmentVariables.value(of: name).flatMap { $0.hasPrefix("/") ? $0 : nil } }
    guard let folder = folder("XDG_CACHE_HOME") ?? folder("HOME").map({ "\($0)/.cache" }) else { return "" }
    return "\(folder)/heddle/bridge-\(String(Fingerprint.of(source.utf8), radix: 16))"
  }()
}
