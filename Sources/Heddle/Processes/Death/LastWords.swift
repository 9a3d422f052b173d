/// What a runtime printed as it ended the process: a Swift trap's message, or Python's fatal error with the innermost line of the user's.
struct LastWords {
  /// The message; nil: none was printed.
  private(set) var reason: String?
  /// For Python: where it was.
  private var innermost: PythonFrame?
  /// The innermost that is in no library.
  private var own: PythonFrame?

  private struct PythonFrame {
    var function: String
    var file: String
    var line: Int
    /// Whether it belongs to Python or to a package that was installed.
    var isLibrary: Bool {
      file.hasPrefix("<") || file.contains("/lib/python3") || file.contains("/site-packages/") || file.contains("/dist-packages/")
    }
  }

  init(_ tail: String) {
    // Of the thread that died, which is listed before others or after them.
    var isCurrent = false, isOver = false
    for line in tail.split(separator: "\n", omittingEmptySubsequences: true).suffix(Self.limit) {
      if line.hasPrefix("Fatal Python error: ") {
        reason = String(line)
        (innermost, own) = (nil, nil)
        (isCurrent, isOver) = (false, false)
      } else if line.hasPrefix("Current thread "), reason?.hasPrefix("Fatal Python error") == true {
        (innermost, own) = (nil, nil)
        (isCurrent, isOver) = (true, false)
      } else if isCurrent, line.hasPrefix("Thread ") {
        isOver = true
      } else if let message = Self.swiftMessage(line) {
        reason = message
      } else if reason?.hasPrefix("Fatal Python error") == true, own == nil, !isOver, let frame = Self.pythonFrame(line) {
        if innermost == nil { innermost = frame }
        if !frame.isLibrary { own = frame }
      }
    }
  }
  /// Lines from the end that are looked at: Python's report of many threads is long.
  private static let limit = 100

  /// The site, where a message was printed.
  var site: CrashSite? {
    guard let reason else { return nil }
    guard let innermost else { return CrashSite(reason: reason) }
    guard innermost.isLibrary, let own else {
      return CrashSite(reason: reason, function: innermost.function, file: innermost.file, line: innermost.line)
    }
    // Who reads it knows his own line; what he called there is said too.
    return CrashSite(
      reason: "\(reason), in \(innermost.function) at \(innermost.file):\(innermost.line)", function: own.function, file: own.file,
      line: own.line, isCaller: true)
  }

  /// `App/Main.swift:17: Fatal error: the sky is falling`: from the mark on.
  private static func swiftMessage(_ line: Substring) -> String? {
    for mark in ["Fatal error", "Precondition failed", "Assertion failed", "Could not cast value of type"] {
      // The mark begins the line, or follows `file:line: `.
      if line.hasPrefix(mark) { return String(line) }
      var parts = line.split(separator: ":", omittingEmptySubsequences: false)
      while parts.count > 1 {
        parts.removeFirst()
        let rest = parts.joined(separator: ":")
        if rest.hasPrefix(" " + mark) { return String(rest.dropFirst()) }
      }
    }
    return nil
  }
  /// `  File "/home/me/words.py", line 3 in longest`, the innermost first.
  private static func pythonFrame(_ line: Substring) -> PythonFrame? {
    let text = line.drop { $0 == " " }
    let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
    guard text.hasPrefix("File \""), parts.count >= 3 else { return nil }
    let words = parts[2].split(separator: " ")
    guard words.count >= 4, words[0] == ",", words[1] == "line", let number = Int(words[2]) else { return nil }
    return PythonFrame(function: words[4...].joined(separator: " "), file: String(parts[1]), line: number)
  }
}
