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
  /// How many calls run at once, at most.
  public let maxWorkers: Int
  /// How they run at once.
  public let mode: PythonMode
  private let engine: PythonEngine

  /// An executor without workers yet.
  ///
  /// - Parameters:
  ///   - maxWorkers: at least 1; nil: `Parallelism.available`.
  ///   - mode: how calls run at once. Where the interpreter cannot, calls fail with code `workerNotStarted` and a message that says what
  ///     can.
  ///   - python: path of the interpreter; nil: that of `VIRTUAL_ENV`, of a `.venv` beside the script, or `python3` on the path, looked
  ///     for at the first call. Where there is none, calls fail with code `workerNotStarted` and a message that says what was tried.
  public convenience init(maxWorkers: Int? = nil, mode: PythonMode = .processes, python: String? = nil) {
    self.init(maxWorkers: maxWorkers, mode: mode, settings: PythonSettings(python: python))
  }
  package init(maxWorkers: Int?, mode: PythonMode, settings: PythonSettings) {
    self.maxWorkers = max(1, maxWorkers ?? Parallelism.available)
    self.mode = mode
    engine = PythonEngine(maxWorkers: self.maxWorkers, mode: mode, settings: settings)
  }
  deinit { engine.abandon() }

  /// Takes a call: encodes its arguments now, on the calling thread, and sends it to a worker.
  ///
  /// Nothing is thrown here. The future fails with `PythonTargetError` where the target names no function, with a `JobError` of code
  /// `notEncodable` where an argument cannot be written, `notDecodable` where the result is no `Output`, and with
  /// ``PythonFailure`` where the function raised.
  public func submit<Output>(_ call: PythonCall<Output>, options: JobOptions = .standard) -> Future<Output> {
    engine.submit(target: call.target, options: options, receiver: PythonReceiver<Output>.self) { try call.encodedArguments() }
  }
  /// Runs many calls and yields their results, lazily and bounded; see `JobExecutor.map`, whose words apply.
  public func map<S: Sequence, Output>(
    _ calls: S, order: MapOrder = .input, inFlight: Int? = nil, options: JobOptions = .standard
  ) -> JobMap<S, Output> where S.Element == PythonCall<Output> {
    JobMap(source: calls, order: order, inFlight: inFlight ?? maxWorkers * 16, workers: maxWorkers) { self.submit($0, options: options) }
  }
  /// Ends the executor: no more calls are accepted, and those it holds end as `mode` says.
  ///
  /// Returns when nothing of it is left.
  public func shutdown(_ mode: ShutdownMode = .finishAll) async { await engine.shutdown(mode) }

  /// Takes a call whose arguments are encoded, and gives the result as it came, with what was measured.
  package func submitEncoded(target: String, arguments: [UInt8], options: JobOptions) -> Future<MeasuredCall> {
    engine.submit(target: target, options: options, receiver: MeasuredReceiver.self) { arguments }
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
  /// What a worker may have of memory of its own; nil: what the machine has.
  ///
  /// Unit: bytes.
  package var memoryLimit: Int?
  /// How many calls one worker runs at once; see `PythonExecutor.init`.
  package var concurrency = 1
  /// A call that comes before all others in each worker.
  package var initializer: PythonCall<PythonValue>?

  package init(python: String? = nil) { self.python = python }
}
