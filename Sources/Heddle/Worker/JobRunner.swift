import HeddleSystem
import HeddleWire

/// Runs the jobs of one type in a worker.
class JobRunner {
  /// Runs the job in `bytes` and leaves what is to be sent back in `encoder`.
  ///
  /// Returns the `ResultKind`.
  func run(
    _ bytes: UnsafeRawBufferPointer, segments: (any SegmentSource)?, attachments: [Attachment], decoder: MessageDecoder,
    encoder: MessageEncoder
  ) async -> UInt32 { preconditionFailure("JobRunner is abstract") }

  /// The runner for the type that the parent defined so.
  static func make(named name: String) -> JobRunner {
    guard let type = TypeName.type(named: name) as? any Job.Type else { return UnknownTypeRunner(name: name) }
    return runner(type)
  }
  private static func runner<J: Job>(_: J.Type) -> JobRunner { TypedRunner<J>() }
}

private final class TypedRunner<J: Job>: JobRunner {
  override func run(
    _ bytes: UnsafeRawBufferPointer, segments: (any SegmentSource)?, attachments: [Attachment], decoder: MessageDecoder,
    encoder: MessageEncoder
  ) async -> UInt32 {
    let job: J
    do { job = unsafe try decoder.decode(J.self, from: bytes, segments: segments, attachments: attachments) } catch {
      return say(JobError.jobNotDecodable(J.self, error), encoder)
    }
    let output: J.Output
    do { output = try await job.run() } catch { return send(error, encoder) }
    do {
      try encoder.encode(output)
      if encoder.attachments.count > HandoverSocket.limit { return say(JobError.tooManyBuffers(encoder.attachments.count), encoder) }
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

  override func run(
    _ bytes: UnsafeRawBufferPointer, segments: (any SegmentSource)?, attachments: [Attachment], decoder: MessageDecoder,
    encoder: MessageEncoder
  ) async -> UInt32 {
    say(
      JobError(
        code: .notDecodable,
        message: "The worker does not know the job type \(name). Was the executable replaced while the program ran? Start it again."),
      encoder)
  }
}

/// Sends back why a job has no output.
func say(_ error: JobError, _ encoder: MessageEncoder) -> UInt32 {
  // Text always can be encoded.
  try! encoder.encode(error.message)
  return error.code == .notDecodable ? ResultKind.notDecodable : ResultKind.notEncodable
}
