/// Takes an output apart into what was printed and the marks that the worker set at the beginning and the end of each job.
///
/// A mark is 16 random bytes that only this pool and its workers know, the job's position, and which of the two it is. A worker writes it
/// in one call, but reads may cut it anywhere.
struct OutputSplitter {
  enum Piece: Equatable {
    case text([UInt8])
    case begin(UInt64)
    case end(UInt64)
  }
  static let markByteCount = 25
  private let secret: [UInt8]
  /// The beginning of what may become a mark.
  private var carried: [UInt8] = []

  init(secret: [UInt8]) { self.secret = secret }

  /// The pieces of what was read, in order.
  mutating func split(_ bytes: [UInt8]) -> [Piece] {
    let data = carried + bytes
    carried = []
    var pieces: [Piece] = []
    var start = 0
    var index = 0
    func text(upTo end: Int) { if end > start { pieces.append(.text(Array(data[start..<end]))) } }
    while let found = data[index...].firstIndex(of: secret[0]) {
      let rest = data[found...]
      if rest.count < Self.markByteCount && secret.starts(with: rest.prefix(secret.count)) {
        text(upTo: found)
        carried = Array(rest)
        return pieces
      }
      guard rest.count >= Self.markByteCount, rest.starts(with: secret) else {
        index = found + 1
        continue
      }
      text(upTo: found)
      let position = (0..<8).reduce(UInt64(0)) { $0 | UInt64(data[found + 16 + $1]) << (8 * UInt64($1)) }
      pieces.append(data[found + 24] == 0 ? .begin(position) : .end(position))
      start = found + Self.markByteCount
      index = start
    }
    text(upTo: data.count)
    return pieces
  }
  /// What was kept because it might have become a mark.
  mutating func rest() -> [UInt8] {
    defer { carried = [] }
    return carried
  }
  /// A secret for one pool: its first byte is one that text hardly holds, so that it is found fast.
  static func makeSecret() -> [UInt8] { [1] + (0..<15).map { _ in UInt8.random(in: 0...255) } }
}
