/// A unit of work.
///
/// Its stored properties are its arguments; they travel to wherever the job runs.
///
/// ```swift
/// struct Thumbnail: Job {
///   var path: String
///   var width = 320
///   func run() async throws -> [UInt8] { try decodeImage(path).scaled(to: width).png }
/// }
/// ```
///
/// A job may run on a thread, in another process, or twice where the caller allowed a retry: what it needs it carries, and what
/// it finds out it returns. Globals of the process that submitted it are not there in a worker process.
public protocol Job<Output>: Codable, Sendable {
  /// What the job returns. It travels back, so it is `Codable` too.
  associatedtype Output: Codable & Sendable

  /// Where a ``HybridExecutor`` runs jobs of this type. `.cpu` unless the type says otherwise.
  static var kind: JobKind { get }

  /// Does the work. Blocking is fine: it runs on a thread of the executor, never on the cooperative pool.
  ///
  /// - Throws: any error fails the job's own future and nothing else. A `Codable` error arrives as itself from a worker process;
  ///   another arrives as ``RemoteError``.
  nonisolated(nonsending) func run() async throws -> Output

  /// What a worker calls for jobs that come in chunks; there is an implementation for all.
  @concurrent static func _serve(_ feed: _JobFeed) async
  /// What a thread calls; there is an implementation for all.
  @concurrent static func _serve(_ feed: _ThreadFeed) async
}

extension Job {
  /// `.cpu`: jobs of this type go to worker processes.
  public static var kind: JobKind { .cpu }
}

/// What a job's time goes into, which decides where a ``HybridExecutor`` runs it.
public enum JobKind: String, Codable, Sendable, CaseIterable {
  /// It mostly waits, for the network, a disk or another program: a thread is cheap and enough.
  case io
  /// It computes, or may crash: a process of its own keeps its trap and its memory away from the rest.
  case cpu
  /// The executor decides. Today that is the same as ``cpu``, the safe choice.
  case automatic
}
