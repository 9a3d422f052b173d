/// Runs each job where its type says: I/O on threads, computation in processes, behind one `submit` and one `shutdown`.
///
/// ```swift
/// struct Fetch: Job {
///   static var kind: JobKind { .io }  // it waits: a thread
///   var url: String
///   func run() async throws -> [UInt8] { try blockingDownload(url) }
/// }
/// struct Encode: Job {  // it computes: a process, which is the default
///   var path: String
///   func run() async throws -> [UInt8] { try riskyCLibrary(path) }
/// }
/// let pool = HybridExecutor(threads: 32, processes: 4)
/// ```
///
/// What it can and cannot do is, for each job, what ``ThreadPoolExecutor`` or ``ProcessPoolExecutor`` can: an `.io` job that traps
/// ends the program.
public final class HybridExecutor: JobExecutor, Sendable {
  /// Where `.io` jobs run.
  public let threads: ThreadPoolExecutor
  /// Where `.cpu` and `.automatic` jobs run.
  public let processes: ProcessPoolExecutor
  /// How many jobs run at once, at most: threads and processes together.
  public var maxWorkers: Int { threads.maxWorkers + processes.maxWorkers }

  /// A pool of both kinds, without threads or workers yet.
  ///
  /// - Parameters:
  ///   - threads: nil: eight for each available processor, since they mostly wait.
  ///   - processes: nil: ``Parallelism/available``.
  public init(threads: Int? = nil, processes: Int? = nil) {
    self.threads = ThreadPoolExecutor(maxWorkers: threads ?? 8 * Parallelism.available)
    self.processes = ProcessPoolExecutor(maxWorkers: processes)
  }

  /// Takes a job and places it by its type's ``Job/kind``.
  public func submit<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    switch J.kind {
    case .io: threads.submit(job, options: options)
    case .cpu, .automatic: processes.submit(job, options: options)
    }
  }
  /// Ends both.
  public func shutdown(_ mode: ShutdownMode) async {
    async let first: Void = threads.shutdown(mode)
    async let second: Void = processes.shutdown(mode)
    _ = await (first, second)
  }
}
