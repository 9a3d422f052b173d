import CHeddle
import HeddleSystem
import Synchronization

/// What some items of a map gave that follow one another.
@usableFromInline struct ChunkPiece<Output: Sendable>: Sendable {
  /// The place of the first of them in its chunk.
  @usableFromInline var first = 0
  /// The outputs of those that succeeded.
  @usableFromInline var values: ContiguousArray<Output> = []
  /// The others, with their place in the chunk.
  @usableFromInline var failures: [(index: Int, error: any Error)] = []

  @inlinable init() {}
  init(first: Int) { self.first = first }
  /// Items that all failed with the same error.
  static func failed(_ items: Range<Int>, _ error: any Error) -> ChunkPiece {
    var piece = ChunkPiece(first: items.lowerBound)
    for _ in items { piece.fail(error) }
    return piece
  }

  @inlinable var count: Int { values.count &+ failures.count }
  @inlinable mutating func succeed(_ value: Output) { values.append(value) }
  @usableFromInline mutating func fail(_ error: any Error) { failures.append((first + count, error)) }
}

/// Several items of a map that an executor takes as one piece of work, since each is too short to be worth a way of its own.
///
/// For the executor it is a future like others. It ends with success when each item has its outcome, which may be an error; with a failure
/// where the executor could not run it to the end: then those in front of the failure have their outcomes.
// SAFETY: `body` is touched by the thread that started the chunk; the rest is under the lock.
@usableFromInline final class MapChunk<Output: Sendable>: AnyFuture, @unchecked Sendable {
  /// How many items.
  @usableFromInline let count: Int
  /// Runs all of them, on a thread of this process.
  @exclusivity(unchecked) private var body: (@concurrent @Sendable (MapChunk<Output>) async -> ChunkPiece<Output>)?
  private struct Content {
    var pieces: [ChunkPiece<Output>] = []
    var received = 0
    /// Pieces that have come and are being decoded.
    var opened = 0
    var isComplete = false
    var failure: (any Error)?
    /// How long the items ran together.
    ///
    /// Unit: nanoseconds.
    var nanoseconds: UInt64 = 0
  }
  private let content = Locked(Content())

  /// A chunk that a thread runs.
  @usableFromInline init(
    of count: Int, in source: any FutureSource, _ body: @escaping @concurrent @Sendable (MapChunk<Output>) async -> ChunkPiece<Output>
  ) {
    self.count = count
    unsafe self.body = body
    super.init(source: source)
  }
  /// A chunk that is run elsewhere.
  init(of count: Int, in source: (any FutureSource)?) {
    self.count = count
    super.init(source: source)
  }

  // MARK: On a thread

  @usableFromInline override var kind: WorkKind { .async }
  @usableFromInline override nonisolated(nonsending) func executeAsync() async {
    guard let body = unsafe body else { return }
    let begin = heddle_monotonic_nanoseconds()
    let piece = await body(self)
    unsafe self.body = nil
    content.withLock { content in
      content.pieces = [piece]
      content.nanoseconds = heddle_monotonic_nanoseconds() - begin
    }
    if beginEnding() { end(Stage.succeeded) }
  }
  /// Whether its items are to stop: it was cancelled.
  @usableFromInline var isToldToStop: Bool { wasTold }

  // MARK: In a process

  @usableFromInline override func willReceive() { content.withLock { $0.opened += 1 } }
  /// Takes what a worker sent about some items; nil: it made no sense.
  ///
  /// - Parameter isLast: nothing more comes; the time is that of all.
  func receive(_ piece: ChunkPiece<Output>?, isLast: Bool, nanoseconds: UInt64) {
    let outcome = content.withLock { content -> Bool? in
      if isLast {
        content.isComplete = true
        content.nanoseconds = nanoseconds
      } else {
        content.opened -= 1
      }
      // One without items says nothing; kept, as many as a worker likes would fill our memory.
      if let piece, piece.first >= 0, piece.count > 0, piece.count <= count - content.received {
        content.received += piece.count
        content.pieces.append(piece)
      }
      guard content.isComplete && content.opened == 0 else { return nil }
      return content.received == count
    }
    switch outcome {
    case true?: if beginEnding() { end(Stage.succeeded) }
    case false?: fail(JobError.chunkIncomplete)
    case nil: break
    }
  }
  @usableFromInline override func writeFailure(_ error: any Error) { content.withLock { $0.failure = error } }

  // MARK: The end

  /// What became of the items, in their order; once it has ended.
  ///
  /// Behind the pieces the failure is that of the item that cost its worker; those behind that one have no outcome yet. Where the
  /// executor never began the items, each has its error in a piece.
  func outcomes() -> (pieces: [ChunkPiece<Output>], failure: (any Error)?) {
    // Its worker died while another thread decodes what it had sent before: that takes microseconds.
    while content.withLock({ $0.opened > 0 }) { heddle_yield() }
    var (pieces, failure) = content.withLock { ($0.pieces, $0.failure) }
    if pieces.count > 1 { pieces.sort { $0.first < $1.first } }
    var ended = 0
    for index in pieces.indices {
      guard pieces[index].first == ended else {
        // A worker that left some out, or sent some twice, is believed up to there.
        pieces.removeSubrange(index...)
        failure = failure ?? JobError.chunkIncomplete
        break
      }
      ended += pieces[index].count
    }
    guard let failure, ended < count else { return (pieces, nil) }
    if Self.costsOneItem(failure) { return (pieces, failure) }
    return (pieces + [.failed(ended..<count, failure)], nil)
  }
  /// How long the items ran together, for the size of the next chunks; 0: they did not end together.
  ///
  /// Unit: nanoseconds.
  var nanoseconds: UInt64 { content.withLock { $0.nanoseconds } }
  /// How many items have an outcome, and how many of those failed; once it has ended.
  var counts: (ended: Int, failed: Int) {
    let (pieces, failure) = outcomes()
    let last = failure == nil ? 0 : 1
    return (pieces.reduce(last) { $0 + $1.count }, pieces.reduce(last) { $0 + $1.failures.count })
  }
  /// Whether the failure of a chunk is that of the item that ran, so that those behind it can run in another.
  private static func costsOneItem(_ failure: any Error) -> Bool {
    guard let error = failure as? JobError else { return false }
    return error.code == .workerDied || error.code == .memoryLimitExceeded
  }
}

extension JobError {
  static var chunkIncomplete: JobError {
    JobError(
      code: .notDecodable,
      message: "The worker did not answer each of the items of a map that it was sent together, or answered some twice.")
  }
}
