import Heddle
import HeddleSystem

/// The pool of interpreters behind an executor: it is set up at the first call, since which Python depends on where the script is.
final class PythonEngine: Sendable {
  private struct State {
    /// nil: not set up.
    ///
    /// One thread does it; the others wait for `ready`.
    var pool: Result<ProcessPool, JobError>?
    var isSettingUp = false
    var isClosed = false
    var maxWorkers: Int
    /// One a target, so that a worker is told its name once.
    var functions: [String: PythonFunction] = [:]
  }
  private let state: Locked<State>
  private let ready = ThreadGate()
  let streams = StreamTable()
  private let mode: PythonMode
  private let settings: PythonSettings
  /// nil: any number of calls may wait.
  let admission: Admission?

  init(maxWorkers: Int, mode: PythonMode, settings: PythonSettings) {
    state = Locked(State(maxWorkers: maxWorkers))
    self.mode = mode
    self.settings = settings
    admission = settings.limits.maxPending.map { Admission(limit: maxWorkers * settings.concurrency + max(0, $0)) }
  }

  var maxWorkers: Int { state.withLock { $0.maxWorkers } }
  /// Another number of processes; false: the mode has only one.
  func resize(to count: Int) -> Bool {
    guard mode == .processes else { return false }
    let pool = state.withLock { state in
      state.maxWorkers = count
      return state.pool
    }
    // A pool that is just being made looks at the number again when it is there.
    if case .success(let pool)? = pool { pool.resize(to: count) }
    if let admission, let pending = settings.limits.maxPending { admission.setLimit(count * settings.concurrency + max(0, pending)) }
    return true
  }

  /// - Parameter isAdmitted: Whether the call has its place among those that may wait.
  func submit<Receiver: PythonResultReceiver>(
    target: String, options: JobOptions, receiver: @autoclosure () -> Receiver, isAdmitted: Bool = false,
    arguments: (Future<Receiver.Output>, ProcessPool) throws -> PythonPayload
  ) -> Future<Receiver.Output> {
    guard let admission else { return submitAdmitted(target: target, options: options, receiver: receiver(), arguments: arguments) }
    if !isAdmitted && !admission.enter() { return .failed(JobError.queueFull(admission.limit)) }
    let future = submitAdmitted(target: target, options: options, receiver: receiver(), arguments: arguments)
    admission.leave(after: future)
    return future
  }
  private func submitAdmitted<Receiver: PythonResultReceiver>(
    target: String, options: JobOptions, receiver: @autoclosure () -> Receiver,
    arguments: (Future<Receiver.Output>, ProcessPool) throws -> PythonPayload
  ) -> Future<Receiver.Output> {
    let function: PythonFunction
    let pool: ProcessPool
    do {
      (function, pool) = try prepare(target)
    } catch {
      return .failed(error)
    }
    let future = Future<Receiver.Output>(in: pool)
    do {
      let payload = try arguments(future, pool)
      let type = function.key(Receiver.self)
      unsafe payload.bytes.withUnsafeBytes { bytes in
        unsafe pool.submit(
          future, bytes: bytes, segments: [], attachments: payload.attachments, type: ObjectIdentifier(type), options: options
        ) { receiver() }
      }
    } catch let error as JobError {
      future.fail(with: error)
    } catch {
      future.fail(
        with: JobError(
          code: .notEncodable, message: "The arguments of \(target) cannot be sent to Python, so it did not run: \(error)."))
    }
    return future
  }
  /// The function's entry and the pool, which is made where this is the first call.
  private func prepare(_ name: String) throws -> (PythonFunction, ProcessPool) {
    let known = state.withLock { state -> (PythonFunction, ProcessPool)? in
      guard let function = state.functions[name], case .success(let pool)? = state.pool else { return nil }
      return (function, pool)
    }
    if let known { return known }
    let target = try PythonTarget(name)
    let pool = try poolFor(target)
    return state.withLock { state in
      let function = state.functions[name] ?? PythonFunction()
      state.functions[name] = function
      return (function, pool)
    }
  }
  private func poolFor(_ target: PythonTarget) throws(JobError) -> ProcessPool {
    enum Role { case done(Result<ProcessPool, JobError>), makes, waits, closed }
    let role = state.withLock { state -> Role in
      if let pool = state.pool { return .done(pool) }
      if state.isClosed { return .closed }
      if state.isSettingUp { return .waits }
      state.isSettingUp = true
      return .makes
    }
    switch role {
    case .done(let pool): return try pool.get()
    case .closed: throw JobError.submittedTooLate
    case .waits:
      ready.wait()
      return try poolFor(target)
    case .makes:
      // Looking for the interpreter starts it once, so no lock is held.
      let count = maxWorkers
      let made = make(target, maxWorkers: count)
      let (isClosed, wanted) = state.withLock { state in
        state.pool = made
        return (state.isClosed, state.maxWorkers)
      }
      ready.open()
      if case .success(let pool) = made {
        if isClosed { pool.abandon() } else if wanted != count { pool.resize(to: wanted) }
      }
      return try made.get()
    }
  }
  private func make(_ target: PythonTarget, maxWorkers: Int) -> Result<ProcessPool, JobError> {
    do {
      // How many calls one worker runs at once.
      let width = (mode == .processes ? 1 : maxWorkers) * settings.concurrency
      let limits = settings.limits
      let interpreter = try settings.interpreter ?? PythonInterpreter.find(explicit: settings.python, scriptFolder: target.scriptFolder)
      try mode.demand(of: interpreter)
      if mode == .interpreters && settings.concurrency > 1 {
        throw PythonInterpreterError(
          "a sub-interpreter runs one call at a time; use concurrency with .processes or .threads, or more interpreters")
      }
      let initializer = try encodedInitializer()
      var recipe = WorkerRecipe(
        path: interpreter.executable,
        arguments: [interpreter.executable]
          + Bridge.workerArguments(
            way: mode.way(concurrency: settings.concurrency), threads: width, memoryLimit: limits.memoryLimit,
            takesMemory: settings.takesMemory),
        environment: ChildProcess.environment)
      // A free-threaded build takes 1 GiB at its start otherwise, all of which counts. Unit: KiB.
      if limits.memoryLimit != nil { recipe.environment.append("MIMALLOC_ARENA_RESERVE=65536") }
      recipe.program = try PrivateFile(Bridge.program(initializer: initializer))
      recipe.width = width
      recipe.tellsStarts = true
      recipe.takesMemory = settings.takesMemory
      recipe.hasLifelinePipe = true
      recipe.standardOutput = settings.printsToStandardError ? .standardError : .inherited
      recipe.printed = settings.printed
      begin.withLock { $0 = .now }
      return .success(
        try ProcessPool(
          recipe: recipe, maxWorkers: mode == .processes ? maxWorkers : 1,
          // What a worker may have at most the kernel sees to, which tells the call and leaves the worker alive.
          limits: PoolLimits(
            jobsPerWorker: limits.jobsPerWorker, softMemoryLimit: limits.softMemoryLimit, idleTimeout: limits.idleTimeout)))
    } catch let error as JobError {
      return .failure(error)
    } catch {
      return .failure(JobError(code: .workerNotStarted, message: "No Python worker can be started: \(error)"))
    }
  }
  private func encodedInitializer() throws(JobError) -> (target: String, arguments: [UInt8])? {
    guard let call = settings.initializer else { return nil }
    do { _ = try PythonTarget(call.target) } catch {
      throw JobError(code: .workerNotStarted, message: "The executor's initializer cannot be called: \(error)")
    }
    let arguments: PythonPayload
    do { arguments = try call.encodedArguments() } catch {
      throw JobError(code: .notEncodable, message: "The arguments of the initializer \(call.target) cannot be sent to Python: \(error).")
    }
    guard arguments.attachments.isEmpty else {
      throw JobError(
        code: .notEncodable,
        message: "The initializer \(call.target) cannot have a SharedBuffer: it runs once in each worker, before memory is handed to it. "
          + "Pass the buffer with each call, or the name of a file.")
    }
    return (call.target, arguments.bytes)
  }
  /// When the first call came; nil: none has.
  private let begin = Locked<MonotonicTime?>(nil)
  /// Of measured calls: worker by worker the kernel's own mark was reset.
  private let measuredPeak = Locked(0)

  func noteMeasured(peak: Int) { measuredPeak.withLock { $0 = max($0, peak) } }
  func usage() -> PythonUsage {
    guard let pool, let begin = begin.withLock({ $0 }) else { return PythonUsage() }
    let (live, time, peak) = pool.usage()
    let workers = live.map { PythonUsage.Worker(pid: $0.pid, processorTime: $0.usage.processorTime, peakMemory: $0.usage.peakMemory) }
    return PythonUsage(
      processorTime: workers.reduce(time) { $0 + $1.processorTime }, wallTime: MonotonicTime.now - begin,
      peakMemory: max(peak, measuredPeak.withLock { $0 }, workers.map(\.peakMemory).max() ?? 0), workers: workers)
  }

  /// nil: there is none, or not yet.
  var pool: ProcessPool? {
    guard case .success(let pool)? = state.withLock({ $0.pool }) else { return nil }
    return pool
  }
  var processorTime: Duration {
    guard case .success(let pool)? = state.withLock({ $0.pool }) else { return .zero }
    return pool.processorTime
  }
  func shutdown(_ mode: ShutdownMode) async {
    let pool = state.withLock { state in
      state.isClosed = true
      return state.pool
    }
    // Those that wait for room get the executor's answer.
    admission?.close()
    if case .success(let pool)? = pool { await pool.shutdown(mode) }
  }
  func abandon() {
    let pool = state.withLock { state in
      state.isClosed = true
      return state.pool
    }
    if case .success(let pool)? = pool { pool.abandon() }
  }
}

/// One target of an executor.
///
/// Its parts name the pair of it and what reads its results, for the pool.
final class PythonFunction: Sendable {
  final class Key: Sendable {}
  private let keys = Locked<[ObjectIdentifier: Key]>([:])

  func key(_ receiver: any PythonResultReceiver.Type) -> Key {
    keys.withLock { keys in
      if let key = keys[ObjectIdentifier(receiver)] { return key }
      let key = Key()
      keys[ObjectIdentifier(receiver)] = key
      return key
    }
  }
}
