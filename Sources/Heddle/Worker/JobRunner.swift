import HeddleSystem
import HeddleWire

/// Runs the jobs of one type in a worker.
class JobRunner {
  /// Runs the job that the loop has claimed, and those behind it as long as they are of this type.
  func serve(_ feed: _JobFeed) async { preconditionFailure("JobRunner is abstract") }

  /// The runner for the type that the parent defined so.
  static func make(named name: String) -> JobRunner {
    guard let type = TypeName.job(named: name) else { return UnknownTypeRunner(name: name) }
    return runner(type)
  }
  private static func runner<J: Job>(_: J.Type) -> JobRunner { TypedRunner<J>() }
}

private final class TypedRunner<J: Job>: JobRunner {
  override func serve(_ feed: _JobFeed) async { await J._serve(feed) }
}

/// For a type that this process does not know: parent and worker are not the same program.
private final class UnknownTypeRunner: JobRunner {
  private let name: String
  init(name: String) { self.name = name }

  override func serve(_ feed: _JobFeed) async {
    feed.refuseAll(
      JobError(
        code: .notDecodable,
        message: "The worker does not know the job type \(name). Was the executable replaced while the program ran? Start it again."))
  }
}

/// Sends back why a job has no output.
func say(_ error: JobError, _ encoder: MessageEncoder) -> UInt32 {
  // Text always can be encoded.
  try! encoder.encode(error.message)
  return error.code == .notDecodable ? ResultKind.notDecodable : ResultKind.notEncodable
}
