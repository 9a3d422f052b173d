import HeddleSystem
import HeddleWire

/// Runs the jobs of one type in a worker.
class JobRunner {
  /// Runs the job that the loop has claimed, and those behind it as long as they are of this type.
  func serve(_ loop: WorkerLoop) async { preconditionFailure("JobRunner is abstract") }

  /// The runner for the type that the parent defined so.
  static func make(named name: String) -> JobRunner {
    guard let type = TypeName.type(named: name) as? any Job.Type else { return UnknownTypeRunner(name: name) }
    return runner(type)
  }
  private static func runner<J: Job>(_: J.Type) -> JobRunner { TypedRunner<J>() }
}

private final class TypedRunner<J: Job>: JobRunner {
  override func serve(_ loop: WorkerLoop) async {
    let type = unsafe loop.type
    let (decoder, encoder) = (loop.decoder, loop.encoder)
    repeat {
      if loop.isChunk {
        var writer = loop.beginChunk()
        var offset = 0
        while let item = unsafe Records.next(in: loop.payload, at: &offset) {
          let kind = unsafe await run(item.bytes, nil, [], decoder, encoder)
          loop.finish(kind, to: &writer)
        }
        loop.finish(writer)
      } else if loop.isInParts {
        let message = loop.incoming()
        let kind: UInt32
        if let main = unsafe message.main() {
          kind = unsafe await run(main, message, loop.attachments, decoder, encoder)
        } else {
          kind = say(JobError.noMemory(.notDecodable, "The job did not run", message.mainByteCount, in: .worker), encoder)
        }
        message.skipRest()
        loop.finish(kind)
      } else {
        let kind = unsafe await run(loop.payload, nil, loop.attachments, decoder, encoder)
        loop.finish(kind)
      }
      loop.claimNext()
    } while unsafe loop.type == type
  }
  /// Runs the job in `bytes` and leaves what is to be sent back in the encoder.
  ///
  /// Returns the `ResultKind`. Inlined, because an asynchronous function of its own costs a switch of executors and a frame.
  @inline(__always)
  private func run(
    _ bytes: UnsafeRawBufferPointer, _ segments: (any SegmentSource)?, _ attachments: [Attachment], _ decoder: MessageDecoder,
    _ encoder: MessageEncoder
  ) async -> UInt32 {
    let job: J
    do { job = unsafe try decoder.decode(J.self, from: bytes, segments: segments, attachments: attachments) } catch {
      return say(JobError.jobNotDecodable(J.self, error), encoder)
    }
    do { return send(try await job.run(), encoder) } catch { return send(error, encoder) }
  }
  private func send(_ output: J.Output, _ encoder: MessageEncoder) -> UInt32 {
    do {
      try encoder.encode(output)
      if encoder.hasAttachments && encoder.attachments.count > HandoverSocket.limit {
        return say(JobError.tooManyBuffers(encoder.attachments.count), encoder)
      }
      return ResultKind.value
    } catch {
      return say(JobError.outputNotEncodable(J.self, error), encoder)
    }
  }
  private func send(_ error: any Error, _ encoder: MessageEncoder) -> UInt32 {
    if let error = error as? any Error & Codable, let name = TypeName.name(of: type(of: error)),
      (try? encode(error, name, encoder)) != nil
    {
      return ResultKind.codableError
    }
    // Text always can be encoded.
    try! encoder.encode(RemoteFailure(typeName: "\(type(of: error))", description: "\(error)"))
    return ResultKind.remoteError
  }
  private func encode<E: Error & Encodable>(_ error: E, _ name: String, _ encoder: MessageEncoder) throws {
    try encoder.encode(SentError(typeName: name, error: error))
    if encoder.attachments.count > HandoverSocket.limit { throw JobError.tooManyBuffers(encoder.attachments.count) }
  }
}

/// For a type that this process does not know: parent and worker are not the same program.
private final class UnknownTypeRunner: JobRunner {
  private let name: String
  init(name: String) { self.name = name }

  override func serve(_ loop: WorkerLoop) async {
    let error = JobError(
      code: .notDecodable,
      message: "The worker does not know the job type \(name). Was the executable replaced while the program ran? Start it again.")
    if loop.isChunk {
      var writer = loop.beginChunk()
      var offset = 0
      while unsafe Records.next(in: loop.payload, at: &offset) != nil { loop.finish(say(error, loop.encoder), to: &writer) }
      loop.finish(writer)
    } else {
      if loop.isInParts {
        let message = loop.incoming()
        _ = unsafe message.main()
        message.skipRest()
      }
      loop.finish(say(error, loop.encoder))
    }
    loop.claimNext()
  }
}

/// Sends back why a job has no output.
func say(_ error: JobError, _ encoder: MessageEncoder) -> UInt32 {
  // Text always can be encoded.
  try! encoder.encode(error.message)
  return error.code == .notDecodable ? ResultKind.notDecodable : ResultKind.notEncodable
}
