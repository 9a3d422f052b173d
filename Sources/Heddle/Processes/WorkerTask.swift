import HeddleSystem
import HeddleWire

/// What every worker of a pool runs before its first job, or after its last: a job of the pool's own, encoded once.
package struct WorkerTask: Sendable {
  let payload: OwnedPayload
  /// Names the type of job, as in `ProcessPool.submit`.
  let type: ObjectIdentifier
  let receiver: @Sendable () throws -> any ResultReceiver
  /// A future for one run, and what it failed with once it has ended.
  let makeFuture: @Sendable (any FutureSource) -> (future: AnyFuture, error: @Sendable () -> (any Error)?)
  let options: JobOptions
  /// How long it may take at the end of a worker.
  let limit: Duration

  /// A task of an encoded job.
  ///
  /// - Parameters:
  ///   - output: what the receiver ends its future with.
  ///   - name: what messages call it.
  ///   - timeout: how long it may run; nil: as long as it likes.
  init<Output: Sendable>(
    payload: OwnedPayload, output: Output.Type, type: ObjectIdentifier, name: String, timeout: Duration?,
    receiver: @escaping @Sendable () throws -> any ResultReceiver
  ) {
    self.payload = payload
    self.type = type
    self.receiver = receiver
    makeFuture = { source in
      let future = Future<Output>(in: source)
      return (
        future,
        { [unowned future] in
          do {
            _ = try future.outcome()
            return nil
          } catch {
            return error
          }
        }
      )
    }
    options = JobOptions(timeout: timeout, label: name)
    limit = timeout ?? .seconds(10)
  }
}

extension WorkerTask {
  /// A Swift job as a task.
  ///
  /// - Throws: `JobError` with code `notEncodable`.
  init<J: Job>(_ job: J, name: String, timeout: Duration?) throws {
    let encoder = MessageEncoder()
    do { try encoder.encode(job) } catch { throw JobError.jobNotEncodable(J.self, error) }
    guard encoder.attachments.count <= HandoverSocket.limit else { throw JobError.tooManyBuffers(encoder.attachments.count) }
    let payload = unsafe OwnedPayload(
      copying: encoder.bytes, segments: encoder.hasSegments ? encoder.segments : [],
      memories: encoder.attachments.compactMap { $0 as? SealedMemory })
    self.init(
      payload: payload, output: J.Output.self, type: ObjectIdentifier(J.self), name: "\(name) \(J.self)", timeout: timeout,
      receiver: { try SwiftReceiver(for: J.self) })
  }
  /// Itself, if its arguments fit one frame.
  func small() throws -> WorkerTask {
    if payload.isSmall { return self }
    throw JobError(
      code: .notEncodable,
      message: "\(options.label!) is too large: its arguments may have \(Frame.payloadLimit / 1024) KiB. "
        + "Let the initializer keep what it needs.")
  }
  /// The same for a job whose type is not known here.
  static func make(_ job: any Job, name: String, timeout: Duration?) throws -> WorkerTask {
    try WorkerTask(job, name: name, timeout: timeout)
  }
}
