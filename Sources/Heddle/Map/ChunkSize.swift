/// How many items of a map go together, by what they were seen to cost.
///
/// Sending a piece of work costs microseconds. Items that take less go together until a chunk takes `target`, so that the way costs a
/// twentieth of it at most; items that take longer go one by one.
struct ChunkSize {
  /// What a chunk is to take: far below the 50 ms that one may have to wait for it.
  ///
  /// Unit: nanoseconds.
  static let target = 200_000.0
  /// A chunk's items and outputs are in memory together.
  static let limit = 1 << 14
  /// Items may differ: what the last chunk says about the next is believed so far.
  private static let growth = 8

  /// The caller's choice, which holds.
  private let fixed: Int?
  private var measured = 1
  /// Smoothed.
  ///
  /// Unit: nanoseconds an item.
  private var cost = 0.0

  init(fixed: Int?) { self.fixed = fixed.map { min(max(1, $0), Self.limit) } }

  /// Whether the caller said how many.
  var isFixed: Bool { fixed != nil }
  /// Items in the next chunk.
  var count: Int { fixed ?? measured }
  /// Some items ran together, on one worker.
  mutating func ended(_ count: Int, nanoseconds: UInt64) {
    guard fixed == nil, count > 0 else { return }
    let last = max(Double(nanoseconds) / Double(count), 1)
    // Up at once, since a chunk of long items holds others up; down step by step, since any thread may lose its processor for a while.
    cost = cost == 0 ? last : cost * 0.7 + last * 0.3
    let fit = min(Self.target / cost, Double(Self.limit))
    measured = max(1, min(Int(fit), measured * Self.growth))
  }
}
