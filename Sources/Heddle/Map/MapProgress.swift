import HeddleSystem

/// How far a map is, at one moment.
///
/// ```swift
/// let thumbnails = pool.map(jobs)
/// let progress = thumbnails.progress
/// Task { for await p in progress { print(p.done, p.failed, p.remaining ?? "?") } }
/// for try await thumbnail in thumbnails { … }
/// ```
public struct MapProgress: Sendable, Hashable {
  /// Items that have ended, well or not.
  public var done: Int
  /// Of those, the ones that failed or were cancelled.
  public var failed: Int
  /// Items that run now, as far as one can tell: no more than the executor has workers.
  public var running: Int
  /// Items that are known and do not run yet; with an unknown total only those submitted.
  public var waiting: Int
  /// All items; nil while the source has not been read to its end and does not say.
  public var total: Int?
  /// Since the first item was submitted.
  public var elapsed: Duration
  /// Items a second: over the whole run, with the last seconds weighing most.
  ///
  /// 0 until one has ended.
  public var rate: Double
  /// What is left at that rate; nil while it cannot be said.
  public var remaining: Duration?
  /// Whether the map is over.
  ///
  /// The last value says so.
  public var isFinished: Bool

  /// The values of a map's progress.
  ///
  /// Several may follow one map.
  public struct Updates: AsyncSequence, Sendable {
    /// One moment.
    public typealias Element = MapProgress
    /// Nothing is thrown.
    public typealias Failure = Never
    let meter: MapMeter
    var interval = Duration.milliseconds(100)

    /// The same with another pace.
    ///
    /// - Parameter interval: the least time between two values; the default is 100 ms.
    public func every(_ interval: Duration) -> Updates { Updates(meter: meter, interval: interval) }
    /// Starts to follow.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(meter: meter, interval: interval) }

    /// Yields a value now, then after each change but no sooner than the interval, and a last one at the end.
    public struct AsyncIterator: AsyncIteratorProtocol {
      let meter: MapMeter
      let interval: Duration
      var seen: Int?
      var isOver = false

      /// The next value; nil after the last.
      public mutating func next() async -> MapProgress? { await next(isolation: nil) }
      /// The next value; nil after the last.
      public mutating func next(isolation actor: isolated (any Actor)?) async -> MapProgress? {
        if isOver || Task.isCancelled { return nil }
        if let seen {
          try? await Task.sleep(for: interval)
          await meter.change(after: seen)
        }
        let (progress, change) = meter.snapshot()
        seen = change
        isOver = progress.isFinished
        return progress
      }
    }
  }
}

/// Counts a map's items.
///
/// Iterators write, readers of the progress read; `heddle map` counts its rows with one too.
package final class MapMeter: Sendable {
  @safe private struct State {
    var submitted = 0
    var done = 0
    var failed = 0
    var total: Int?
    var begin: MonotonicTime?
    var rate = RateEstimate()
    var isFinished = false
    /// All items were yielded; a future is done some instructions before it is counted here.
    var isExhausted = false
    /// Counts every change, so that a reader can wait for the next.
    var change = 0
    var readers: [UnsafeContinuation<Void, Never>] = unsafe []
  }
  private let workers: Int
  private let state: Locked<State>

  package init(total: Int?, workers: Int) {
    self.workers = workers
    unsafe state = Locked<State>(State(total: total))
  }

  /// Counts an item once it has ended.
  func watch(_ future: AnyFuture) {
    let ended: @Sendable () -> Void = { [self, unowned future] in itemsEnded(1, failed: future.state == .succeeded ? 0 : 1) }
    if !future.notify(ended) { ended() }
  }
  /// Counts the items of a chunk once it has ended.
  func watch<Output>(chunk: MapChunk<Output>) {
    let ended: @Sendable () -> Void = { [self, unowned chunk] in
      let (count, failed) = chunk.counts
      itemsEnded(count, failed: failed)
    }
    if !chunk.notify(ended) { ended() }
  }
  package func itemSubmitted() { itemsSubmitted(1) }
  func itemsSubmitted(_ count: Int) {
    let now = MonotonicTime.now
    change { state in
      state.submitted += count
      if state.begin == nil { state.begin = now }
    }
  }
  package func itemEnded(failed: Bool) { itemsEnded(1, failed: failed ? 1 : 0) }
  private func itemsEnded(_ count: Int, failed: Int) {
    let now = MonotonicTime.now
    change { state in
      state.done += count
      state.failed += failed
      if state.isExhausted && state.done == state.submitted { state.isFinished = true }
      if let begin = state.begin { state.rate.itemsEnded(count, at: (now - begin).seconds) }
    }
  }
  /// The source is read to its end, and so many of its items are still to be submitted: now the total is known.
  func setTotal(after count: Int) { change { $0.total = $0.submitted + count } }
  package func setTotal(_ total: Int?) { change { $0.total = total } }
  /// The iteration was left early.
  func end() { change { $0.isFinished = true } }
  /// All items were yielded: over once the last is counted.
  func exhaust() {
    change { state in
      state.isExhausted = true
      if state.done == state.submitted { state.isFinished = true }
    }
  }

  private func change(_ body: (inout State) -> Void) {
    let readers = unsafe state.withLock { state in
      body(&state)
      state.change += 1
      defer { unsafe state.readers = [] }
      return unsafe state.readers
    }
    unsafe readers.forEach { reader in unsafe reader.resume() }
  }
  /// Returns once something has changed since, or the task is cancelled.
  nonisolated(nonsending) func change(after seen: Int) async {
    await withTaskCancellationHandler {
      await nextChange(after: seen)
    } onCancel: {
      change { _ in }
    }
  }
  private nonisolated(nonsending) func nextChange(after seen: Int) async {
    unsafe await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
      let isDue = state.withLock { state in
        if state.change != seen || state.isFinished { return true }
        unsafe state.readers.append(continuation)
        return false
      }
      if isDue { unsafe continuation.resume() }
    }
  }
  package func snapshot() -> (MapProgress, change: Int) {
    let now = MonotonicTime.now
    return state.withLock { state in
      let flying = state.submitted - state.done
      let running = min(flying, workers)
      let known = max(state.total ?? state.submitted, state.submitted)
      let elapsed = state.begin.map { now - $0 } ?? .zero
      let rate = state.rate.itemsPerSecond(at: elapsed.seconds, done: state.done)
      let left = state.total.map { max(0, $0 - state.done) }
      return (
        MapProgress(
          done: state.done, failed: state.failed, running: running, waiting: known - state.done - running, total: state.total,
          elapsed: elapsed, rate: rate, remaining: left.flatMap { rate > 0 ? .seconds(Double($0) / rate) : nil },
          isFinished: state.isFinished),
        state.change
      )
    }
  }
}

/// Items a second, smoothed over about ten seconds.
///
/// Times are seconds since the first item was submitted.
struct RateEstimate {
  private static let timeConstant = 10.0
  private var weighted = 0.0
  private var last = 0.0

  mutating func itemsEnded(_ count: Int, at time: Double) {
    decay(to: time)
    weighted += Double(count)
  }
  private mutating func decay(to time: Double) {
    guard time > last else { return }
    weighted *= exponential(-(time - last) / Self.timeConstant)
    last = time
  }
  func itemsPerSecond(at time: Double, done: Int) -> Double {
    guard done > 0, time > 0 else { return 0 }
    var now = self
    now.decay(to: time)
    // The window is still filling at first: divide by what it covers.
    let covered = Self.timeConstant * (1 - exponential(-time / Self.timeConstant))
    return covered > 0 ? now.weighted / covered : 0
  }
  /// e to the power `x`, x ≤ 0, good to a thousandth; the core imports no mathematics library.
  private func exponential(_ x: Double) -> Double {
    if x < -20 { return 0 }
    // (1 + x/1024)^1024 by ten squarings.
    var y = 1 + x / 1024
    for _ in 0..<10 { y *= y }
    return y
  }
}
