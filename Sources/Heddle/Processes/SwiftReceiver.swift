import HeddleWire

/// Reads the results of one Swift job type.
///
/// One a type and pool, so that a future needs no closure for it. Generic over the output alone, which it needs with every result.
final class SwiftReceiver<Output: Codable & Sendable>: ResultReceiver {
  let definition: [UInt8]
  private let job: any Job.Type
  var jobName: String { "\(job)" }

  /// - Throws: `JobError` with code `notEncodable` where a worker could not find the type.
  init(for job: any Job<Output>.Type) throws {
    self.job = job
    guard let name = TypeName.name(ofJob: job) else {
      throw JobError(
        code: .notEncodable,
        message: "A worker process cannot find the job type \(job): it is generic over, or nested in, something private or local. "
          + "Declare the job, and the types in its angle brackets, outside of functions and not private.")
    }
    definition = Array(name.utf8)
  }

  func receive(_ future: AnyFuture, _ answer: WorkerAnswer, decoder: MessageDecoder) {
    // SAFETY: the pool hands back the future that was submitted with this receiver's type.
    let future = unsafe unsafeDowncast(future, to: Future<Output>.self)
    do {
      if let missing = answer.missing { throw noMemory(missing) }
      unsafe future.succeed(try output(answer.kind, answer.bytes, answer.segments, answer.attachments, decoder))
    } catch { future.fail(error) }
  }
  func noMemory(_ byteCount: Int) -> JobError { .noMemory(.notDecodable, "\(job) has run, but its output is lost", byteCount, in: .here) }
  /// The output that a worker sent.
  ///
  /// - Throws: what its job threw, or why there is no output.
  @inline(__always)
  func output(
    _ kind: UInt32, _ bytes: UnsafeRawBufferPointer, _ segments: (any SegmentSource)?, _ attachments: [Attachment],
    _ decoder: MessageDecoder
  ) throws -> Output {
    if kind == ResultKind.value {
      do { return unsafe try decoder.decode(Output.self, from: bytes, segments: segments, attachments: attachments) } catch {
        throw JobError.outputNotDecodable(job, error)
      }
    }
    let failure: any Error
    do { failure = unsafe try self.failure(kind, bytes, segments, attachments, decoder) } catch {
      failure = JobError(code: .notDecodable, message: "\(job) failed in its worker, but its error cannot be decoded: \(error).")
    }
    throw failure
  }
  private func failure(
    _ kind: UInt32, _ bytes: UnsafeRawBufferPointer, _ segments: (any SegmentSource)?, _ attachments: [Attachment],
    _ decoder: MessageDecoder
  ) throws -> any Error {
    switch kind {
    case ResultKind.codableError:
      unsafe try decoder.decode(ReceivedError.self, from: bytes, segments: segments, attachments: attachments).error
    case ResultKind.remoteError: unsafe try decoder.decode(RemoteFailure.self, from: bytes, segments: segments).error
    case ResultKind.notDecodable:
      unsafe JobError(code: .notDecodable, message: try decoder.decode(String.self, from: bytes, segments: segments))
    case ResultKind.notEncodable:
      unsafe JobError(code: .notEncodable, message: try decoder.decode(String.self, from: bytes, segments: segments))
    default: JobError(code: .notDecodable, message: "The worker answered \(job) in a way that this version of Heddle does not know.")
    }
  }
}

/// A thrown `Codable` error as it travels: its type's name, then itself.
struct SentError<E: Error & Encodable>: Encodable {
  var typeName: String
  var error: E
}
struct ReceivedError: Decodable {
  var error: any Error
  private enum CodingKeys: CodingKey { case typeName, error }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let name = try container.decode(String.self, forKey: .typeName)
    guard let type = TypeName.type(named: name) as? any (Error & Decodable).Type else {
      throw DecodingError.dataCorruptedError(forKey: .typeName, in: container, debugDescription: "\(name) is no decodable error here.")
    }
    error = try container.decode(type, forKey: .error)
  }
}
/// Another thrown error as it travels: its name and text.
struct RemoteFailure: Codable {
  var typeName: String
  var description: String
  var error: RemoteError { RemoteError(typeName: typeName, description: description) }
}
