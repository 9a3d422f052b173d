import Heddle
import Testing

/// The executors that the laws hold for.
enum Kind: String, CaseIterable, Sendable, CustomTestStringConvertible {
  case inline, threads, processes, hybridThreads, hybridProcesses
  var testDescription: String { rawValue }

  /// Whether jobs run in another process.
  var isRemote: Bool { self == .processes || self == .hybridProcesses }
  /// Whether a job may have to wait for another one.
  var queues: Bool { self != .inline }

  func make(workers: Int = 2) -> Subject {
    switch self {
    case .inline: Subject(kind: self, base: InlineExecutor())
    case .threads: Subject(kind: self, base: ThreadPoolExecutor(maxWorkers: workers))
    case .processes: Subject(kind: self, base: ProcessPoolExecutor(maxWorkers: workers))
    case .hybridThreads, .hybridProcesses: Subject(kind: self, base: HybridExecutor(threads: workers, processes: workers))
    }
  }
}

/// An executor under test.
struct Subject: JobExecutor {
  let kind: Kind
  let base: any JobExecutor
  var maxWorkers: Int { base.maxWorkers }

  func submit<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    kind == .hybridThreads ? base.submit(OnThreads(job: job), options: options) : base.submit(job, options: options)
  }
  /// The map of the executor itself, which may send several jobs together.
  func map<S: Sequence>(
    _ jobs: S, order: MapOrder = .input, inFlight: Int? = nil, chunk: Int? = nil, options: JobOptions = .standard
  ) -> JobMap<S, S.Element.Output> where S.Element: Job {
    let executor: any JobExecutor = kind == .hybridThreads ? (base as! HybridExecutor).threads : base
    return executor.map(jobs, order: order, inFlight: inFlight, chunk: chunk, options: options)
  }
  func shutdown(_ mode: ShutdownMode) async { await base.shutdown(mode) }
}

/// Runs `body` with an executor of that kind, which is shut down on every path.
func withSubject<R: Sendable>(
  _ kind: Kind, workers: Int = 2, limit: Duration = .seconds(30), _ body: @escaping @Sendable (Subject) async throws -> R
) async throws -> R {
  let subject = kind.make(workers: workers)
  do {
    let result = try await within("the body of the test on \(kind)", limit: limit) { try await body(subject) }
    try await within("the shutdown of \(kind)", limit: .seconds(10)) { await subject.shutdown(.finishAll) }
    return result
  } catch {
    try await within("the shutdown of \(kind) after \(error)", limit: .seconds(10)) { await subject.shutdown(.kill(after: .zero)) }
    throw error
  }
}

extension Result where Failure == any Error {
  var jobError: JobError? { if case .failure(let error) = self { error as? JobError } else { nil } }
  var error: (any Error)? { if case .failure(let error) = self { error } else { nil } }
}
