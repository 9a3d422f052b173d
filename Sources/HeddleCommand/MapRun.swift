import HeddlePython
import HeddleSystem

/// One `heddle map`, from its options to its exit status.
struct MapRun {
  private let options: MapCommand
  /// Standard error, or in tests a file in its place.
  private let console: Int32
  private let standardOutput: Int32
  private let makeRunner: @Sendable (RunnerSettings) throws -> any CallRunner
  private let listensToSignals: Bool
  /// Finds the interpreter and looks whether the target can be called.
  private let check: (MapCommand, PythonTarget) throws -> PythonInterpreter
  /// Finds the interpreter without starting it; nil: it has to be checked.
  private let locate: (MapCommand, PythonTarget) throws -> PythonInterpreter?

  init(
    _ options: MapCommand, console: Int32, standardOutput: Int32 = 1, listensToSignals: Bool = true,
    check: @escaping (MapCommand, PythonTarget) throws -> PythonInterpreter = MapRun.checkTarget,
    locate: @escaping (MapCommand, PythonTarget) throws -> PythonInterpreter? = MapRun.locatePython,
    makeRunner: @escaping @Sendable (RunnerSettings) throws -> any CallRunner
  ) {
    self.options = options
    self.console = console
    self.standardOutput = standardOutput
    self.listensToSignals = listensToSignals
    self.check = check
    self.locate = locate
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
    let work = try MapWork(options)
    var reader = try makeReader()
    if options.shuf { reader = reader.shuffled() }
    let store = try options.output.map { try openResults($0) }
    do {
      if options.dryRun {
        defer { store?.removeIfNew() }
        return try show(work, reader, store)
      }
      return try run(work, reader, store, interruption)
    } catch {
      // Nothing was run: a file that was made for it would only be in the way of the next try.
      store?.removeIfNew()
      throw error
    }
  }

  private func makeReader() throws -> InputReader {
    guard let path = options.inputPath else {
      return InputReader(arguments: options.named.inputs, format: options.inputFormat)
    }
    let terminator = options.null ? 0 : LineReader.newline
    var reader = try InputReader(path: path, format: options.inputFormat, terminator: terminator)
    // A share of all is known early only where all are counted.
    if options.showsMore || options.haltCondition?.isPercent == true {
      reader.total = try InputReader.count(path: path, format: options.inputFormat, terminator: terminator)
    }
    return reader
  }
  private func openResults(_ path: String) throws -> any ResultStore {
    if options.retryFailed && !Files.exists(path) {
      throw UsageError("there is no \(path) to take failed rows from; leave --retry-failed out, or name another file")
    }
    let mode: ResultMode = options.resume || options.retryFailed ? .goOn : options.overwrite ? .overwrite : .create
    switch options.outputFormat ?? OutputFormat(path: path) {
    case .jsonl: return try ResultFile(path: path, mode: mode)
    case .csv: return try ResultTable(path: path, mode: mode)
    case .sqlite: return try ResultDatabase(path: path, mode: mode)
    }
  }

  // MARK: The run

  private func run(
    _ work: MapWork, _ reader: InputReader, _ store: (any ResultStore)?, _ interruption: Interruption?
  ) throws -> ExitStatus {
    if let nice = options.nice {
      do throws(SystemError) { try Machine.setNiceness(nice) } catch { throw UsageError("--nice \(nice): \(error.reason)") }
    }
    let isTerminal = Terminal.isTerminal(console)
    let showsProgress = options.progress == .always || options.progress == .auto && (options.showsMore || isTerminal)
    let printed = Printed()
    let pass: (@Sendable ([UInt8]) -> Void)? = showsProgress ? { @Sendable output in printed.add(output) } : nil
    let (runner, trial) = try makeRunner(for: work, printed: pass)
    let log = try options.joblog.map { try JobLog(path: $0, name: work.name) }

    // A file is put in order at its end, so that there too a row is written as soon as its call ends and survives whatever comes.
    let keepsOrder = options.keepOrder && store == nil
    let batch = Batch(runner: runner, keepsOrder: keepsOrder)
    interruption?.onFirst { [console] in
      batch.stop(.interrupted)
      let sentence = "\(isTerminal ? "\n" : "")heddle: nothing more starts, and what runs has 5 seconds; Ctrl-C again ends at once\n"
      try? Descriptor.writeAll(Array(sentence.utf8), to: console)
      trial?.decide(.unknown)
    }
    let start = MonotonicTime.now
    let ledger = store?.ledger ?? Ledger()
    // Not the store itself: the feeder may outlive the run, and the file's lock must not.
    let knowsCells = store?.knowsCells ?? false
    let feeder = Feeder(reader: reader, ledger: ledger, onlyFailed: options.retryFailed) { InputKey($0, asCell: knowsCells) }
    // Not joined: it may be waiting for standard input for ever.
    try OSThread(name: "heddle-inputs", stackSize: Feeder.stackSize) {
      feeder.run(batch)
      // Before this come all calls that were made, and the first of them decides.
      if batch.hasNothing { trial?.decide(.unknown) }
    }.detach()
    if case .function(let target) = work, let trial, trial.await() != .callable {
      // Says what is wrong, where it was not only an interruption.
      do { _ = try check(options, target) } catch {
        log?.removeIfNew()
        batch.stop(.halted(HaltCondition(isNow: true, event: .fail, count: 1, isPercent: false), ""))
        runner.shutdown(grace: .zero)
        throw error
      }
    }
    log?.begin()
    do throws(SystemError) { if options.overwrite { try store?.clear() } } catch {
      throw UsageError("cannot write to \(options.output ?? ""): \(error.reason)")
    }
    if let store {
      let origin = work.origin
      if store.ledger.successes > 0, let warning = origin.warning(about: store.origins, path: store.path) { say("heddle: \(warning)") }
      store.note(origin)
    }

    let line = ProgressLine(
      isShown: showsProgress, hasBar: options.bar, width: { [console] in Terminal.width(console) },
      write: { [console] in try? Descriptor.writeAll($0, to: console) })
    let result = batch.run(
      .init(total: reader.total, keepsOrder: keepsOrder, halt: options.haltCondition, progress: line, printed: printed.take)
    ) { rows in
      let written =
        store?.append(rows)
        ?? RowsWritten(of: rows) { (row) throws(SystemError) in
          try Descriptor.writeAll((options.tag ? Array((row.input.text + "\t").utf8) : []) + row.line, to: standardOutput)
        }
      if let log { for row in rows[..<written.count] { log.add(row, command: work.command(of: row.input, place: row.place ?? 1)) } }
      return written
    }
    return conclude(result, store: store, processorTime: runner.processorTime, elapsed: MonotonicTime.now - start)
  }

  /// What runs the calls, and what knows whether they can be made where that was not looked at before.
  private func makeRunner(
    for work: MapWork, printed: (@Sendable ([UInt8]) -> Void)?
  ) throws -> (any CallRunner, TrialRunner?) {
    let places = options.workers.map { $0.resolved(cores: Processors.available()) }
    var pace = PacedRunner.Pace(
      places: places ?? Processors.available(), delay: options.delay?.duration, freeMemory: options.memfree?.bytes,
      timeout: options.timeout,
      retries: options.retries)
    switch work {
    case .command(let template):
      let isTagged = options.tag
      let pass = printed ?? { [console] in try? Descriptor.writeAll($0, to: console) }
      let runner = CommandRunner(template, places: pace.places, commandGuard: try CommandGuard()) { input, output in
        pass(isTagged ? Self.tagged(output, with: input) : output)
      }
      return (try PacedRunner(runner, pace: pace), nil)
    case .function(let target):
      // Who waits for inputs, waits with the target; there a mistake in it is to be said at once.
      let isWaiting = options.inputPath.map { !Files.isRegular($0) } ?? false
      let located = isWaiting || ![.processes, .threads, .auto].contains(options.on) ? nil : try locate(options, target)
      let interpreter = try located ?? check(options, target)
      try options.on.mode.demand(of: interpreter)
      var settings = RunnerSettings(
        interpreter: interpreter, target: target, placement: options.on, workers: places, timeout: nil,
        retries: options.retries, memoryLimit: options.memoryLimit?.bytes)
      settings.printed = printed
      if case .span(let span)? = options.timeout {
        settings.timeout = span
        pace.timeout = nil
      }
      if options.needsPace { settings.retries = 0 }
      let runner = options.on == .auto ? try makeAutoRunner(settings, printed: printed) : try makeRunner(settings)
      let trial = located == nil ? nil : TrialRunner(runner)
      return (options.needsPace ? try PacedRunner(trial ?? runner, pace: pace) : trial ?? runner, trial)
    }
  }
  /// Processes, and where the first calls show that they wait, threads.
  private func makeAutoRunner(_ settings: RunnerSettings, printed: (@Sendable ([UInt8]) -> Void)?) throws -> any CallRunner {
    let pass = printed ?? { [console] in try? Descriptor.writeAll($0, to: console) }
    let say: @Sendable (String) -> Void = { pass(Array(($0 + "\n").utf8)) }
    let processes = try makeRunner(settings)
    guard options.timeout == nil && options.memoryLimit == nil else {
      say("heddle: --on auto: processes, since what has a limit of time or memory has to be stopped without the others")
      return processes
    }
    let cores = Processors.available()
    var onThreads = settings
    onThreads.placement = .threads
    // As many as Python's own ThreadPoolExecutor has.
    onThreads.workers = settings.workers ?? min(32, cores + 4)
    let make: @Sendable (RunnerSettings) throws -> any CallRunner = makeRunner
    return AutoRunner(processes, places: settings.workers ?? cores, say: say) { [onThreads] in try make(onThreads) }
  }
  /// Each line with the input and a tab before it.
  private static func tagged(_ output: [UInt8], with input: [UInt8]) -> [UInt8] {
    let newline = LineReader.newline
    return output.split(separator: newline).flatMap { input + [UInt8(ascii: "\t")] + $0 + [newline] }
  }

  /// What would run, a line each.
  private func show(_ work: MapWork, _ reader: InputReader, _ store: (any ResultStore)?) throws -> ExitStatus {
    var reader = reader
    var ledger = store?.ledger ?? Ledger()
    let knowsCells = store?.knowsCells ?? false
    while let input = try reader.next() {
      guard case .run = ledger.decide(InputKey(input, asCell: knowsCells), onlyFailed: options.retryFailed) else { continue }
      let line: String
      if case .unreadable(_, let sentence) = input.content {
        line = "# \(sentence)"
      } else {
        line = work.command(of: input) ?? work.call(of: input)
      }
      do throws(SystemError) { try Descriptor.writeAll(Array((line + "\n").utf8), to: standardOutput) } catch {
        return error.isBrokenPipe ? .brokenPipe : .failures
      }
    }
    return .success
  }

  /// Finds the interpreter and looks whether the target can be called, in a process of its own.
  static func checkTarget(_ options: MapCommand, _ target: PythonTarget) throws -> PythonInterpreter {
    try PythonInterpreter.find(loading: target, explicit: options.python)
  }

  /// Finds the interpreter without starting it.
  static func locatePython(_ options: MapCommand, _ target: PythonTarget) throws -> PythonInterpreter? {
    try PythonInterpreter.located(explicit: options.python, for: target)
  }

  // MARK: The end

  /// Tidies the file, says what became of the run, and turns it into a status.
  private func conclude(
    _ result: Batch.Result, store: (any ResultStore)?, processorTime: Duration?, elapsed: Duration
  ) -> ExitStatus {
    if result.stop == .brokenPipe { return .brokenPipe }
    var reason: String?
    var goOn: String?
    switch result.stop {
    case .interrupted: reason = "interrupted"
    case .halted(_, let sentence), .cannotRead(let sentence), .cannotWrite(let sentence): reason = sentence
    case .brokenPipe, nil: break
    }
    var isWritten = true
    if let store {
      do { try store.tidy(inOrder: options.keepOrder) } catch {
        // The rows are all there; only those that count no more are still among them.
        reason = [reason, "\(store.path) could not be tidied: \(error.reason)"].compactMap(\.self).joined(separator: "; ")
        isWritten = store is RowFile
      }
      if result.stop != nil {
        goOn = "what has a row is in \(store.path); run the same command with --resume to go on"
      } else if result.summary.failed > 0 {
        goOn = "run the same command with --retry-failed to run those again"
      }
      if options.overwrite, let text = goOn { goOn = "\(text), without --overwrite" }
    }
    let ending = Summary.Ending(
      elapsed: elapsed, processorTime: processorTime, skipped: result.skipped, notRun: result.notRun, open: result.open, reason: reason,
      goOn: goOn)
    result.summary.lines(ending).forEach(say)

    // Of the whole file: a failure that was there before and was not run again counts.
    let failed = result.summary.failed + (store?.failuresLeft ?? 0) > 0 || !isWritten
    switch result.stop {
    case .interrupted: return .interrupted
    // As in GNU parallel: who waits for a success and has it is content.
    case .halted(let condition, _) where condition.event == .success: return .success
    case .halted(let condition, _) where condition.event == .done: return failed ? .failures : .success
    case nil: return failed ? .failures : .success
    default: return .failures
    }
  }

  private func say(_ line: String) { try? Descriptor.writeAll(Array((line + "\n").utf8), to: console) }

  // SAFETY: made on one thread and used by one other, which is started afterwards.
  /// The feeder's own state, which crosses to its thread once.
  private final class Feeder: @unchecked Sendable {
    private let reader: InputReader
    private var ledger: Ledger
    private let onlyFailed: Bool
    private let key: (Input) -> InputKey
    /// JSON may nest 512 deep, and reading it recurses.
    ///
    /// Unit: bytes.
    static let stackSize = 4 << 20

    init(reader: InputReader, ledger: Ledger, onlyFailed: Bool, key: @escaping (Input) -> InputKey) {
      self.key = key
      self.reader = reader
      self.ledger = ledger
      self.onlyFailed = onlyFailed
    }
    func run(_ batch: Batch) {
      batch.feed(reader) { input in ledger.decide(key(input), onlyFailed: onlyFailed) }
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
