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
  /// Jobs that take less than about 0.2 ms travel together, as many as make that up: see `chunk`. What a job is to others stays its own
  /// all the same: its output or error, the crash that it causes, its place in the order.
  ///
  /// - Parameters:
  ///   - jobs: read as needed; may be infinite.
  ///   - order: in which order outputs come.
  ///   - inFlight: how many jobs are submitted and not yet yielded, at most; nil: 16 a worker, or four chunks. With `.input` order one slow
  ///     item holds up the ones behind it, so this bounds the memory too. An executor with `maxPending` takes fewer where it is full: the
  ///     map then goes on as room comes, and never fails for want of it.
  ///   - chunk: how many jobs go together, as far as `inFlight` allows; nil: as their cost says. Jobs go one by one where their options
  ///     differ from the standard or the executor has to count them (`maxPending`, `jobsPerWorker`, a handler of what they print), and in place.
  ///   - options: for each of the jobs.
  /// - Returns: a sequence of outputs, and more: ``JobMap/results``, ``JobMap/progress``.
  @inlinable public func map<S: Sequence>(
    _ jobs: S, order: MapOrder = .input, inFlight: Int? = nil, chunk: Int? = nil, options: JobOptions = .standard
  ) -> JobMap<S, S.Element.Output> where S.Element: Job {
    var map = unchunkedMap(jobs, order: order, inFlight: inFlight, options: options)
    guard let way = chunkWay(for: S.Element.self, options: options) else { return map }
    switch way {
    case .threads(let pool):
      // Here and not inside: this is compiled with the jobs' own type, and a job of some nanoseconds is run without a detour.
      map.startUnit = { jobs in
        let chunk = MapChunk<S.Element.Output>(of: jobs.count, in: pool.source) { @concurrent chunk in
          var piece = ChunkPiece<S.Element.Output>()
          piece.values.reserveCapacity(jobs.count)
          for job in jobs {
            if piece.count & 15 == 0 && chunk.isToldToStop {
              piece.fail(CancellationError())
              continue
            }
            do { piece.succeed(try await job.run()) } catch { piece.fail(error) }
          }
          return piece
        }
        pool.enter(chunk)
        return (.chunk(chunk), jobs.count)
      }
    case .processes(let pool):
      map.startUnit = { pool.startUnit($0) }
    }
    map.chunk = chunk
    return map
  }
  @usableFromInline func unchunkedMap<S: Sequence>(
    _ jobs: S, order: MapOrder, inFlight: Int?, options: JobOptions
  ) -> JobMap<S, S.Element.Output> where S.Element: Job {
    guard let bounded = self as? any BoundedExecutor, let admission = bounded.admission(for: S.Element.self) else {
      return JobMap(source: jobs, order: order, inFlight: inFlight, workers: maxWorkers) { submit($0, options: options) }
    }
    return JobMap(
      source: jobs, order: order, inFlight: inFlight, workers: maxWorkers, admission: admission,
      mayWait: { !bounded.runsOnThisThread(S.Element.self) }
    ) { bounded.submitAdmitted($0, options: options) }
  }
  @usableFromInline func chunkWay(for job: any Job.Type, options: JobOptions) -> ChunkWay? {
    options.areStandard ? (self as? any ChunkingExecutor)?.chunkWay(for: job) : nil
  }
}

/// An executor that takes several items of a map as one piece of work.
protocol ChunkingExecutor: JobExecutor {
  /// How it does that; nil: it has to see each job of that type.
  func chunkWay(for job: any Job.Type) -> ChunkWay?
}
@usableFromInline enum ChunkWay {
  case threads(ThreadPoolExecutor)
  case processes(ProcessPoolExecutor)
}
/// What a map submits at once.
@usableFromInline enum MapUnit<Output: Sendable> {
  case item(Future<Output>)
  case chunk(MapChunk<Output>)

  var future: AnyFuture {
    switch self {
    case .item(let future): future
    case .chunk(let chunk): chunk
    }
  }
}

/// The outputs of ``JobExecutor/map(_:order:inFlight:chunk:options:)``.
///
/// The first failure is thrown and ends it.
public struct JobMap<Source: Sequence, Output: Sendable>: AsyncSequence {
  /// What one item gives.
  public typealias Element = Output

  @usableFromInline let source: Source
  let order: MapOrder
  /// nil: by the number of workers and the size of chunks.
  let inFlight: Int?
  let workers: Int
  let start: (Source.Element) -> Future<Output>
  /// Starts the first few of some items together, and says how many; nil: each goes alone.
  @usableFromInline var startUnit: ((ArraySlice<Source.Element>) -> (MapUnit<Output>, Int))?
  @usableFromInline var chunk: Int?
  let meter: MapMeter
  let admission: Admission?
  let mayWait: () -> Bool
  /// How many items there are, where the source knows.
  @usableFromInline let total: Int?

  /// A map over whatever `start` begins.
  ///
  /// - Parameters:
  ///   - admission: gives each item its place before `start` takes it; nil: there is always room.
  ///   - mayWait: whether the calling thread may wait for a place.
  package init(
    source: Source, order: MapOrder, inFlight: Int?, workers: Int, admission: Admission? = nil, mayWait: @escaping () -> Bool = { true },
    start: @escaping (Source.Element) -> Future<Output>
  ) {
    self.admission = admission
    self.mayWait = mayWait
    self.source = source
    self.order = order
    self.inFlight = inFlight.map { Swift.max(1, $0) }
    self.workers = workers
    self.start = start
    // Only a collection knows how many it holds.
    total = (source as? any Collection).map { $0.count }
    meter = MapMeter(total: total, workers: workers)
  }

  /// The same items, each with a `Result`, so that a failure does not end the sequence.
  public var results: Results { Results(map: self) }
  /// All outputs, in the order of the map.
  ///
  /// For very many items that take nanoseconds this is faster than a loop, whose every turn costs some ten of them.
  ///
  /// - Throws: the first failure; what is in flight is cancelled then.
  @inlinable public func collect() async throws -> [Output] {
    var outputs: [Output] = []
    if let total { outputs.reserveCapacity(total) }
    var iterator = makeAsyncIterator()
    while let output = try await iterator.next() {
      outputs.append(output)
      iterator.shelf.takeAll(into: &outputs)
    }
    return outputs
  }
  /// How far the map is: values that follow it while it is iterated elsewhere.
  ///
  /// See ``MapProgress``.
  public var progress: MapProgress.Updates { MapProgress.Updates(meter: meter) }

  /// Takes up to so many items from the source; compiled with the source's own type.
  @usableFromInline typealias Gather = (Int) -> [Source.Element]
  @inlinable func makeGather() -> Gather {
    var iterator = source.makeIterator()
    return { limit in
      // A captured variable is checked at each access: here once in and once out.
      var current = iterator
      defer { iterator = current }
      // SAFETY: the places from 0 to `count` are initialized, each once. (To append would ask for each item whether the array has room and is ours.)
      return unsafe [Source.Element](unsafeUninitializedCapacity: limit) { places, count in
        while count < limit, let item = current.next() {
          unsafe (places.baseAddress! + count).initialize(to: item)
          count += 1
        }
      }
    }
  }

  /// Starts to take items.
  @inlinable public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(flight: MapFlight(self, makeGather())) }

  /// Yields outputs.
  public struct AsyncIterator: AsyncIteratorProtocol {
    @usableFromInline let flight: MapFlight<Source, Output>
    @usableFromInline var shelf = MapShelf<Output>()
    @usableFromInline var failed = false

    @usableFromInline init(flight: MapFlight<Source, Output>) { self.flight = flight }

    /// The next output; nil after the last.
    ///
    /// - Throws: what the item's job threw, or its ``JobError``; after that the sequence has ended.
    @inlinable public mutating func next() async throws -> Output? {
      if let output = shelf.pop() { return output }
      return try await more()
    }
    /// The next output; nil after the last.
    @inlinable public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Output? {
      if let output = shelf.pop() { return output }
      return try await more()
    }
    @usableFromInline nonisolated(nonsending) mutating func more() async throws -> Output? {
      guard !failed, let result = await flight.next(&shelf) else { return nil }
      do { return try result.get() } catch {
        failed = true
        shelf = MapShelf()
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
    @usableFromInline let map: JobMap

    /// Starts to take items.
    @inlinable public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(flight: MapFlight(map, map.makeGather())) }

    /// Yields outcomes.
    public struct AsyncIterator: AsyncIteratorProtocol {
      @usableFromInline let flight: MapFlight<Source, Output>
      @usableFromInline var shelf = MapShelf<Output>()

      @usableFromInline init(flight: MapFlight<Source, Output>) { self.flight = flight }

      /// The next outcome; nil after the last.
      @inlinable public mutating func next() async -> Result<Output, any Error>? {
        if let output = shelf.pop() { return .success(output) }
        return await flight.next(&shelf)
      }
      /// The next outcome; nil after the last.
      @inlinable public mutating func next(isolation actor: isolated (any Actor)?) async -> Result<Output, any Error>? {
        if let output = shelf.pop() { return .success(output) }
        return await flight.next(&shelf)
      }
    }
  }
}
