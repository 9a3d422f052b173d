import HeddlePython
import HeddleSystem

/// One `heddle map`, from its options to its exit status.
struct MapRun {
  private let options: MapCommand
  /// Standard error, or in tests a file in its place.
  private let console: Int32
  private let standardOutput: Int32
  private let makeRunner: (RunnerSettings) throws -> any CallRunner
  private let listensToSignals: Bool
  /// Finds the interpreter and looks whether the target can be called.
  private let check: (MapCommand, PythonTarget) throws -> PythonInterpreter

  init(
    _ options: MapCommand, console: Int32, standardOutput: Int32 = 1, listensToSignals: Bool = true,
    check: @escaping (MapCommand, PythonTarget) throws -> PythonInterpreter = MapRun.checkTarget,
    makeRunner: @escaping (RunnerSettings) throws -> any CallRunner
  ) {
    self.options = options
    self.console = console
    self.standardOutput = standardOutput
    self.listensToSignals = listensToSignals
    self.check = check
    self.makeRunner = makeRunner
  }

  /// Runs the inputs and says what became of them.
  ///
  /// What is wrong before that is one sentence, and status 2.
  func run() -> ExitStatus {
    do { return try runChecked() } catch let error as PythonTargetError {
      // Of a file that cannot be loaded its own traceback says more than any sentence; the last lines of it say the most.
      if error.reason == .importFailed, let failure = error.failure {
        let lines = failure.description.split(separator: "\n", omittingEmptySubsequences: false)
        for line in lines.suffix(12) { say(String(line)) }
      }
      say("heddle: \(error.message)")
    } catch {
      say("heddle: \(error)")
    }
    return .usage
  }

  private func runChecked() throws -> ExitStatus {
    let interruption = listensToSignals ? try Interruption() : nil
    let target = try PythonTarget(options.target)
    let reader =
      if let path = options.inputFile {
        try InputReader(path: path, format: options.inputFormat)
      } else {
        InputReader(arguments: options.inputs, format: options.inputFormat)
      }
    let file = try options.output.map { try openResults($0) }
    do { return try run(target, reader, file, interruption) } catch {
      // Nothing was run: a file that was made for it would only be in the way of the next try.
      file?.removeIfNew()
      throw error
    }
  }

  private func run(
    _ target: PythonTarget, _ reader: InputReader, _ file: ResultFile?, _ interruption: Interruption?
  ) throws -> ExitStatus {
    let interpreter = try check(options, target)
    let isTerminal = Terminal.isTerminal(console)
    let showsProgress = options.progress == .always || options.progress == .auto && isTerminal
    let printed = Printed()
    var settings = RunnerSettings(
      interpreter: interpreter, target: target, placement: options.on, workers: options.workers, timeout: options.timeout?.duration,
      retries: options.retries, memoryLimit: options.memoryLimit?.bytes)
    if showsProgress { settings.printed = { printed.add($0) } }
    let runner = try makeRunner(settings)
    if options.overwrite { file?.clear() }
    if let file {
      let origin = Origin(target)
      if file.ledger.successes > 0, let warning = origin.warning(about: file.origins, path: file.path) { say("heddle: \(warning)") }
      file.note(origin)
    }

    // A file is put in order at its end, so that there too a row is written as soon as its call ends and survives whatever comes.
    let keepsOrder = options.keepOrder && file == nil
    let batch = Batch(runner: runner, keepsOrder: keepsOrder)
    interruption?.onFirst { batch.stop(.interrupted) }
    let start = MonotonicTime.now
    let feeder = Feeder(reader: reader, ledger: file?.ledger ?? Ledger(), onlyFailed: options.retryFailed)
    // Not joined: it may be waiting for standard input for ever.
    try OSThread(name: "heddle-inputs", stackSize: Feeder.stackSize) { feeder.run(batch) }.detach()

    let line = ProgressLine(
      isShown: showsProgress, width: { [console] in Terminal.width(console) },
      write: { [console] in try? Descriptor.writeAll($0, to: console) })
    let result = batch.run(
      .init(
        total: reader.total, keepsOrder: keepsOrder, maxFailures: options.maxFailures, progress: line, printed: printed.take)
    ) { (row, replaces) throws(SystemError) in
      if let file {
        try file.append(row.line, replaces: replaces)
      } else {
        try Descriptor.writeAll(row.line, to: standardOutput)
      }
    }
    return conclude(result, file: file, processorTime: runner.processorTime, elapsed: MonotonicTime.now - start)
  }

  private func openResults(_ path: String) throws -> ResultFile {
    if options.retryFailed && !Files.exists(path) {
      throw UsageError("there is no \(path) to take failed rows from; leave --retry-failed out, or name another file")
    }
    return try ResultFile(path: path, mode: options.resume || options.retryFailed ? .goOn : options.overwrite ? .overwrite : .create)
  }

  /// Finds the interpreter and looks whether the target can be called, in a process of its own.
  static func checkTarget(_ options: MapCommand, _ target: PythonTarget) throws -> PythonInterpreter {
    try PythonInterpreter.find(loading: target, explicit: options.python)
  }

  /// Tidies the file, says what became of the run, and turns it into a status.
  private func conclude(_ result: Batch.Result, file: ResultFile?, processorTime: Duration?, elapsed: Duration) -> ExitStatus {
    if result.stop == .brokenPipe { return .brokenPipe }
    var reason: String?
    var goOn: String?
    switch result.stop {
    case .interrupted: reason = "interrupted"
    case .tooManyFailures: reason = "stopped after \(result.summary.failed) failures"
    case .cannotRead(let sentence), .cannotWrite(let sentence): reason = sentence
    case .brokenPipe, nil: break
    }
    if let file {
      do { try file.tidy(inOrder: options.keepOrder) } catch {
        // The rows are all there; only those that count no more are still among them.
        reason = [reason, "\(file.path) could not be tidied: \(error.reason)"].compactMap(\.self).joined(separator: "; ")
      }
      if result.stop != nil {
        goOn = "what has a row is in \(file.path); run the same command with --resume to go on"
      } else if result.summary.failed > 0 {
        goOn = "run the same command with --retry-failed to run those again"
      }
      if options.overwrite, let text = goOn { goOn = "\(text), without --overwrite" }
    }
    let ending = Summary.Ending(
      elapsed: elapsed, processorTime: processorTime, skipped: result.skipped, notRun: result.notRun, reason: reason, goOn: goOn)
    result.summary.lines(ending).forEach(say)

    switch result.stop {
    case .interrupted: return .interrupted
    case nil: break
    default: return .failures
    }
    // Of the whole file: a failure that was there before and was not run again counts.
    return result.summary.failed + (file?.failuresLeft ?? 0) > 0 ? .failures : .success
  }

  private func say(_ line: String) { try? Descriptor.writeAll(Array((line + "\n").utf8), to: console) }

  /// The feeder's own state, which crosses to its thread once.
  private final class Feeder: @unchecked Sendable {
    // SAFETY: made on one thread and used by one other, which is started afterwards.
    private let reader: InputReader
    private var ledger: Ledger
    private let onlyFailed: Bool
    /// JSON may nest 512 deep, and reading it recurses.
    ///
    /// Unit: bytes.
    static let stackSize = 4 << 20

    init(reader: InputReader, ledger: Ledger, onlyFailed: Bool) {
      self.reader = reader
      self.ledger = ledger
      self.onlyFailed = onlyFailed
    }
    func run(_ batch: Batch) {
      batch.feed(reader) { input in ledger.decide(InputKey(input.value), onlyFailed: onlyFailed) }
    }
  }

  /// What functions have printed and the writer has not passed on.
  private final class Printed: Sendable {
    private let waiting = Locked<[[UInt8]]>([])
    func add(_ output: [UInt8]) { waiting.withLock { $0.append(output) } }
    func take() -> [[UInt8]] {
      waiting.withLock { waiting in
        defer { waiting = [] }
        return waiting
      }
    }
  }
}
