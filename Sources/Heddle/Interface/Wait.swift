import HeddleSystem
import Synchronization

/// When a wait for several futures is over.
public enum WaitCondition: Sendable, Hashable {
  /// All have ended.
  case allCompleted
  /// One has ended.
  case firstCompleted
  /// One has failed or was cancelled, or all have ended.
  case firstFailure
}

/// Waits for several futures, of one executor or of many.
///
/// - Parameters:
///   - futures: what to wait for. With `[AnyFuture]` their outputs may differ.
///   - condition: when the wait is over.
///   - timeout: how long to wait at most; nil: for ever. The jobs go on.
/// - Returns: those that have ended and those that have not, each in the order given. Inside a job of a thread pool a wait that could
///   never end, because it is for the job itself, returns at once.
public nonisolated(nonsending) func wait<F: AnyFuture>(
  for futures: [F], until condition: WaitCondition = .allCompleted, timeout: Duration? = nil
) async -> (done: [F], pending: [F]) {
  if timeout == nil && condition == .allCompleted {
    for future in futures where !future.hasEnded { if await future.park() != nil { return split(futures) } }
    return (futures, [])
  }
  let latch = Future<Void>(in: nil)
  let left = Counter(futures.count)
  for future in futures {
    // The latch is held by the waiters, so a wait that timed out leaves some words with each pending future until it ends.
    let ended: @Sendable () -> Void = { [unowned future] in
      let isLast = left.decrement() == 0
      let failed = future.state != .succeeded
      if isLast || condition == .firstCompleted || condition == .firstFailure && failed { latch.succeed(()) }
    }
    if !future.notify(ended) { ended() }
  }
  if futures.isEmpty { latch.succeed(()) }
  var timer: Task<Void, Never>?
  if let timeout {
    timer = Task {
      try? await Task.sleep(for: timeout)
      latch.succeed(())
    }
  }
  if !latch.hasEnded {
    for future in futures where !latch.hasEnded { future.source?.help(future) }
    let permits = futures.map { $0.hasEnded ? .granted : $0.source?.beginWait(for: $0) ?? .granted }
    let refused = permits.count { if case .refused = $0 { true } else { false } }
    // Inside a job of a thread pool what waits for the job itself does not end while it waits; in a forked child nothing does.
    let wouldHang = refused > 0 && (condition == .allCompleted || refused == futures.count)
    if !wouldHang || timeout != nil { await latch.park() }
    for (future, permit) in zip(futures, permits) { if case .noted = permit { future.source?.endWait(for: future) } }
  }
  timer?.cancel()
  return split(futures)
}
private func split<F: AnyFuture>(_ futures: [F]) -> (done: [F], pending: [F]) {
  var done: [F] = []
  var pending: [F] = []
  for future in futures { if future.hasEnded { done.append(future) } else { pending.append(future) } }
  return (done, pending)
}

/// The futures, each as soon as it has ended.
///
/// ```swift
/// for await future in completions(of: futures) { print(try await future.value) }
/// ```
///
/// - Parameter futures: of one executor or of many.
/// - Returns: a sequence that yields each of them once and then ends.
public func completions<F: AnyFuture>(of futures: [F]) -> Completions<F> { Completions(futures: futures) }

/// The futures of ``completions(of:)``.
public struct Completions<F: AnyFuture>: AsyncSequence, Sendable {
  /// A future that has ended.
  public typealias Element = F
  /// Nothing is thrown.
  public typealias Failure = Never
  let futures: [F]

  /// Yields each future once.
  public struct AsyncIterator: AsyncIteratorProtocol {
    let mailbox: Mailbox<F>
    let futures: [F]
    var left: Int

    /// The next that has ended; nil after the last.
    public mutating func next() async -> F? { await next(isolation: nil) }
    /// The next that has ended; nil after the last.
    public mutating func next(isolation actor: isolated (any Actor)?) async -> F? {
      guard left > 0 else { return nil }
      left -= 1
      mailbox.help(futures)
      return await mailbox.take()
    }
  }
  /// Starts to listen.
  public func makeAsyncIterator() -> AsyncIterator {
    let mailbox = Mailbox<F>()
    for future in futures { mailbox.receive(future) }
    return AsyncIterator(mailbox: mailbox, futures: futures, left: futures.count)
  }
}

/// Counts down from several threads.
final class Counter: Sendable {
  private let count: Atomic<Int>
  init(_ count: Int) { self.count = Atomic(count) }
  func decrement() -> Int { count.subtract(1, ordering: .acquiringAndReleasing).newValue }
}

/// Futures that have ended, in that order, for one reader.
final class Mailbox<F: AnyFuture>: Sendable {
  @safe private struct State {
    var ended: [F] = []
    var taken = 0
    /// Resumed once, by who puts the next.
    var reader: UnsafeContinuation<Void, Never>?
    /// Called once, by who puts the next.
    var notice: (@Sendable () -> Void)?
  }
  private let state = Locked<State>(State())

  /// Whether nothing lies here.
  var isEmpty: Bool { state.withLock { $0.taken == $0.ended.count } }
  /// Calls `body` once something lies here; only the last one asked for is kept.
  func whenNotEmpty(_ body: @escaping @Sendable () -> Void) {
    let isThere = state.withLock { state in
      if state.taken < state.ended.count { return true }
      state.notice = body
      return false
    }
    if isThere { body() }
  }

  /// Listens to a future.
  func receive(_ future: F) {
    let ended: @Sendable () -> Void = { [self] in put(future) }
    if !future.notify(ended) { ended() }
  }
  /// Inside a job of a thread pool: runs one of the pool's jobs that are waited for, since the thread would sleep.
  func help<S: Sequence>(_ futures: S) where S.Element == F {
    guard WorkerThread.current != nil, isEmpty else { return }
    for future in futures where !future.hasEnded {
      future.source?.help(future)
      if !isEmpty { return }
    }
  }
  private func put(_ future: F) {
    let (reader, notice) = unsafe state.withLock { state in
      state.ended.append(future)
      defer {
        unsafe state.reader = nil
        state.notice = nil
      }
      return unsafe (state.reader, state.notice)
    }
    notice?()
    unsafe reader?.resume()
  }
  private func takeNow() -> F? {
    state.withLock { state in
      guard state.taken < state.ended.count else { return nil }
      let future = state.ended[state.taken]
      state.taken += 1
      if state.taken == 256 {
        state.ended.removeFirst(256)
        state.taken = 0
      }
      return future
    }
  }
  /// The next that has ended.
  nonisolated(nonsending) func take() async -> F {
    while true {
      if let future = takeNow() { return future }
      unsafe await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
        let isThere = state.withLock { state in
          if state.taken < state.ended.count { return true }
          unsafe state.reader = unsafe continuation
          return false
        }
        if isThere { unsafe continuation.resume() }
      }
    }
  }
}
