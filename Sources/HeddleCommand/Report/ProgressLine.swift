import Heddle

/// How far a run is, as the progress line shows it.
struct RunProgress: Equatable {
  /// Inputs that have a row, those that had one before included.
  var done = 0
  /// Of those, how many had one before.
  var skipped = 0
  /// Failed in this run.
  var failed = 0
  /// All inputs, where that is known.
  var total: Int?
  /// Since the run began.
  var elapsed = Duration.zero

  /// What Heddle measured of the run; nil: only the counts above are known.
  private var measured: MapProgress?

  init(done: Int = 0, skipped: Int = 0, failed: Int = 0, total: Int? = nil, elapsed: Duration = .zero) {
    self.done = done
    self.skipped = skipped
    self.failed = failed
    self.total = total
    self.elapsed = elapsed
  }
  /// The progress of a run whose items are the inputs that had no row before; `skipped` had one.
  init(_ progress: MapProgress, skipped: Int) {
    self.init(
      done: progress.done + skipped, skipped: skipped, failed: progress.failed, total: progress.total.map { $0 + skipped },
      elapsed: progress.elapsed)
    measured = progress
  }

  /// Inputs a second, in this run.
  var rate: Double {
    if let measured { return measured.rate }
    let seconds = elapsed / .seconds(1)
    return seconds > 0 ? Double(done - skipped) / seconds : 0
  }
  /// nil: nothing can be said.
  var left: Duration? {
    if let measured { return measured.remaining }
    guard let total, rate > 0 else { return nil }
    return .seconds(Double(max(total - done, 0)) / rate)
  }

  /// `37/120 30% · 2 failed · 12.5/s · 0:06 left`, cut to `width` columns.
  ///
  /// - Parameter hasBar: Whether a bar stands before it, where the total is known and there is room.
  func text(width: Int, hasBar: Bool = false) -> String {
    if hasBar, let total, width >= 60 {
      let length = 20
      let full = total == 0 ? length : min(done, total) * length / total
      let bar = "[" + String(repeating: "#", count: full) + String(repeating: "-", count: length - full) + "] "
      return bar + text(width: width - bar.count)
    }
    var parts = [total.map { "\(done)/\($0) \($0 == 0 ? 100 : done * 100 / $0)%" } ?? "\(done)"]
    if failed > 0 { parts.append("\(failed) failed") }
    if done > skipped { parts.append("\(Self.format(rate: rate))/s") }
    if let left, done < total ?? 0 { parts.append("\(Self.format(left)) left") } else { parts.append(Self.format(elapsed)) }
    return String(parts.joined(separator: " · ").prefix(max(width - 1, 1)))
  }

  /// Three figures at most.
  static func format(rate: Double) -> String {
    if rate >= 99.95 { return String(Int(rate.rounded())) }
    let tenths = Int((rate * (rate < 9.995 ? 100 : 10)).rounded())
    let scale = rate < 9.995 ? 100 : 10
    let fraction = String(tenths % scale)
    return "\(tenths / scale)." + String(repeating: "0", count: (scale == 100 ? 2 : 1) - fraction.count) + fraction
  }
  /// `1:02:03`, `2:03`, `0:03`.
  static func format(_ span: Duration) -> String {
    let seconds = Int((span / .seconds(1)).rounded(.up))
    func two(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60)
    return hours > 0 ? "\(hours):\(two(minutes)):\(two(seconds % 60))" : "\(minutes):\(two(seconds % 60))"
  }
}

/// The line at the bottom of a terminal that is written over and over, and gives way to whatever else is printed.
///
/// Not safe to share: all of standard error goes through the one thread that owns it.
struct ProgressLine {
  /// At most ten times a second; more often nobody can read.
  static let interval = Duration.milliseconds(100)
  let isShown: Bool
  private let hasBar: Bool
  private let width: () -> Int
  private let write: ([UInt8]) -> Void
  private var isDrawn = false

  init(isShown: Bool, hasBar: Bool = false, width: @escaping () -> Int, write: @escaping ([UInt8]) -> Void) {
    self.isShown = isShown
    self.hasBar = hasBar
    self.width = width
    self.write = write
  }

  /// Draws the line anew.
  mutating func draw(_ progress: RunProgress) {
    guard isShown else { return }
    write(Array("\r\(progress.text(width: width(), hasBar: hasBar))\u{1b}[K".utf8))
    isDrawn = true
  }
  /// Takes the line away.
  mutating func clear() {
    guard isDrawn else { return }
    write(Array("\r\u{1b}[K".utf8))
    isDrawn = false
  }
  /// Lets something else out, above the line.
  mutating func pass(_ output: [UInt8]) {
    clear()
    write(output)
  }
}
