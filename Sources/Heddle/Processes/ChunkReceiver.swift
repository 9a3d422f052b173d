import HeddleWire

/// Reads what workers send of the items of a map that travel together.
final class ChunkReceiver<Output: Codable & Sendable>: ResultReceiver {
  private let items: SwiftReceiver<Output>
  let definition: [UInt8]
  var jobName: String { items.jobName }
  var takesSeveral: Bool { true }

  /// - Throws: `JobError` with code `notEncodable` where a worker could not find the type.
  init(for job: any Job<Output>.Type) throws {
    items = try SwiftReceiver(for: job)
    definition = ChunkDefinition.make(items.definition)
  }

  func receive(_ future: AnyFuture, _ answer: WorkerAnswer, decoder: MessageDecoder) {
    // SAFETY: the pool hands back the future that was submitted with this receiver's type.
    let chunk = unsafe unsafeDowncast(future, to: MapChunk<Output>.self)
    if let tag = ItemTag(answer.kind) {
      var piece = ChunkPiece<Output>(first: tag.index)
      if let missing = answer.missing {
        piece.fail(items.noMemory(missing))
        return chunk.receive(piece, isLast: answer.isLast, nanoseconds: 0)
      }
      do { piece.succeed(unsafe try items.output(tag.kind, answer.bytes, answer.segments, answer.attachments, decoder)) } catch {
        piece.fail(error)
      }
      return chunk.receive(piece, isLast: answer.isLast, nanoseconds: 0)
    }
    guard let head = unsafe RecordsHead(answer.bytes) else { return chunk.receive(nil, isLast: answer.isLast, nanoseconds: 0) }
    chunk.receive(unsafe piece(answer.bytes, head, atMost: chunk.count + 1, decoder), isLast: answer.isLast, nanoseconds: head.nanoseconds)
  }
  /// The outputs of a frame of records, decoded where they are to lie: an array's `append` looks up metadata for each.
  ///
  /// - Parameter limit: more than the chunk has, so that one that has too many is seen to.
  private func piece(
    _ bytes: UnsafeRawBufferPointer, _ head: RecordsHead, atMost limit: Int, _ decoder: MessageDecoder
  ) -> ChunkPiece<Output> {
    var piece = ChunkPiece<Output>(first: Int(head.first))
    var failures: [(index: Int, error: any Error)] = []
    let capacity = min(limit, bytes.count / Records.headByteCount)
    unsafe piece.values = ContiguousArray(unsafeUninitializedCapacity: capacity) { values, count in
      var offset = RecordsHead.byteCount
      while count < capacity, let record = unsafe Records.next(in: bytes, at: &offset) {
        do {
          unsafe (values.baseAddress! + count).initialize(to: try items.output(record.kind, record.bytes, nil, [], decoder))
          count &+= 1
        } catch {
          failures.append((piece.first + count + failures.count, error))
        }
      }
    }
    piece.failures = failures
    return piece
  }
}

/// Names the chunks of a type of job, as the job's own type names its jobs.
private enum ChunkOf<J: Job> {}

extension ProcessPoolExecutor: ChunkingExecutor {
  func chunkWay(for job: any Job.Type) -> ChunkWay? {
    guard let pool, admission(for: job) == nil, pool.limits.jobsPerWorker == nil, pool.recipe.outputSecret.isEmpty else { return nil }
    return .processes(self)
  }
  /// So much of a chunk travels: it fits a frame, and several fit a ring.
  ///
  /// Unit: bytes.
  private static var chunkByteLimit: Int { 1 << 16 }
  /// Sends the first few items together, as many as fit a frame; one that is large, or cannot be encoded, goes alone.
  @usableFromInline func startUnit<J: Job>(_ jobs: ArraySlice<J>) -> (MapUnit<J.Output>, Int) {
    let chunk = EncoderCache.withEncoder { encoder -> MapChunk<J.Output>? in
      guard let pool, !pool.forks.hasForked else { return nil }
      let count = encoder.encodeSeries(jobs, byteLimit: Self.chunkByteLimit)
      guard count > 0 else { return nil }
      let chunk = MapChunk<J.Output>(of: count, in: pool)
      unsafe pool.submit(chunk, bytes: encoder.bytes, segments: [], type: ObjectIdentifier(ChunkOf<J>.self), options: .standard) {
        try ChunkReceiver<J.Output>(for: J.self)
      }
      return chunk
    }
    if let chunk { return (.chunk(chunk), chunk.count) }
    // The ordinary way says what is wrong with it.
    return (.item(submit(jobs.first!)), 1)
  }
}
