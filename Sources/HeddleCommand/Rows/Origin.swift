import HeddlePython
import HeddleSystem

/// What has made rows: a function or command, at one state of its source.
///
/// Noted beside the rows, so that a run that goes on with them can say that they come from something else than what it runs.
struct Origin: Hashable {
  /// As it was named on the command line.
  let target: String
  /// A hash of its source; nil where no file of the user's is its source.
  let digest: UInt64?

  init(target: String, digest: UInt64?) {
    self.target = target
    self.digest = digest
  }
  /// The function, and the file that it is in as it is now.
  ///
  /// What that file imports is not looked at. Of a module only one below the working directory has a digest: an installed one is not
  /// edited between two runs.
  init(_ target: PythonTarget) {
    let candidates: [String]
    switch target.place {
    case .file(let path): candidates = [path]
    case .module(let name):
      let path = name.split(separator: ".").joined(separator: "/")
      candidates = ["\(path).py", "\(path)/__init__.py"]
    }
    self.init(target: target.description, digest: candidates.lazy.compactMap(Self.digest(ofFile:)).first)
  }

  private static func digest(ofFile path: String) -> UInt64? {
    guard let file = try? Descriptor.open(path, for: .reading) else { return nil }
    // Nobody changes his source so that it goes unseen: a hash that a person could fool will do.
    var result = Fingerprint.empty
    var block: [UInt8] = []
    while true {
      guard (try? file.readBlock(into: &block, limit: LineReader.blockSize)) != nil else { return nil }
      if block.isEmpty { return result }
      result = Fingerprint.of(block, after: result)
    }
  }

  /// A warning where some of the rows in `path` come from something else; nil: all come from here.
  func warning(about others: [Origin], path: String) -> String? {
    let strangers = others.filter { $0 != self }
    if strangers.isEmpty { return nil }
    let advice = "rows that succeeded are kept as they are; --overwrite makes all anew"
    if let other = strangers.first(where: { $0.target != target }) {
      return "warning: rows of \(path) were made by \(other.target), and this run calls \(target); \(advice)"
    }
    return "warning: the source of \(target) has changed since rows of \(path) were made; \(advice)"
  }

  // MARK: As text

  /// `0123456789abcdef work.py:function`, in one line.
  var line: String {
    let hexadecimal = digest.map { String($0, radix: 16) } ?? "-"
    return String(repeating: "0", count: digest == nil ? 0 : 16 - hexadecimal.count) + "\(hexadecimal) \(target)"
  }
  /// nil: that is no such line.
  init?(line: String) {
    let parts = line.split(separator: " ", maxSplits: 1)
    guard parts.count == 2 else { return nil }
    let digest = UInt64(parts[0], radix: 16)
    guard digest != nil || parts[0] == "-" else { return nil }
    self.init(target: String(parts[1]), digest: digest)
  }
}

/// The origins of the rows in a file, in a small hidden file beside it: `.rows.jsonl.heddle` beside `rows.jsonl`.
///
/// Beside it and not in it, so that the rows stay as they are documented. Where it is missing nothing is known, and nothing is warned of.
struct OriginFile {
  private let path: String
  private(set) var origins: [Origin] = []

  init(besides results: String) {
    let slash = results.lastIndex(of: "/")
    let folder = slash.map { results[...$0] } ?? ""
    let name = slash.map { results[results.index(after: $0)...] } ?? results[...]
    path = "\(folder).\(name).heddle"
  }
  /// Reads what is noted.
  mutating func read() {
    guard let lines = try? LineReader(path: path) else { return }
    while let line = try? lines.next() {
      if let origin = Origin(line: String(decoding: line, as: UTF8.self)) { origins.append(origin) }
    }
  }
  /// Notes one more.
  ///
  /// It is never a reason not to run: on a full disk there is one warning less the next time.
  mutating func note(_ origin: Origin) {
    guard !origins.contains(origin), let file = try? Descriptor.open(path, for: .appending) else { return }
    if origins.isEmpty { file.truncate(to: 0) }
    origins.append(origin)
    try? file.writeAll(Array((origin.line + "\n").utf8))
  }
  /// Takes it away, with the rows that it tells of.
  mutating func remove() {
    origins = []
    Files.remove(path)
  }
}
