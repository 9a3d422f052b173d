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
public final class HybridExecutor: JobExecutor, BoundedExecutor, ChunkingExecutor, Sendable {
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
  public convenience init(threads: Int? = nil, processes: Int? = nil) {
    self.init(
      threads: ThreadPoolExecutor(maxWorkers: threads ?? 8 * Parallelism.available), processes: ProcessPoolExecutor(maxWorkers: processes))
  }
  /// One of two pools that were made with limits of their own; it ends both.
  public init(threads: ThreadPoolExecutor, processes: ProcessPoolExecutor) {
    self.threads = threads
    self.processes = processes
  }

  /// Takes a job and places it by its type's ``Job/kind``.
  public func submit<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    switch J.kind {
    case .io: threads.submit(job, options: options)
    case .cpu, .automatic: processes.submit(job, options: options)
    }
  }
  /// Takes a job as soon as the side that it belongs to has room for it.
  public func submitWaiting<J: Job>(_ job: J, options: JobOptions) async -> Future<J.Output> {
    switch J.kind {
    case .io: await threads.submitWaiting(job, options: options)
    case .cpu, .automatic: await processes.submitWaiting(job, options: options)
    }
  }
  /// Takes a job as soon as the side that it belongs to has room for it.
  ///
  /// Blocks the calling thread until then.
  @available(*, noasync, message: "It blocks the thread. Await 'submitWaiting' instead.")
  public func submitBlocking<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    switch J.kind {
    case .io: threads.submitBlocking(job, options: options)
    case .cpu, .automatic: processes.submitBlocking(job, options: options)
    }
  }
  private func side(of job: any Job.Type) -> any BoundedExecutor & ChunkingExecutor { job.kind == .io ? threads : processes }
  func admission(for job: any Job.Type) -> Admission? { side(of: job).admission(for: job) }
  func chunkWay(for job: any Job.Type) -> ChunkWay? { side(of: job).chunkWay(for: job) }
  func runsOnThisThread(_ job: any Job.Type) -> Bool { side(of: job).runsOnThisThread(job) }
  func submitAdmitted<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> { side(of: J.self).submitAdmitted(job, options: options) }
  /// Ends both.
  public func shutdown(_ mode: ShutdownMode) async {
    async let first: Void = threads.shutdown(mode)
    async let second: Void = processes.shutdown(mode)
    _ = await (first, second)
  }
}
