import Heddle
import HeddlePython
import HeddleSystem
import Subprocess
import SystemPackage

/// Runs commands, each in a process group of its own, without a shell unless the template asks for one.
///
/// How many at once, time limits and another try are `PacedRunner`'s. What a command writes to its standard output is the value of its
/// row, and is kept in a file without a name until it ends; what it writes to standard error is passed on when it ends, whole, so that
/// the lines of two commands never mix.
final class CommandRunner: CallRunner {
  let window: Int
  var processorTime: Duration? { Machine.childrenProcessorTime }
  private let template: CommandTemplate
  private let commandGuard: CommandGuard
  /// Commands are started from here: threads of Dispatch would give them a niceness of their own.
  private let threads = ThreadPoolExecutor(maxWorkers: 2)
  private let printed: @Sendable (_ input: [UInt8], _ output: [UInt8]) -> Void

  private struct Command {
    /// nil: not started yet.
    var group: Int32?
    var isCancelled = false
  }
  private struct State {
    var running: [Int: Command] = [:]
    var isShut = false
    /// Places from 1 on that are free, the lowest first.
    var freePlaces: [Int]
  }
  private let state: Locked<State>
  private let news = Parker()

  /// How long a command has between SIGTERM and SIGKILL.
  private static let grace = Duration.milliseconds(500)
  /// The most that becomes a value.
  ///
  /// Unit: bytes.
  private static let longestOutput = 256 << 20

  /// - Parameters:
  ///   - places: How many run at once; `submit` is never called for more.
  ///   - printed: Takes what a command has written to standard error, and the text of its input.
  init(
    _ template: CommandTemplate, places: Int, commandGuard: CommandGuard, printed: @escaping @Sendable ([UInt8], [UInt8]) -> Void
  ) {
    self.template = template
    self.commandGuard = commandGuard
    self.printed = printed
    window = places
    state = Locked(State(freePlaces: Array((1...places).reversed())))
  }

  func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
    let place: Int? = state.withLock { state in
      guard !state.isShut, let place = state.freePlaces.popLast() else { return nil }
      state.running[place] = Command()
      return place
    }
    guard let place else {
      completion(CallOutcome(ending: .notRun, seconds: 0, attempts: 0))
      return { _ in false }
    }
    Task(executorPreference: threads) { [self] in
      let begin = MonotonicTime.now
      let ending = await run(input, place: place)
      let seconds = (MonotonicTime.now - begin).seconds
      let isCancelled = state.withLock { state in
        state.freePlaces.append(place)
        state.freePlaces.sort(by: >)
        return state.running.removeValue(forKey: place)?.isCancelled ?? false
      }
      var outcome = CallOutcome(ending: ending, seconds: seconds, attempts: 1, place: place)
      if isCancelled, case .failed = ending { outcome.ending = .notRun }
      completion(outcome)
      news.unpark()
    }
    return { [weak self] _ in self?.cancel(place) ?? false }
  }

  /// Kills the command that runs in `place`.
  private func cancel(_ place: Int) -> Bool {
    let group: Int32? = state.withLock { state in
      guard state.running[place] != nil else { return nil }
      state.running[place]?.isCancelled = true
      return state.running[place]?.group ?? 0
    }
    guard let group else { return false }
    // One that is just being started is killed as soon as its number is known.
    if group > 0 { kill(group, in: place) }
    return true
  }
  private func kill(_ group: Int32, in place: Int) {
    ProcessGroup.terminate(group)
    Task { [weak self] in
      try? await Task.sleep(for: Self.grace)
      guard let self, state.withLock({ $0.running[place]?.group == group }) else { return }
      ProcessGroup.kill(group)
    }
  }

  func shutdown(grace: Duration?) {
    state.withLock { $0.isShut = true }
    let end = grace.map { MonotonicTime.now + $0 } ?? .distantFuture
    var isKilled = false
    while true {
      let ticket = news.ticket
      let places = state.withLock { Array($0.running.keys) }
      if places.isEmpty { break }
      if !isKilled, MonotonicTime.now >= end {
        isKilled = true
        for place in places { _ = cancel(place) }
      }
      news.park(ticket: ticket, until: isKilled ? .distantFuture : end)
    }
    commandGuard.close()
    let threads = threads
    let ended = ThreadGate()
    Task {
      await threads.shutdown(.finishAll)
      ended.open()
    }
    ended.wait()
  }

  private func run(_ input: Input, place: Int) async -> CallOutcome.Ending {
    do {
      let value = try CommandInput(input.value)
      let words = try template.words(for: value, sequence: input.index + 1, place: place)
      let name = String(decoding: words[0], as: UTF8.self)
      // Bytes are taken as C strings.
      let arguments = Arguments(executablePathOverride: nil, remainingValues: words.dropFirst().map { $0 + [0] })
      var options = PlatformOptions()
      options.processGroupID = 0
      let output = try Descriptor.temporaryFile(), error = try Descriptor.temporaryFile()
      let result = try await Subprocess.run(
        name.contains("/") ? .path(FilePath(name)) : .name(name),
        arguments: arguments, environment: .inherit.updating([.init(stringLiteral: CommandGuard.variable): commandGuard.word]),
        platformOptions: options, input: .none,
        output: .fileDescriptor(FileDescriptor(rawValue: output.number), closeAfterSpawningProcess: false),
        error: .fileDescriptor(FileDescriptor(rawValue: error.number), closeAfterSpawningProcess: false)
      ) { [self] execution in
        let group = execution.processIdentifier.value
        commandGuard.started(group)
        let isCancelled = state.withLock { state in
          state.running[place]?.group = group
          return state.running[place]?.isCancelled ?? true
        }
        if isCancelled { kill(group, in: place) }
      }
      state.withLock { $0.running[place]?.group = nil }
      commandGuard.ended(result.processIdentifier.value)
      let complaint = try error.readSlice(at: 0, count: min(error.fileSize, Self.longestOutput))
      if !complaint.isEmpty { printed(value.text, complaint) }
      return try ending(result.terminationStatus, output: output, complaint: complaint)
    } catch let error as SubprocessError {
      return .failed(code: "workerNotStarted", message: "the command could not be started: \(error)", exit: nil)
    } catch let error as SystemError {
      return .failed(code: "workerNotStarted", message: "\(error)", exit: nil)
    } catch {
      return .failed(code: "notEncodable", message: "\(error)", exit: nil)
    }
  }
  private func ending(
    _ status: TerminationStatus, output: borrowing Descriptor, complaint: [UInt8]
  ) throws(SystemError) -> CallOutcome.Ending {
    let last = complaint.split(separator: UInt8(ascii: "\n")).last.map { ": " + String(decoding: $0.prefix(500), as: UTF8.self) } ?? ""
    switch status {
    case .exited(0):
      let size = output.fileSize
      guard size <= Self.longestOutput else {
        return .failed(code: "notDecodable", message: "the command wrote \(size) bytes; let it write them to a file of its own", exit: nil)
      }
      var writer = MarshalWriter(capacity: size + 5)
      writer.write(fileSystemText: try output.readAll()[...])
      return .returned(writer.bytes)
    // It has said itself that it failed, as a function does that raises.
    case .exited(let code): return .failed(code: "exception", message: "the command exited with \(code)\(last)", exit: "exit \(code)")
    case .signaled(let number):
      let name = SignalName.name(of: number)
      return .failed(code: "workerDied", message: "the command was killed by \(name)\(last)", exit: name)
    }
  }
}
