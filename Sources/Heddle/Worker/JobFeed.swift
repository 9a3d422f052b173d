import HeddleSystem
import HeddleWire

// SAFETY: only the loop's task touches it.
/// Hands a worker's jobs of one type to that type, one after the other, and sends back what they give.
///
/// Public for ``Job``'s own `_serve`, and for nothing else.
@safe public final class _JobFeed: @unchecked Sendable {
  private let loop: WorkerLoop
  private let encoder: MessageEncoder
  private let decoder: MessageDecoder
  private enum Stage {
    /// The loop has claimed a job, which nobody has begun.
    case claimed
    /// The last one has been answered, and the next is to be claimed.
    case ended
    /// A job of its own is to be decoded, or runs.
    case alone
    /// The same with one of a chunk.
    case inChunk
  }
  @exclusivity(unchecked) private var stage = Stage.claimed
  /// The place of the type that is served in the loop's list.
  @exclusivity(unchecked) private var type = 0
  @exclusivity(unchecked) private var writer: ChunkWriter?

  init(_ loop: WorkerLoop) {
    self.loop = loop
    encoder = loop.encoder
    decoder = loop.decoder
  }
  /// Serves the type of the job that the loop has claimed.
  func begin() {
    unsafe type = unsafe loop.type
    unsafe stage = .claimed
  }

  /// The next job; nil: the next one is of another type.
  ///
  /// Blocks until there is one.
  public func next<J: Job>(_: J.Type) -> J? {
    while advance() {
      do { return try decode() } catch let error as NoRoom {
        answer(say(JobError.noMemory(.notDecodable, "The job did not run", error.byteCount, in: .worker), encoder))
      } catch { answer(say(JobError.jobNotDecodable(J.self, error), encoder)) }
    }
    return nil
  }
  /// Sends the output of the job that `next` gave.
  public func succeed<J: Job>(_: J.Type, _ output: J.Output) {
    do {
      try encoder.encode(output)
      if encoder.hasAttachments && encoder.attachments.count > HandoverSocket.limit {
        return answer(say(JobError.tooManyBuffers(encoder.attachments.count), encoder))
      }
      answer(ResultKind.value)
    } catch { answer(say(JobError.outputNotEncodable(J.self, error), encoder)) }
  }
  /// Sends what the job that `next` gave has thrown.
  public func fail(_ error: any Error) {
    if let error = error as? any Error & Codable, let name = TypeName.name(of: Swift.type(of: error)),
      (try? encode(error, name)) != nil
    {
      return answer(ResultKind.codableError)
    }
    // Text always can be encoded.
    try! encoder.encode(RemoteFailure(typeName: "\(Swift.type(of: error))", description: "\(error)"))
    answer(ResultKind.remoteError)
  }
  private func encode<E: Error & Encodable>(_ error: E, _ name: String) throws {
    try encoder.encode(SentError(typeName: name, error: error))
    if encoder.attachments.count > HandoverSocket.limit { throw JobError.tooManyBuffers(encoder.attachments.count) }
  }
  /// Answers all jobs that would be next with an error.
  func refuseAll(_ error: JobError) {
    while advance() {
      skip()
      answer(say(error, encoder))
    }
  }

  // MARK: From job to job

  /// Goes to the next job; false: it is of another type, and the loop has it.
  private func advance() -> Bool {
    while true {
      switch unsafe stage {
      case .ended:
        loop.claimNext()
        unsafe stage = .claimed
      case .claimed:
        guard unsafe loop.type == type else { return false }
        guard loop.isChunk else {
          unsafe stage = .alone
          return true
        }
        unsafe writer = loop.beginChunk()
        // The parent is trusted, and this is a message of it.
        unsafe try! decoder.beginSeries(loop.payload)
        unsafe stage = .inChunk
      case .inChunk:
        if decoder.hasNext { return true }
        decoder.endSeries()
        unsafe loop.finish(writer.take()!)
        unsafe stage = .ended
      case .alone: preconditionFailure("The job before has not been answered.")
      }
    }
  }
  private func answer(_ kind: UInt32) {
    if unsafe stage == .inChunk {
      unsafe loop.finish(kind, to: &writer!)
    } else {
      loop.finish(kind)
      unsafe stage = .ended
    }
  }
  private func decode<J: Job>() throws -> J {
    if unsafe stage == .inChunk { return try decoder.decodeNext(J.self) }
    guard loop.isInParts else {
      return unsafe try decoder.decode(J.self, from: loop.payload, segments: nil, attachments: loop.attachments)
    }
    let message = loop.incoming()
    // What the decoder did not want is passed over too, so that the next frame is the next job.
    defer { message.skipRest() }
    guard let main = unsafe message.main() else { throw NoRoom(byteCount: message.mainByteCount) }
    return unsafe try decoder.decode(J.self, from: main, segments: message, attachments: loop.attachments)
  }
  private struct NoRoom: Error { var byteCount: Int }
  private func skip() {
    if unsafe stage == .inChunk { return decoder.skipNext() }
    guard loop.isInParts else { return }
    let message = loop.incoming()
    _ = unsafe message.main()
    message.skipRest()
  }
}

extension Job {
  /// Runs a worker's jobs of this type that come in chunks, as long as such come; the worker calls it, nobody else.
  ///
  /// Compiled into the module that declares the type, where the compiler knows `run()`: an `await` of a function that it does not know ends
  /// with a look for the executor to go on with, 40 ns each.
  @inlinable @concurrent public static func _serve(_ feed: _JobFeed) async {
    while let job = feed.next(Self.self) {
      do { feed.succeed(Self.self, try await job.run()) } catch { feed.fail(error) }
    }
  }
}
