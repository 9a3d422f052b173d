import HeddleSystem

extension Bridge {
  /// Compiles the script, or takes it compiled from the cache: a quarter of the time that a worker takes to start.
  ///
  /// Like Python's own `__pycache__`, with the interpreter's version in the name, and written under another name first. It is Heddle's
  /// own code and not the user's, so `PYTHONDONTWRITEBYTECODE` does not concern it. Python 2 has to get through here too, to be told
  /// that it is too old.
  static let loader = """
    sys = __import__("sys")
    def load(script, path):
        code = None
        kind = getattr(getattr(sys, "implementation", None), "cache_tag", None)
        if path and kind:
            marshal = __import__("marshal")
            path += "-%s-%x" % (kind, sys.hexversion)
            try:
                with open(path, "rb") as file:
                    code = marshal.load(file)
            except Exception:
                pass
        if code is None:
            code = compile(script, "<heddle>", "exec")
            if path and kind:
                try:
                    os = __import__("os")
                    os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
                    part = "%s.%d" % (path, os.getpid())
                    with open(part, "xb") as file:
                        marshal.dump(code, file)
                    os.replace(part, path)
                except Exception:
                    pass
        return code
    exec(load(sys.argv.pop(1), sys.argv.pop(1)))
    """
  /// Where the compiled script is kept, in the user's own cache; empty: nowhere.
  ///
  /// Its name has a hash of the script: another version of Heddle has another file.
  static func cachePath(of script: String) -> String {
    func variable(_ name: String) -> String? {
      ChildProcess.environment.first { $0.hasPrefix("\(name)=/") }.map { String($0.dropFirst(name.utf8.count + 1)) }
    }
    guard let folder = variable("XDG_CACHE_HOME") ?? variable("HOME").map({ "\($0)/.cache" }) else { return "" }
    // FNV-1a.
    let hash = script.utf8.reduce(0xcbf2_9ce4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    return "\(folder)/heddle/bridge-\(String(hash, radix: 16))"
  }
}
