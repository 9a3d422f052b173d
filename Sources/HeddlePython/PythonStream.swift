import Heddle
import HeddleSystem
import HeddleWire

/// What a generator yields, while it runs; see ``PythonExecutor/stream(_:buffer:options:)``.
public struct PythonStream<Element: Decodable & Sendable>: AsyncSequence, Sendable {
  /// What is thrown: see `stream`.
  public typealias Failure = any Error
  let begin: @Sendable () -> StreamBuffer<Element>

  /// Calls the generator.
  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(reader: StreamReader(begin())) }

  /// Yields what the generator yields.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let reader: StreamReader<Element>

    /// The next value; nil after the last.
    ///
    /// - Throws: what the generator raised, after that nil; `CancellationError` where the task is cancelled.
    public mutating func next() async throws -> Element? { try await reader.buffer.next() }
    /// The next value; nil after the last.
    public mutating func next(isolation actor: isolated (any Actor)?) async throws -> Element? { try await reader.buffer.next() }
  }
}

/// Held by the iterator alone: when it goes, the generator is closed.
final class StreamReader<Element: Decodable & Sendable>: Sendable {
  let buffer: StreamBuffer<Element>
  init(_ buffer: StreamBuffer<Element>) { self.buffer = buffer }
  deinit { buffer.close() }
}

/// Where the values of one stream go as they come.
protocol StreamSink: AnyObject, Sendable {
  /// A value has come.
  ///
  /// Several threads may bring them, in any order.
  func take(_ payload: PythonPayload, index: UInt64)
  /// The call has ended.
  ///
  /// - Parameter count: How many values there are; nil: nobody knows, its worker has gone.
  func end(count: UInt64?, failure: (any Error)?)
}

/// The values of one stream that have come and are not taken yet, put in their order.
final class StreamBuffer<Element: Decodable & Sendable>: StreamSink {
  private struct State {
    var pieces: [UInt64: PythonPayload] = [:]
    /// Which is taken next.
    var next: UInt64 = 0
    /// Up to where the worker may send.
    var limit: UInt64
    var end: (count: UInt64?, failure: (any Error)?)?
    var isClosed = false
    var waiter: CheckedContinuation<Void, Never>?
    /// Sends credit; once there is a call.
    var grant: (@Sendable (UInt64) -> Void)?
    /// Is told what no honest worker can have sent.
    var accuse: (@Sendable (String) -> Void)?
  }
  private let state: Locked<State>
  private let target: String
  let window: UInt64

  init(target: String, window: UInt64) {
    self.target = target
    self.window = window
    state = Locked(State(limit: window))
  }
  /// What sends credit from here on, and what is told of a worker that cannot be honest.
  func attach(_ grant: @escaping @Sendable (UInt64) -> Void, accuse: @escaping @Sendable (String) -> Void) {
    state.withLock { state in
      state.grant = grant
      state.accuse = accuse
    }
  }

  // MARK: The reader

  private enum Step {
    case piece(PythonPayload, credit: UInt64?)
    case over
    case failed(any Error)
    case waits
  }
  nonisolated(nonsending) func next() async throws -> Element? {
    while true {
      let (step, grant, accuse) = state.withLock { state in (self.step(&state), state.grant, state.accuse) }
      switch step {
      case .piece(let payload, let credit):
        if let credit { grant?(credit) }
        do { return try MarshalDecoder().decode(Element.self, from: payload) { accuse?($0) } } catch {
          close()
          throw JobError(
            code: .notDecodable,
            message: "\(target) gave a value that is no \(Element.self): \(error). Use PythonValue to take whatever comes.")
        }
      case .over: return nil
      case .failed(let error): throw error
      case .waits:
        if Task.isCancelled {
          close()
          throw CancellationError()
        }
        await withTaskCancellationHandler {
          await withCheckedContinuation { continuation in
            let isDue = state.withLock { state in
              if state.isClosed || state.end != nil || state.pieces[state.next] != nil { return true }
              state.waiter = continuation
              return false
            }
            if isDue { continuation.resume() }
          }
        } onCancel: {
          close()
        }
        try Task.checkCancellation()
      }
    }
  }
  private func step(_ state: inout State) -> Step {
    if state.isClosed { return .over }
    if let payload = state.pieces.removeValue(forKey: state.next) {
      state.next += 1
      // Half a window at once: a credit costs a bell.
      guard state.next + window >= state.limit + max(1, window / 2), state.end == nil else { return .piece(payload, credit: nil) }
      state.limit = state.next + window
      return .piece(payload, credit: state.limit)
    }
    guard let end = state.end, state.next >= end.count ?? 0 else { return .waits }
    state.isClosed = true
    return end.failure.map { .failed($0) } ?? .over
  }
  /// Nobody wants more.
  func close() {
    let (waiter, grant) = state.withLock { state in
      let isOver = state.isClosed || state.end != nil
      state.isClosed = true
      state.pieces = [:]
      defer { state.waiter = nil }
      return (state.waiter, isOver ? nil : state.grant)
    }
    grant?(StreamCredit.closed)
    waiter?.resume()
  }

  // MARK: The worker's side

  func take(_ payload: PythonPayload, index: UInt64) {
    let (waiter, grant) = state.withLock { state -> (CheckedContinuation<Void, Never>?, (@Sendable (UInt64) -> Void)?) in
      // The call was taken back from the worker that was told, and runs elsewhere.
      if state.isClosed { return (nil, state.end == nil ? state.grant : nil) }
      state.pieces[index] = payload
      guard index == state.next else { return (nil, nil) }
      defer { state.waiter = nil }
      return (state.waiter, nil)
    }
    grant?(StreamCredit.closed)
    waiter?.resume()
  }
  func end(count: UInt64?, failure: (any Error)?) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      guard state.end == nil else { return nil }
      state.end = (count, failure)
      state.grant = nil
      state.accuse = nil
      defer { state.waiter = nil }
      return state.waiter
    }
    waiter?.resume()
  }
}

/// The streams of an executor that are open: who takes the values of which future, and which credit word is whose.
final class StreamTable: Sendable {
  private struct State {
    var sinks: [ObjectIdentifier: any StreamSink] = [:]
    var free = Array((0..<RegionLayout.creditCapacity).reversed())
    var last: UInt64 = 0
  }
  private let state = Locked(State())

  /// A place for a stream, and its number; nil: there are too many.
  func open(_ future: AnyFuture, _ sink: any StreamSink) -> (slot: Int, stream: UInt64)? {
    state.withLock { state in
      guard let slot = state.free.popLast() else { return nil }
      state.sinks[ObjectIdentifier(future)] = sink
      state.last = state.last % (StreamCredit.streamCount - 1) + 1
      return (slot, state.last)
    }
  }
  func sink(of future: AnyFuture) -> (any StreamSink)? { state.withLock { $0.sinks[ObjectIdentifier(future)] } }
  func close(_ future: AnyFuture, slot: Int) {
    state.withLock { state in
      state.sinks[ObjectIdentifier(future)] = nil
      state.free.append(slot)
    }
  }
}

/// Hands the values of streams to those who read them; ends the future with their number.
final class StreamReceiver: PythonResultReceiver {
  typealias Output = UInt64
  private let target: String
  private let table: StreamTable
  let definition: [UInt8]
  var takesSeveral: Bool { true }

  init(target: String, table: StreamTable) {
    self.target = target
    self.table = table
    definition = Array("stream\0\(target)".utf8)
  }
  func receive(_ future: AnyFuture, _ answer: WorkerAnswer, decoder: MessageDecoder) {
    // SAFETY: the pool hands back the future that was submitted with this receiver's type.
    let future = unsafe unsafeDowncast(future, to: Future<UInt64>.self)
    let sink = table.sink(of: future)
    if let error = answer.wantOfMemory(target) {
      sink?.end(count: nil, failure: error)
      // What it would still send goes nowhere.
      return future.fail(with: error)
    }
    guard let answer = PythonAnswer(answer, decoder) else {
      sink?.end(count: nil, failure: JobError.garbled(target))
      return future.fail(with: JobError.garbled(target))
    }
    if !answer.isLast {
      sink?.take(answer.payload, index: answer.extra)
      return
    }
    do {
      _ = try answer.value(of: target)
      sink?.end(count: answer.extra, failure: nil)
      future.succeed(answer.extra)
    } catch {
      sink?.end(count: answer.extra, failure: error is DecodingError ? JobError.garbled(target) : error)
      future.fail(with: error)
    }
  }
}

extension PythonEngine {
  /// Submits the call of a stream, whose values go to `buffer`.
  func start<Element>(_ buffer: StreamBuffer<Element>, _ call: PythonCall<Element>, _ options: JobOptions) {
    let receiver = StreamReceiver(target: call.target, table: streams)
    let future = submit(target: call.target, options: options, receiver: receiver) { [streams] future, pool in
      guard let (slot, stream) = streams.open(future, buffer) else {
        throw JobError(
          code: .queueFull, message: "\(RegionLayout.creditCapacity) streams of this executor are open; read them to their end first.")
      }
      future.onCompletion { _ in streams.close(future, slot: slot) }
      buffer.attach { limit in
        pool.grant(StreamCredit(stream: stream, limit: limit), at: slot, orDrop: future)
      } accuse: { [weak future] sentence in
        if let future { pool.accuse(sentence, of: future) }
      }
      return try call.encodedArguments(ticket: [UInt64(slot), stream, buffer.window])
    }
    future.onCompletion { result in
      if case .failure(let error) = result { buffer.end(count: nil, failure: error) }
    }
  }
}

extension ProcessPool {
  /// Sends a credit to whoever runs the stream of a future; where nobody wants more of it and it waits, it is cancelled.
  fileprivate func grant(_ credit: StreamCredit, at slot: Int, orDrop future: Future<UInt64>) {
    guard !grant(credit, at: slot, to: future), credit.limit == StreamCredit.closed else { return }
    // Where it has just been sent to a worker that cannot be stopped for it, that worker is told.
    if !future.cancel() { _ = grant(credit, at: slot, to: future) }
  }
}
