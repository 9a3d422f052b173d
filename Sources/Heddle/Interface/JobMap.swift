import HeddleSystem

/// In which order a map yields.
public enum MapOrder: Sendable, Hashable {
  /// As the items came in.
  case input
  /// As soon as each has ended.
  case completion
}

extension JobExecutor {
  /// Runs many jobs and yields their outputs, lazily and bounded: a job is taken from `jobs` only when there is room for it.
  ///
  /// ```swift
  /// for try await thumbnail in pool.map(paths.lazy.map { Thumbnail(path: $0) }) { … }
  /// for await result in pool.map(jobs).results { … }     // one failure does not end it
  /// ```
  ///
  /// Nothing starts before the sequence is iterated. When the iteration is left early, what is in flight is cancelled.
  ///
  /// - Parameters:
  ///   - jobs: read as needed; may be infinite.
  ///   - order: in which order outputs come.
  ///   - inFlight: how many jobs are submitted and not yet yielded, at most; nil: 16 a worker. With `.input` order one slow item holds up
  ///     the ones behind it, so this bounds the memory too.
  ///   - options: for each of the jobs.
  /// - Returns: a sequence of outputs, and more: ``JobMap/results``, ``JobMap/progress``.
  public func map<S: Sequence>(
    _ jobs: S, order: MapOrder = .input, inFlight: Int? = nil, options: JobOptions = .standard
  ) -> JobMap<S, S.Element.Output> where S.Element: Job {
    JobMap(source: jobs, order: order, inFlight: inFlight ?? maxWorkers * 16, workers: maxWorkers) { submit($0, options: options) }
  }
}

/// The outputs of ``JobExecutor/map(_:order:inFlight:options:)``.
///
/// The first failure is thrown and ends it.
public struct JobMap<Source: Sequence, Output: Sendable>: AsyncSequence {
  /// What one item gives.
  public typealias Element = Output

  let source: Source
  let order: MapOrder
  let inFlight: Int
  let start: (Source.Element) -> Future<Output>
  let meter: MapMeter

  /// A map over whatever `start` begins.
  package init(source: Source, order: MapOrder, inFlight: Int, workers: Int, start: @escaping (Source.Element) -> Future<Output>) {
    self.source = source
    self.order = order
    self.inFlight = Swift.max(1, inFlight)
    self.start = start
    // Only a collection knows how many it holds.
    meter = MapMeter(total: (source as? any Collection).map { $0.count }, workers: workers)
  }

  /// The same items, each with a `Result`, so that a failure does not end the sequence.
  public var results: Results { Results(map: self) }
  /// How far the map is: values that follow it while it is iterated elsewhere.
  ///
  /// See ``MapProgress``.
  public var progress: MapProgress.Updates { MapProgress.Updates(meter: meter) }

  /// Starts to take items.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(flight: MapFlight(self)) }

  /// Yields outputs.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let flight: MapFlight<Source, Output>
    var failed = false

    /// The next output; nil after the last.
    ///
    /// - Throws: what the item's job threw, or its ``JobError``; after that the sequence has ended.
    public mutating func next() async throws -> Output? { try await next(isolation: nil) }
    /// The next output; nil after the last.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Output? {
      guard !failed, let future = await flight.next() else { return nil }
      do { return try future.outcome() } catch {
        failed = true
        flight.cancelAll()
        throw error
      }
    }
  }

  /// The items' outcomes.
  public struct Results: AsyncSequence {
    /// An item's output, or why it has none.
    public typealias Element = Result<Output, any Error>
    /// Nothing is thrown.
    public typealias Failure = Never
    let map: JobMap

    /// Starts to take items.
    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(flight: MapFlight(map)) }

    /// Yields outcomes.
    public struct AsyncIterator: AsyncIteratorProtocol {
      let flight: MapFlight<Source, Output>

      /// The next outcome; nil after the last.
      public mutating func next() async -> Result<Output, any Error>? { await next(isolation: nil) }
      /// The next outcome; nil after the last.
      public mutating func next(isolation actor: isolated (any Actor)?) async -> Result<Output, any Error>? {
        guard let future = await flight.next() else { return nil }
        return Result { try future.outcome() }
      }
    }
  }
}

/// The jobs of a map that are submitted and not yet yielded.
///
/// Owned by one iterator; when that goes, they are cancelled.
final class MapFlight<Source: Sequence, Output: Sendable> {
  private var source: Source.Iterator
  private let order: MapOrder
  private let limit: Int
  private let start: (Source.Element) -> Future<Output>
  private let meter: MapMeter
  /// By order of submission, from `head` on; with `.completion` order only those that may still have to be cancelled.
  private var queue: [Future<Output>?] = []
  private var head = 0
  private var flying = 0
  private let mailbox = Mailbox<Future<Output>>()
  private var isExhausted = false

  init(_ map: JobMap<Source, Output>) {
    source = map.source.makeIterator()
    order = map.order
    limit = map.inFlight
    start = map.start
    meter = map.meter
  }
  deinit {
    if flying > 0 || !isExhausted { meter.end() } else { meter.exhaust() }
    cancelAll()
  }

  /// The next future that has ended; nil: all have.
  nonisolated(nonsending) func next() async -> Future<Output>? {
    fill()
    guard flying > 0 else {
      meter.exhaust()
      return nil
    }
    let future: Future<Output>
    switch order {
    case .input:
      future = queue[head]!
      queue[head] = nil  // what was yielded is the reader's; a lazy map of large items must not keep it
      head += 1
      if head == 256 {
        queue.removeFirst(head)
        head = 0
      }
      if !future.isDone { await future.park() }
    case .completion:
      future = await takeAny()
    }
    flying -= 1
    return future
  }
  /// Waits for any, and forgets it: it need not be cancelled any more.
  private nonisolated(nonsending) func takeAny() async -> Future<Output> {
    let future = await mailbox.take()
    if let index = queue.firstIndex(where: { $0 === future }) { queue.remove(at: index) }
    return future
  }
  private func fill() {
    while flying < limit && !isExhausted {
      guard let item = source.next() else {
        isExhausted = true
        meter.setTotal()
        return
      }
      let future = start(item)
      flying += 1
      queue.append(future)
      meter.watch(future)
      if order == .completion { mailbox.receive(future) }
    }
  }
  func cancelAll() {
    if flying > 0 { meter.end() }
    for future in queue { future?.cancel() }
    queue = []
    head = 0
    flying = 0
    isExhausted = true
  }
}
