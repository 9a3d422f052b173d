import Heddle
import HeddleSystem

/// A run: inputs are read and handed to the runner on one thread, results become rows on another, and between them a bound.
///
/// Who does what:
/// - the feeder, a thread of its own, because reading standard input may block for ever while rows are due;
/// - the caller of `run`, who alone writes rows and to standard error;
/// - threads of the runner, which only leave an outcome behind (`finish`).
/// The feeder stops at `window` inputs that have no row yet, so memory does not grow with the inputs, whatever their number, nor
/// with the results, however slowly they are written.
final class Batch: Sendable {
  /// Why nothing more is started.
  enum Stop: Sendable, Equatable {
    case interrupted
    /// Enough has failed, succeeded or ended; a sentence.
    case halted(HaltCondition, String)
    /// The reader of standard output is gone.
    case brokenPipe
    /// A row could not be written; a sentence.
    case cannotWrite(String)
    /// An input could not be read; a sentence.
    case cannotRead(String)

    /// How long what runs may still take; nil: for ever.
    var grace: Duration? {
      switch self {
      case .interrupted: .seconds(5)
      case .halted(let condition, _): condition.isNow ? .zero : nil
      case .cannotRead: nil
      case .brokenPipe, .cannotWrite: .zero
      }
    }
  }
  /// A call that has ended.
  private struct Finished {
    let input: Input
    /// The place among the calls of this run, without gaps.
    let sequence: Int
    let replaces: Bool
    let outcome: CallOutcome
    /// Unit: seconds since 1970.
    let endTime = Machine.wallClock
  }
  private struct State {
    /// Ended, and not yet fetched by the writer.
    var finished: [Finished] = []
    /// Handed out, and without a row.
    var pending = 0
    /// Whether the feeder has come to the end of the inputs.
    var isFed = false
    var stop: Stop?
    /// Inputs read, skipped ones included.
    var read = 0
    var skipped = 0
  }
  private let state = Locked(State())
  /// Wakes the writer: something has ended, all has been read, or the run is to stop.
  private let news = Parker()
  /// Wakes the feeder: there is room, or the run is to stop.
  private let room = Parker()
  private let runner: any CallRunner
  private let window: Int
  /// Counts and times the rows; the progress line reads it.
  private let meter: MapMeter

  init(runner: any CallRunner, keepsOrder: Bool) {
    self.runner = runner
    // In order, a slow input holds back the rows of all behind it; a wider window keeps the workers busy meanwhile.
    meter = MapMeter(total: nil, workers: runner.window)
    window = runner.window * (keepsOrder ? 8 : 1)
  }

  /// Starts nothing more.
  ///
  /// The first reason counts.
  func stop(_ reason: Stop) {
    state.withLock { if $0.stop == nil { $0.stop = reason } }
    news.unpark()
    room.unpark()
  }

  /// Whether no input was handed to the runner, at the end of `feed`.
  var hasNothing: Bool { state.withLock { $0.isFed && $0.read == $0.skipped } }

  // MARK: The feeder's side

  /// Reads inputs until there are no more and hands them to the runner.
  ///
  /// Blocks.
  ///
  /// - Parameter decide: Whether an input is run, and whether its row replaces another.
  func feed(_ reader: InputReader, decide: (Input) -> Ledger.Decision) {
    var reader = reader
    var sequence = 0
    while let input = next(&reader) {
      guard case .run(let replaces) = decide(input) else {
        state.withLock {
          $0.read += 1
          $0.skipped += 1
        }
        continue
      }
      guard awaitRoom() else { break }
      meter.itemSubmitted()
      let place = sequence
      sequence += 1
      if case .unreadable(_, let sentence) = input.content {
        let outcome = CallOutcome(ending: .failed(code: "notEncodable", message: sentence, exit: nil), seconds: 0, attempts: 0)
        finish(Finished(input: input, sequence: place, replaces: replaces, outcome: outcome))
        continue
      }
      runner.submit(input) { [self] outcome in
        finish(Finished(input: input, sequence: place, replaces: replaces, outcome: outcome))
      }
    }
    state.withLock { $0.isFed = true }
    news.unpark()
  }
  private func next(_ reader: inout InputReader) -> Input? {
    if state.withLock({ $0.stop != nil }) { return nil }
    do { return try reader.next() } catch {
      let reason = (error as? SystemError)?.reason ?? "\(error)"
      stop(.cannotRead("the inputs could not be read to the end: \(reason)"))
      return nil
    }
  }
  /// Blocks until one more input may be out.
  ///
  /// - Returns: Whether it is counted as out; not where the run is to stop.
  private func awaitRoom() -> Bool {
    while true {
      let ticket = room.ticket
      let answer: Bool? = state.withLock { state in
        if state.stop != nil { return false }
        guard state.pending < window else { return nil }
        state.pending += 1
        state.read += 1
        return true
      }
      if let answer { return answer }
      room.park(ticket: ticket)
    }
  }
  private func finish(_ finished: Finished) {
    let isFirst = state.withLock { state in
      state.finished.append(finished)
      return state.finished.count == 1
    }
    if isFirst { news.unpark() }
  }

  // MARK: The writer's side

  /// Unit: rows.
  private static let groupLimit = 64

  /// What the writer is told.
  struct Options {
    var total: Int?
    var keepsOrder = false
    var halt: HaltCondition?
    var progress: ProgressLine
    /// What functions have printed since it was last asked.
    var printed: () -> [[UInt8]] = { [] }
  }
  /// What became of the run.
  struct Result {
    var summary = Summary()
    var skipped = 0
    /// Inputs that were read and have no row.
    var notRun = 0
    /// Inputs that have no row, where it is known how many there are.
    var open: Int?
    var stop: Stop?
  }

  /// Writes rows until all is done.
  ///
  /// Blocks.
  ///
  /// - Parameter write: Writes the rows that have just ended, each whole, as far as it can.
  func run(_ options: Options, write: ([Row]) -> RowsWritten) -> Result {
    var progress = options.progress
    var nextDraw = MonotonicTime.now
    var result = Result()
    var held: [Int: Finished] = [:]
    var nextInOrder = 0
    var ending: OSThread?

    func settle(_ group: ArraySlice<Finished>) {
      var rows: [Row] = []
      rows.reserveCapacity(group.count)
      for finished in group {
        if case .notRun = finished.outcome.ending { continue }
        rows.append(Row(finished.input, finished.outcome, replaces: finished.replaces, endTime: finished.endTime))
      }
      let written = rows.isEmpty ? RowsWritten(count: 0) : write(rows)
      for row in rows[..<written.count] { count(row) }
      result.notRun += group.count - written.count
      // Once a row is lost no other may follow it as if nothing had been.
      guard let error = written.error else { return }
      if error.isBrokenPipe { stop(.brokenPipe) } else { stop(.cannotWrite("a result could not be written: \(error.reason)")) }
    }
    func count(_ row: Row) {
      meter.itemEnded(failed: row.failure != nil)
      if let failure = row.failure {
        result.summary.add(failure, input: row.input.text)
      } else {
        result.summary.addSuccess()
      }
      if let halt = options.halt {
        let (failed, succeeded) = (result.summary.failed, result.summary.succeeded)
        let total = halt.isPercent ? options.total ?? state.withLock { $0.isFed ? $0.read : nil } : nil
        if halt.isMet(failed: failed, succeeded: succeeded, total: total) {
          stop(.halted(halt, halt.sentence(failed: failed, succeeded: succeeded)))
        }
      }
    }

    while true {
      let ticket = news.ticket
      let (finished, isOver, stopped, counted) = state.withLock { state in
        var taken: [Finished] = []
        swap(&taken, &state.finished)
        return (taken, state.pending == taken.count && (state.isFed || state.stop != nil), state.stop, state)
      }
      var due = finished
      if options.keepsOrder {
        for one in finished { held[one.sequence] = one }
        due = []
        while let next = held.removeValue(forKey: nextInOrder) {
          due.append(next)
          nextInOrder += 1
        }
      }
      // What has ended at once is written at once, but not so much that the first would wait for the last.
      for start in stride(from: 0, to: due.count, by: Self.groupLimit) {
        let group = due[start..<min(start + Self.groupLimit, due.count)]
        switch state.withLock({ $0.stop }) {
        case .brokenPipe, .cannotWrite: result.notRun += group.count
        default: settle(group)
        }
      }
      if !finished.isEmpty {
        state.withLock { $0.pending -= finished.count }
        room.unpark()
      }
      if let stopped, ending == nil {
        // On a thread of its own: it blocks until what runs has ended, and rows are due meanwhile.
        ending = try? OSThread(name: "heddle-stop") { [runner] in runner.shutdown(grace: stopped.grace) }
      }
      for output in options.printed() { progress.pass(output) }
      let now = MonotonicTime.now
      if now >= nextDraw {
        meter.setTotal((options.total ?? (counted.isFed ? counted.read : nil)).map { $0 - counted.skipped })
        progress.draw(RunProgress(meter.snapshot().0, skipped: counted.skipped))
        nextDraw = now + ProgressLine.interval
      }
      if isOver && finished.isEmpty { break }
      if finished.isEmpty { news.park(ticket: ticket, until: progress.isShown ? nextDraw : .distantFuture) }
    }
    progress.clear()
    if let ending { ending.join() } else { runner.shutdown(grace: nil) }
    for output in options.printed() { progress.pass(output) }
    let last = state.withLock { $0 }
    result.skipped = last.skipped
    result.stop = last.stop
    result.open = options.total.map { max(0, $0 - result.skipped - result.summary.succeeded - result.summary.failed) }
    return result
  }
}
