import Heddle
import HeddleSystem
import HeddleWire

/// Reads the results of one function.
protocol PythonResultReceiver: ResultReceiver {
  associatedtype Output: Sendable
}

/// A worker's answer, taken apart: three numbers stand before the payload, in 24 bytes.
struct PythonAnswer {
  /// Processor time of the call's thread, and time on the clock.
  var processorTime: Duration
  var wallTime: Duration
  /// Of a measured call: the most memory that its process had meanwhile, in bytes.
  ///
  /// Of a stream's piece: which it is, from 0; of its end: how many there were.
  var extra: UInt64
  var attempt: Int
  /// Whether the call has ended.
  var isLast: Bool
  var kind: UInt32
  var payload: PythonPayload
  /// Is told what no honest worker can have sent.
  private let decoder: MessageDecoder

  /// nil: too short to be one.
  init?(_ answer: WorkerAnswer, _ decoder: MessageDecoder) {
    guard unsafe answer.bytes.count >= 24 else { return nil }
    processorTime = unsafe .nanoseconds(Int64(clamping: answer.bytes.loadUnaligned(fromByteOffset: 0, as: UInt64.self)))
    wallTime = unsafe .nanoseconds(Int64(clamping: answer.bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self)))
    extra = unsafe answer.bytes.loadUnaligned(fromByteOffset: 16, as: UInt64.self)
    attempt = answer.attempt
    isLast = answer.isLast
    kind = answer.kind
    payload = unsafe PythonPayload(bytes: Array(answer.bytes.dropFirst(24)), attachments: answer.attachments)
    self.decoder = decoder
  }

  /// The value.
  ///
  /// - Throws: the error that stands in its place, or that it is none of this type.
  func decode<Value: Decodable>(_ type: Value.Type, of target: String) throws -> Value {
    let value = try value(of: target)
    do { return try MarshalDecoder().decode(type, from: value, accuse: decoder.accuse) } catch {
      throw JobError(
        code: .notDecodable,
        message: "\(target) has run, but what it returned is no \(type): \(error). Use PythonValue to take whatever comes.",
        attempt: attempt)
    }
  }
  /// The bytes of the value, or the error that stands in its place.
  func value(of target: String) throws -> PythonPayload {
    let bytes = payload.bytes
    switch kind {
    case ResultKind.value: return payload
    case ResultKind.remoteError: throw try MarshalDecoder().decode(PythonFailure.self, from: bytes)
    case ResultKind.notDecodable: throw try MarshalDecoder().decode(PythonRefusal.self, from: bytes).error
    case ResultKind.notEncodable:
      let sentence = try MarshalDecoder().decode(PythonRefusal.self, from: bytes).message
      throw JobError(code: .notEncodable, message: "\(target) has run, but \(sentence).", attempt: attempt)
    case ResultKind.outOfMemory:
      let limit = try MarshalDecoder().decode(PythonMemoryLimit.self, from: bytes)
      throw limit.error(of: target, attempt: attempt, ran: wallTime)
    default:
      throw JobError(code: .notDecodable, message: "The interpreter answered \(target) in a way that this version of Heddle does not know.")
    }
  }
}

/// Why a worker cannot call a target, or cannot send its result.
struct PythonRefusal: Decodable {
  var message: String
  var reason: String?
  var failure: PythonFailure?

  var error: PythonTargetError {
    PythonTargetError(message, reason: reason.flatMap(PythonTargetError.Reason.init(rawValue:)) ?? .importFailed, failure: failure)
  }
}

/// A call raised `MemoryError` in a worker whose memory is limited.
struct PythonMemoryLimit: Decodable {
  /// Unit: bytes.
  var limit: Int
  var failure: PythonFailure

  func error(of target: String, attempt: Int, ran: Duration) -> JobError {
    // The last line of a traceback that says where.
    let place =
      failure.traceback.split(separator: "\n").last { $0.hasPrefix("  File ") }.map { ", at\($0.dropFirst("  File".count))" } ?? ""
    return JobError(
      code: .memoryLimitExceeded,
      message: "\(target) needed more memory than the \(limit / 1_000_000) MB that a worker may have\(place); "
        + "raise the limit, or give it smaller inputs.", attempt: attempt, ran: ran)
  }
}

/// Ends a future with what its verb makes of the answer.
final class PythonReceiver<Output: Sendable>: PythonResultReceiver {
  private let target: String
  let definition: [UInt8]
  private let output: @Sendable (PythonAnswer) throws -> Output

  /// - Parameters:
  ///   - verb: What the bridge is to do with the function beside calling it; nil: nothing.
  ///   - output: Throws `DecodingError` where the answer cannot be read.
  private init(_ target: String, verb: String? = nil, output: @escaping @Sendable (PythonAnswer) throws -> Output) {
    self.target = target
    definition = Array((verb.map { "\($0)\0" } ?? "").utf8) + Array(target.utf8)
    self.output = output
  }
  /// The value itself.
  convenience init(decoding target: String) where Output: Decodable { self.init(target) { try $0.decode(Output.self, of: target) } }
  /// The value with what it cost.
  ///
  /// - Parameter note: Is told the most memory that the call's process had.
  convenience init<Value>(measuring target: String, note: @escaping @Sendable (_ peak: Int) -> Void)
  where Output == PythonMeasurement<Value> {
    self.init(target, verb: "measure") { answer in
      let peak = Int(clamping: answer.extra)
      note(peak)
      return PythonMeasurement(
        result: Result { try answer.decode(Value.self, of: target) }.mapError { $0 is DecodingError ? JobError.garbled(target) : $0 },
        processorTime: answer.processorTime, wallTime: answer.wallTime, peakMemory: peak, attempt: answer.attempt)
    }
  }
  /// The value's bytes as they came.
  convenience init(encoded target: String) where Output == MeasuredCall {
    self.init(target) { answer in
      MeasuredCall(
        outcome: Result { try answer.value(of: target).bytes }, processorTime: answer.processorTime, wallTime: answer.wallTime,
        attempt: answer.attempt)
    }
  }

  func receive(_ future: AnyFuture, _ answer: WorkerAnswer, decoder: MessageDecoder) {
    // SAFETY: the pool hands back the future that was submitted with this receiver's type.
    let future = unsafe unsafeDowncast(future, to: Future<Output>.self)
    if let error = answer.wantOfMemory(target) { return future.fail(with: error) }
    guard let answer = PythonAnswer(answer, decoder) else { return future.fail(with: JobError.garbled(target)) }
    do { future.succeed(try output(answer)) } catch {
      future.fail(with: error is DecodingError ? JobError.garbled(target) : error)
    }
  }
}

/// A call that an interpreter answered, with what was measured.
package struct MeasuredCall: Sendable {
  /// The bytes of the value in marshal's form, or the error in its place.
  package var outcome: Result<[UInt8], any Error>
  package var processorTime: Duration
  package var wallTime: Duration
  package var attempt: Int
}

extension WorkerAnswer {
  /// Why an answer is not read: it is copied, and what is made of it may be twice as large (numbers of five bytes become eight).
  func wantOfMemory(_ target: String) -> JobError? {
    let wanted = unsafe missing ?? 3 * bytes.count
    if missing == nil && PrivateMemory.isThere(wanted) { return nil }
    return .noMemory(.notDecodable, "\(target) has run, but its result is lost", wanted, in: .here)
  }
}

extension JobError {
  static func garbled(_ target: String) -> JobError {
    JobError(
      code: .notDecodable,
      message: "The interpreter's answer to \(target) cannot be read: something wrote over its memory, or into its channel.")
  }
  static var submittedTooLate: JobError {
    JobError(
      code: .executorShutDown, message: "The executor was shut down before this call was submitted. Submit earlier, or make a new executor."
    )
  }
}
