public import Heddle
import HeddleSystem

/// Runs Python functions in interpreters of their own, where the GIL of one does not hold up another.
///
/// ```swift
/// let python = PythonExecutor(maxWorkers: 4)
/// let size: Int = try await python.submit(PythonCall("photos.py:thumbnail", "a.jpg", keywords: ["width": 200])).value
/// for await result in python.map(paths.map { PythonCall<Int>("photos.py:thumbnail", $0) }).results { … }
/// ```
///
/// No libpython is linked: a worker is `python3` as a child process, any version from 3.8 on, any virtual environment, and a segfault
/// in an extension ends only that process. A call that raises fails with ``PythonFailure``; one whose interpreter died with a
/// `JobError`.
///
/// With a mode other than `.processes` a running call cannot be stopped without the others: `cancel()` answers false, and after a time limit the future ends
/// but the thread is free only when the function returns. When all threads are lost like that the interpreter is replaced, and what the
/// module held in its globals is gone. (With `maxWorkers: 1` there are no others: the interpreter is stopped, as with `.processes`.)
public final class PythonExecutor: Sendable {
  /// How many workers there are, at most: processes, threads or interpreters; as at first, or as ``resize(to:)`` said last.
  public var maxWorkers: Int { engine.maxWorkers }
  /// How calls run at once.
  public let mode: PythonMode
  /// How many calls each worker runs at once.
  public let concurrency: Int
  private let engine: PythonEngine

  /// An executor without workers yet.
  ///
  /// - Parameters:
  ///   - maxWorkers: at least 1; nil: `Parallelism.available`.
  ///   - mode: how calls run at once. Where the interpreter cannot, calls fail with code `workerNotStarted` and a message that says what
  ///     can.
  ///   - python: path of the interpreter; nil: that of `VIRTUAL_ENV`, of a `.venv` beside the script, or `python3` on the path, looked
  ///     for at the first call. Where there is none, calls fail with code `workerNotStarted` and a message that says what was tried.
  ///   - concurrency: how many calls each worker runs at once; at least 1. With more than 1, `async def` functions run on one event loop of
  ///     the process, and other functions on threads of it, so that what is said of `.threads` holds: a running call cannot be killed. (With
  ///     1, a coroutine is run to its end before the next call, on an event loop that the worker keeps.) Not with `.interpreters`.
  ///   - initializer: a call that is run in each worker before its first call: once a process, or once in each interpreter of
  ///     `.interpreters`. What it returns is dropped. Where it raises it is tried 3 times, and then the calls of that worker fail with
  ///     `PythonTargetError`, reason `initializerFailed` and what it raised. Where it ends the process, workers are started 3 times, and
  ///     then the calls that wait fail with code `workerNotStarted`.
  ///   - configuration: limits of the workers, and of how many calls may wait.
  public convenience init(
    maxWorkers: Int? = nil, mode: PythonMode = .processes, python: String? = nil, concurrency: Int = 1,
    initializer: PythonCall<PythonValue>? = nil, configuration: PythonPoolConfiguration = PythonPoolConfiguration()
  ) {
    var settings = PythonSettings(python: python)
    settings.concurrency = concurrency
    settings.initializer = initializer
    settings.limits = configuration
    self.init(maxWorkers: maxWorkers, mode: mode, settings: settings)
  }
  package init(maxWorkers: Int?, mode: PythonMode, settings: PythonSettings) {
    self.mode = mode
    concurrency = max(1, settings.concurrency)
    var settings = settings
    settings.concurrency = concurrency
    engine = PythonEngine(maxWorkers: max(1, maxWorkers ?? Parallelism.available), mode: mode, settings: settings)
  }
  deinit { engine.abandon() }

  /// Takes a call: encodes its arguments now, on the calling thread, and sends it to a worker.
  ///
  /// Nothing is thrown here. The future fails with `PythonTargetError` where the target names no function, with a `JobError` of code
  /// `notEncodable` where an argument cannot be written, or more than 128 `SharedBuffer`s are among them, `notDecodable` where the result is no `Output`, and with
  /// ``PythonFailure`` where the function raised; with `queueFull` where ``PythonPoolConfiguration/maxPending`` calls wait.
  public func submit<Output>(_ call: PythonCall<Output>, options: JobOptions = .standard) -> Future<Output> {
    submit(call, options: options, isAdmitted: false)
  }
  private func submit<Output>(_ call: PythonCall<Output>, options: JobOptions, isAdmitted: Bool) -> Future<Output> {
    engine.submit(
      target: call.target, options: options, receiver: PythonReceiver(decoding: call.target), isAdmitted: isAdmitted
    ) { _, _ in try call.encodedArguments() }
  }
  /// Takes a call as `submit` does, as soon as there is room for it.
  ///
  /// Where the task is cancelled first, the future is cancelled and the call does not run.
  public func submitWaiting<Output>(_ call: PythonCall<Output>, options: JobOptions = .standard) async -> Future<Output> {
    if let admission = engine.admission, await !admission.entered() { return .failed(JobError.cancelledBeforeRoom) }
    return submit(call, options: options, isAdmitted: true)
  }
  /// Takes a call as `submit` does, as soon as there is room for it.
  ///
  /// Blocks the calling thread until then.
  @available(*, noasync, message: "It blocks the thread. Await 'submitWaiting' instead.")
  public func submitBlocking<Output>(_ call: PythonCall<Output>, options: JobOptions = .standard) -> Future<Output> {
    engine.admission?.enterBlocking()
    return submit(call, options: options, isAdmitted: true)
  }
  /// Changes how many processes there may be, at once and from anywhere; only with `.processes`.
  ///
  /// More: they start when there are calls for them. Fewer: workers without a call end now, the others after the call that they run, and what
  /// waits behind that runs elsewhere. No call is lost or stopped. ``PythonPoolConfiguration/maxPending`` stays what it is.
  ///
  /// - Parameter maxWorkers: at least 1.
  /// - Returns: Whether it was done. false with every other mode, whose one process has its threads from its start on; make a new executor.
  public func resize(to maxWorkers: Int) -> Bool { engine.resize(to: max(1, maxWorkers)) }
  /// Runs many calls and yields their results, lazily and bounded; see `JobExecutor.map`, whose words apply.
  public func map<S: Sequence, Output>(
    _ calls: S, order: MapOrder = .input, inFlight: Int? = nil, options: JobOptions = .standard
  ) -> JobMap<S, Output> where S.Element == PythonCall<Output> {
    let width = maxWorkers * concurrency
    return JobMap(source: calls, order: order, inFlight: inFlight ?? width * 16, workers: width, admission: engine.admission) {
      self.submit($0, options: options, isAdmitted: true)
    }
  }
  /// Calls a generator, and yields what it yields while it runs.
  ///
  /// ```swift
  /// for try await line in python.stream(PythonCall<String>("logs.py:follow", "app.log")) { … }
  /// ```
  ///
  /// The target is a generator, an asynchronous generator, or a function that returns anything that can be iterated but `str`, `bytes` and
  /// `dict`. It is called anew with each iteration of the sequence, and occupies a worker until it ends. It computes `buffer` values ahead and
  /// then waits until they are taken. Where the iteration ends early, or its task is cancelled, the generator is closed as Python closes one: at
  /// its next `yield`.
  ///
  /// The iteration throws what `submit` fails with, after the values that came before. A time limit in `options` counts from start to end, the
  /// waiting included; nothing is tried again.
  ///
  /// - Parameter buffer: how many values may be there that nobody has taken yet; at least 1.
  public func stream<Element>(
    _ call: PythonCall<Element>, buffer: Int = 16, options: JobOptions = .standard
  ) -> PythonStream<Element> {
    var options = options
    options.retry = .none
    return PythonStream { [engine, options] in
      let run = StreamBuffer<Element>(target: call.target, window: UInt64(max(1, buffer)))
      engine.start(run, call, options)
      return run
    }
  }
  /// Ends the executor: no more calls are accepted, and those it holds end as `mode` says.
  ///
  /// Returns when nothing of it is left.
  public func shutdown(_ mode: ShutdownMode = .finishAll) async { await engine.shutdown(mode) }

  /// Takes a call as `submit` does, and measures it.
  ///
  /// A call that raises is measured too: its future succeeds, and the measurement says what it raised. The future fails where the call had no
  /// end of its own: its interpreter died, it ran out of time, it was cancelled. Measuring costs some 50 µs a call.
  public func measure<Output>(_ call: PythonCall<Output>, options: JobOptions = .standard) -> Future<PythonMeasurement<Output>> {
    let receiver = PythonReceiver<PythonMeasurement<Output>>(measuring: call.target) { [weak engine] in engine?.noteMeasured(peak: $0) }
    return engine.submit(target: call.target, options: options, receiver: receiver) { _, _ in try call.encodedArguments() }
  }
  /// What the workers have used since the first call.
  ///
  /// Asks the kernel about each worker that lives: some 50 µs for each.
  public func usage() -> PythonUsage { engine.usage() }

  /// Takes a call whose arguments are encoded, and gives the result as it came, with what was measured.
  package func submitEncoded(target: String, arguments: [UInt8], options: JobOptions) -> Future<MeasuredCall> {
    engine.submit(target: target, options: options, receiver: PythonReceiver(encoded: target)) { _, _ in PythonPayload(bytes: arguments) }
  }
  /// Processor time of the workers that have gone.
  package var processorTime: Duration { engine.processorTime }
}

/// Runs `body` with an executor and shuts it down on every path out, as `withExecutor` of Heddle does.
public func withExecutor<R>(_ executor: PythonExecutor, _ body: (PythonExecutor) async throws -> R) async rethrows -> R {
  do {
    let result = try await body(executor)
    await executor.shutdown(Task.isCancelled ? .finishRunning : .finishAll)
    return result
  } catch {
    await executor.shutdown(.finishRunning)
    throw error
  }
}

/// What the tool sets and a library user has no need to.
package struct PythonSettings: Sendable {
  package var python: String?
  /// An interpreter that was found already.
  package var interpreter: PythonInterpreter?
  /// Sends what functions print to standard error, so that standard output is free for results.
  package var printsToStandardError = false
  package var printed: (@Sendable ([UInt8]) -> Void)?
  package var limits = PythonPoolConfiguration()
  /// How many calls one worker runs at once; see `PythonExecutor.init`.
  package var concurrency = 1
  /// Whether shared memory comes and goes.
  ///
  /// Who reads results as bytes sets it to false: then arrays are lists and bytes in them.
  package var takesMemory = true
  /// A call that comes before all others in each worker.
  package var initializer: PythonCall<PythonValue>?

  package init(python: String? = nil) { self.python = python }
}
