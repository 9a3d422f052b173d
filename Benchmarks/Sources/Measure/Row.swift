import Gauges

/// One line of the table: work that is measured, and what it must reach.
protocol Row: SendableMetatype {
  /// What `--only` calls it.
  static var name: String { get }
  /// The work, in words.
  static var work: String { get }
  /// What it must reach, in words.
  static var must: String { get }
  /// The same as checks of each run's figures.
  static var criteria: [Criterion] { get }

  /// Starts what all runs share.
  init(_ bench: Bench) async throws
  /// One run: Heddle and its peers, one after the other.
  mutating func run(_ sample: inout Sample) async throws
  /// Ends what was started.
  func end() async
}

extension Row {
  func end() async {}
}

/// The figures of one run, by name, in the order in which they came.
struct Sample {
  struct Figure {
    var name: String
    var unit: String
    var value: Double
  }
  private(set) var figures: [Figure] = []
  /// Peers that gave nothing, and why.
  private(set) var absent: [String] = []

  mutating func add(_ name: String, _ unit: String, _ value: Double) { figures.append(Figure(name: name, unit: unit, value: value)) }
  /// A peer's figure, if this machine has the peer.
  mutating func add(_ name: String, _ unit: String, of peer: Result<Peer, PeerAbsent>, _ command: String, _ numbers: Int...) throws {
    switch peer {
    case .success(let peer): add(name, unit, try peer.ask(command, numbers))
    case .failure(let absence): absent.append("\(name): \(absence.reason)")
    }
  }
  /// The means of several turns, each of which gives figures of the same names.
  ///
  /// What takes seconds and is compared is measured in turns: a shared machine has phases of seconds in which everything takes twice as long.
  mutating func addMeans(ofTurns count: Int, _ measure: (inout Sample) async throws -> Void) async throws {
    var turns: [Sample] = []
    for _ in 0..<count {
      var turn = Sample()
      try await measure(&turn)
      turns.append(turn)
    }
    guard let first = turns.first else { return }
    for figure in first.figures {
      let values = turns.compactMap { $0[figure.name] }
      add(figure.name, figure.unit, values.reduce(0, +) / Double(values.count))
    }
    absent += first.absent
  }
  subscript(name: String) -> Double? { figures.first { $0.name == name }?.value }
  /// One figure over another; nil: one of them is not there.
  func ratio(_ name: String, _ other: String) -> Double? {
    guard let value = self[name], let divisor = self[other], divisor > 0 else { return nil }
    return value / divisor
  }
}

/// A bound for what can be computed from one run.
struct Criterion: Sendable {
  enum Bound: Sendable {
    case atMost(Double)
    case atLeast(Double)
  }
  var text: String
  var bound: Bound
  var value: @Sendable (Sample) -> Double?

  /// A figure itself.
  static func figure(_ name: String, _ bound: Bound) -> Criterion { Criterion(text: name, bound: bound) { $0[name] } }
  /// A figure over a figure of the same run.
  static func ratio(_ name: String, _ other: String, _ bound: Bound) -> Criterion {
    Criterion(text: "\(name) ÷ \(other)", bound: bound) { $0.ratio(name, other) }
  }
  func isReached(by value: Double) -> Bool {
    switch bound {
    case .atMost(let most): value <= most
    case .atLeast(let least): value >= least
    }
  }
  var limit: Double {
    switch bound {
    case .atMost(let limit), .atLeast(let limit): limit
    }
  }
  var sign: String {
    switch bound {
    case .atMost: "≤"
    case .atLeast: "≥"
    }
  }
}
