/// What a map can yield without a look at its jobs: the outcomes of the chunk that came last.
///
/// A reader of a million tiny items takes each from here, so this is inlined into its loop.
@usableFromInline struct MapShelf<Output: Sendable> {
  @usableFromInline var values: ContiguousArray<Output> = []
  /// The next one.
  @usableFromInline var index = 0
  /// Where a failure comes, or the end.
  @usableFromInline var stop = 0
  /// With the place in `values` before which each comes, the next one last.
  private var failures: [(before: Int, error: any Error)] = []

  @usableFromInline init() {}

  /// The next output; nil: a failure comes, or nothing is left.
  @inlinable @inline(__always) mutating func pop() -> Output? {
    guard index < stop else { return nil }
    defer { index &+= 1 }
    return values[index]
  }
  /// Takes the outputs up to a failure, or all.
  @inlinable mutating func takeAll(into outputs: inout [Output]) {
    outputs += values[index..<stop]
    index = stop
  }
  /// The next outcome; nil: nothing is left.
  mutating func next() -> Result<Output, any Error>? {
    if let output = pop() { return .success(output) }
    guard let failure = failures.popLast() else {
      // What was yielded is the reader's.
      values = []
      index = 0
      stop = 0
      return nil
    }
    stop = failures.last?.before ?? values.count
    return .failure(failure.error)
  }
  /// Takes in what a chunk gave, where nothing is left, and behind that one failure more.
  mutating func fill(_ pieces: [ChunkPiece<Output>], then failure: (any Error)?) {
    if pieces.count == 1 {
      values = pieces[0].values
    } else {
      values.reserveCapacity(pieces.reduce(0) { $0 + $1.values.count })
      for piece in pieces { values += piece.values }
    }
    index = 0
    if let failure { failures.append((values.count, failure)) }
    // So many items before it failed too: what is before it is counted in values.
    let failed = pieces.flatMap(\.failures)
    for (number, failure) in failed.enumerated().reversed() { failures.append((failure.index - number, failure.error)) }
    stop = failures.last?.before ?? values.count
  }
}
