/// What a runtime printed as it ended the process: a Swift trap's message, or Python's fatal error with its innermost line.
struct LastWords {
  /// The message; nil: none was printed.
  private(set) var reason: String?
  /// For Python: where it was.
  private var function: String?
  private var file: String?
  private var line: Int?

  init(_ tail: String) {
    for line in tail.split(separator: "\n", omittingEmptySubsequences: true).suffix(Self.limit) {
      if line.hasPrefix("Fatal Python error: ") {
        reason = String(line)
        (function, file, self.line) = (nil, nil, nil)
      } else if line.hasPrefix("Current thread "), reason?.hasPrefix("Fatal Python error") == true {
        // Other threads may be listed before the one that died.
        (function, file, self.line) = (nil, nil, nil)
      } else if let message = Self.swiftMessage(line) {
        reason = message
      } else if reason?.hasPrefix("Fatal Python error") == true, file == nil {
        readPython(line)
      }
    }
  }
  /// Lines from the end that are looked at: Python's report of many threads is long.
  private static let limit = 100

  /// The site, where a message was printed.
  var site: CrashSite? {
    reason.map { CrashSite(reason: $0, function: function, file: file, line: line) }
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
  private mutating func readPython(_ line: Substring) {
    let text = line.drop { $0 == " " }
    let parts = text.split(separator: "\"", omittingEmptySubsequences: false)
    guard text.hasPrefix("File \""), parts.count >= 3 else { return }
    let words = parts[2].split(separator: " ")
    guard words.count >= 4, words[0] == ",", words[1] == "line", let number = Int(words[2]) else { return }
    file = String(parts[1])
    self.line = number
    function = words[4...].joined(separator: " ")
  }
}
