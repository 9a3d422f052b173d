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
  ///     the ones behind it, so this bounds the memory too. An executor with `maxPending` takes fewer where it is full: the map then
  ///     goes on as room comes, and never fails for want of it.
  ///   - options: for each of the jobs.
  /// - Returns: a sequence of outputs, and more: ``JobMap/results``, ``JobMap/progress``.
  public func map<S: Sequence>(
    _ jobs: S, order: MapOrder = .input, inFlight: Int? = nil, options: JobOptions = .standard
  ) -> JobMap<S, S.Element.Output> where S.Element: Job {
    let inFlight = inFlight ?? maxWorkers * 16
    guard let bounded = self as? any BoundedExecutor, let admission = bounded.admission(for: S.Element.self) else {
      return JobMap(source: jobs, order: order, inFlight: inFlight, workers: maxWorkers) { submit($0, options: options) }
    }
    return JobMap(
      source: jobs, order: order, inFlight: inFlight, workers: maxWorkers, admission: admission,
      mayWait: { !bounded.runsOnThisThread(S.Element.self) }
    ) { bounded.submitAdmitted($0, options: options) }
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
  let admission: Admission?
  let mayWait: () -> Bool

  /// A map over whatever `start` begins.
  ///
  /// - Parameters:
  ///   - admission: gives each item its place before `start` takes it; nil: there is always room.
  ///   - mayWait: whether the calling thread may wait for a place.
  package init(
    source: Source, order: MapOrder, inFlight: Int, workers: Int, admission: Admission? = nil, mayWait: @escaping () -> Bool = { true },
    start: @escaping (Source.Element) -> Future<Output>
  ) {
    self.admission = admission
    self.mayWait = mayWait
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
      guard !failed, let result = await flight.next() else { return nil }
      do { return try result.get() } catch {
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
        await flight.next()
      }
    }
  }
}
