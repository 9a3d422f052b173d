import HeddleSystem
import HeddleWire

/// Runs the jobs of one type in a worker.
class JobRunner {
  /// Runs the job that the loop has claimed, and those behind it as long as they are of this type.
  func serve(_ feed: _JobFeed) async { preconditionFailure("JobRunner is abstract") }

  /// The runner for the type that the parent defined so.
  ///
  /// - Parameter takesChunks: its jobs come several at a time.
  static func make(named name: String, takesChunks: Bool) -> JobRunner {
    guard let type = TypeName.job(named: name) else { return UnknownTypeRunner(name: name) }
    return runner(type, takesChunks)
  }
  private static func runner<J: Job>(_: J.Type, _ takesChunks: Bool) -> JobRunner { takesChunks ? ChunkRunner<J>() : SingleRunner<J>() }
}

/// Jobs that come alone.
///
/// Each `run()` is called as the function that it is: where the compiler puts it into a loop, the debug information of release builds loses
/// its lines, and a crash could not say where it was.
private final class SingleRunner<J: Job>: JobRunner {
  override func serve(_ feed: _JobFeed) async {
    while let job = feed.next(J.self) {
      do { feed.succeed(J.self, try await job.run()) } catch { feed.fail(error) }
    }
  }
}

/// Jobs that come in chunks: they are tiny, and their type's own loop spares each an asynchronous call and 40 ns.
private final class ChunkRunner<J: Job>: JobRunner {
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
