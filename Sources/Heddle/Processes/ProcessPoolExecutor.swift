import CHeddle
import HeddleSystem
import HeddleWire
import Synchronization

/// Runs jobs in worker processes: a trap, a leak or a job that never returns costs that job and nothing else.
///
/// ```swift
/// struct Decode: Job {
///   var path: String
///   func run() async throws -> [UInt8] { try riskyCLibrary(path) }
/// }
/// let pool = ProcessPoolExecutor(maxWorkers: 4)
/// do { let pixels = try await pool.submit(Decode(path: "a.heic")).value } catch let error as JobError { print(error) }
/// ```
///
/// A worker is this same executable, started again; nothing has to be added to `main`, which does not run in it. Job and result are
/// encoded and travel through shared memory. Workers start when they are needed and end with this process, however that ends.
///
/// A job may make a pool of its own: its workers end with the job's worker, however that ends. In a child of this process made by
/// fork(2) the executor reads as shut down.
///
/// What processes cannot do: a job sees none of this process's globals, open files or caches. Its type must be one that another
/// process can find; one that cannot be found fails at once with `notEncodable`.
public final class ProcessPoolExecutor: JobExecutor, BoundedExecutor, Sendable {
  /// How many jobs run at once, at most: as at first, or as ``resize(to:)`` said last.
  ///
  /// Unit: processes.
  public var maxWorkers: Int { size.load(ordering: .relaxed) }
  private let size: Atomic<Int>
  private let maxPending: Int?
  let pool: ProcessPool?
  /// Why there is no pool: it could not even be set up (no descriptors left), and its jobs fail with the reason.
  private let failure: JobError?
  /// nil: any number of jobs may wait.
  private let admission: Admission?

  /// A pool without workers yet.
  ///
  /// - Parameters:
  ///   - maxWorkers: at least 1; nil: ``Parallelism/available``.
  ///   - configuration: limits, and what a worker does besides its jobs.
  public init(maxWorkers: Int? = nil, configuration: ProcessPoolConfiguration = ProcessPoolConfiguration()) {
    let count = max(1, maxWorkers ?? Parallelism.available)
    size = Atomic(count)
    maxPending = configuration.maxPending
    admission = configuration.maxPending.map { Admission(limit: count + max(0, $0)) }
    do {
      if heddle_worker_depth() >= Self.depthLimit { throw JobError.nestedTooDeeply(Self.depthLimit) }
      pool = try ProcessPool(
        recipe: .sameExecutable(configuration.output), maxWorkers: count, limits: configuration.limits,
        initializer: configuration.initializer.map {
          try WorkerTask.make($0, name: "the initializer", timeout: configuration.initializerTimeout)
        },
        finalizer: configuration.finalizer.map {
          try WorkerTask.make($0, name: "the finalizer", timeout: configuration.finalizerTimeout).small()
        })
      failure = nil
    } catch let error as JobError {
      pool = nil
      failure = error
    } catch {
      pool = nil
      failure = JobError(
        code: .workerNotStarted,
        message: "The pool could not be set up: \(error). Free some descriptors or threads and make a new one.")
    }
  }
  deinit { pool?.abandon() }
  /// So deep may workers make pools of their own.
  ///
  /// A job that makes a pool for jobs like itself would fill the machine with processes.
  private static let depthLimit = 8

  // Inlinable, so that the caller makes a `Future` of a type that it knows: the runtime is slow to find a generic class's metadata.
  /// Takes a job: encodes it now, on the calling thread, and sends it to a worker.
  ///
  /// Fails it with `queueFull` where ``ProcessPoolConfiguration/maxPending`` jobs wait.
  @inlinable public func submit<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    let future = Future<J.Output>(forJobOf: source)
    send(job, future, options)
    return future
  }
  @usableFromInline var source: (any FutureSource)? { pool }
  @usableFromInline func send<J: Job>(_ job: J, _ future: Future<J.Output>, _ options: JobOptions) {
    if let admission, !isForked, !admission.enter() {
      future.fail(JobError.queueFull(admission.limit))
      return
    }
    sendAdmitted(job, future, options)
  }
  private var isForked: Bool { pool?.forks.hasForked ?? false }
  /// Takes a job as soon as there is room for it.
  public func submitWaiting<J: Job>(_ job: J, options: JobOptions) async -> Future<J.Output> {
    if let admission, !isForked, await !admission.entered() { return .cancelledBeforeRoom() }
    return submitAdmitted(job, options: options)
  }
  /// Takes a job as soon as there is room for it.
  ///
  /// Blocks the calling thread until then.
  @available(*, noasync, message: "It blocks the thread. Await 'submitWaiting' instead.")
  public func submitBlocking<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    if !isForked { admission?.enterBlocking() }
    return submitAdmitted(job, options: options)
  }
  func admission(for job: any Job.Type) -> Admission? { admission }
  func runsOnThisThread(_ job: any Job.Type) -> Bool { false }
  func submitAdmitted<J: Job>(_ job: J, options: JobOptions) -> Future<J.Output> {
    let future = Future<J.Output>(forJobOf: source)
    sendAdmitted(job, future, options)
    return future
  }
  private func sendAdmitted<J: Job>(_ job: J, _ future: Future<J.Output>, _ options: JobOptions) {
    guard let pool else {
      admission?.leave()
      future.fail(failure!)
      return
    }
    if pool.forks.hasForked {
      future.fail(JobError.forked)
      return
    }
    if let admission { admission.leave(after: future) }
    EncoderCache.withEncoder { encoder in
      do { try encoder.encode(job) } catch {
        future.fail(JobError.jobNotEncodable(J.self, error))
        return
      }
      unsafe pool.submit(
        future, bytes: encoder.bytes, segments: encoder.hasSegments ? encoder.segments : [],
        attachments: encoder.hasAttachments ? encoder.attachments : [], type: ObjectIdentifier(J.self), options: options
      ) {
        try SwiftReceiver(for: J.self)
      }
    }
  }

  /// Changes how many workers there may be, at once and from anywhere.
  ///
  /// More: they start when there are jobs for them. Fewer: workers without a job end now, the others after the job that they run, and
  /// what waits behind that runs elsewhere. No job is lost or stopped. ``ProcessPoolConfiguration/maxPending`` stays what it is.
  ///
  /// - Parameter maxWorkers: at least 1.
  public func resize(to maxWorkers: Int) {
    let count = max(1, maxWorkers)
    size.store(count, ordering: .relaxed)
    pool?.resize(to: count)
    if let admission, let maxPending { admission.setLimit(count + max(0, maxPending)) }
  }

  /// Ends the pool.
  public func shutdown(_ mode: ShutdownMode) async {
    if isForked { return }
    pool?.close(mode)
    admission?.close()
    await pool?.shutdown(mode)
  }
}

extension JobError {
  /// Pools in workers in workers.
  static func nestedTooDeeply(_ limit: Int) -> JobError {
    JobError(
      code: .workerNotStarted,
      message: "This process is a worker \(limit) levels deep: each level's jobs have made a pool of their own. Deeper ones are refused, "
        + "since a job that starts itself like this would fill the machine. Submit from a higher level.")
  }
}

extension WorkerRecipe {
  #if os(Linux)
    /// With a path, or the runtime looks for its backtracer all the same: 0.1 ms of each start.
    private static let noBacktraces = "SWIFT_BACKTRACE=enable=no,swift-backtrace=/dev/null"
  #else
    private static let noBacktraces = "SWIFT_BACKTRACE=enable=no"
  #endif

  /// This executable again, with the variable set that its entry looks for.
  static func sameExecutable(_ output: WorkerOutput) -> WorkerRecipe {
    var environment = ChildProcess.environment.filter { !$0.hasPrefix("HEDDLE_WORKER=") }
    // The runtime's backtracer takes 20 ms of a crash and stands between us and its signal, unless the user wants it.
    if !environment.contains(where: { $0.hasPrefix("SWIFT_BACKTRACE=") }) { environment.append(noBacktraces) }
    if let library = unsafe heddle_library_to_preload() {
      // The program is not ours (Swift in a library that python3 loaded): our entry never ran, so the library is preloaded.
      environment.removeAll { $0.hasPrefix("LD_PRELOAD=") }
      unsafe environment += ["HEDDLE_WORKER=preloaded", "LD_PRELOAD=" + String(cString: library)]
    } else {
      environment.append("HEDDLE_WORKER=1")
    }
    environment.append("HEDDLE_DEPTH=\(heddle_worker_depth() + 1)")
    var secret: [UInt8] = []
    switch output {
    case .passedThrough, .discarded: break
    case .lines, .jobs:
      secret = OutputSplitter.makeSecret()
      environment.append("HEDDLE_OUTPUT_MARK=" + secret.map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined())
    }
    var recipe = unsafe WorkerRecipe(
      path: String(cString: heddle_executable_path()), arguments: ["heddle-worker"], environment: environment)
    recipe.takesMemory = true
    recipe.wakesByWord = heddle_wakes_by_word()
    recipe.output = output
    recipe.outputSecret = secret
    switch output {
    case .passedThrough: recipe.standardOutput = .inherited
    case .discarded: recipe.standardOutput = .discarded
    case .lines, .jobs: recipe.standardOutput = .taken
    }
    return recipe
  }
}

/// An encoder a thread, so that a submit allocates no buffer.
enum EncoderCache {
  static func withEncoder<Result>(_ body: (MessageEncoder) -> Result) -> Result {
    let slot = unsafe heddle_thread_slot()!
    let encoder: MessageEncoder
    if let held = unsafe slot.pointee {
      encoder = unsafe Unmanaged<MessageEncoder>.fromOpaque(held).takeRetainedValue()
      unsafe slot.pointee = nil  // a submit inside encode(to:) gets another
    } else {
      encoder = MessageEncoder()
    }
    let result = body(encoder)
    // A large message is not kept alive by a thread that happened to send it.
    if unsafe encoder.hasSegments || encoder.hasAttachments || encoder.bytes.count > 1 << 16 { encoder.reset() }
    if unsafe slot.pointee == nil { unsafe slot.pointee = unsafe Unmanaged.passRetained(encoder).toOpaque() }
    unsafe heddle_release_thread_slot_at_exit { unsafe Unmanaged<MessageEncoder>.fromOpaque($0!).release() }
    return result
  }
}
