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
  private let admission: Admission?
  private let mayWait: () -> Bool
  /// Taken from the source, but the executor was full.
  private var held: Source.Element?
  /// A place that was waited for, for `held`.
  private var hasPlace = false

  init(_ map: JobMap<Source, Output>) {
    source = map.source.makeIterator()
    order = map.order
    limit = map.inFlight
    start = map.start
    meter = map.meter
    admission = map.admission
    mayWait = map.mayWait
  }
  deinit {
    if flying == 0 { isExhausted ? meter.exhaust() : meter.end() }
    cancelAll()
  }

  /// What the next item gave; nil: all have been yielded.
  nonisolated(nonsending) func next() async -> Result<Output, any Error>? {
    // A job of the very pool that is full must not wait for room: it runs its own items instead, below.
    while fill() == .isFull && !hasNext && mayWait() { await roomOrNext() }
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
      if !future.isDone, let refusal = await future.park() {
        // Its end would never come here: it is not waited for, and it need not run.
        flying -= 1
        future.cancel()
        return .failure(refusal)
      }
    case .completion:
      future = await takeAny()
    }
    flying -= 1
    return Result { try future.outcome() }
  }
  /// Whether the next one has ended.
  private var hasNext: Bool {
    switch order {
    case .input: flying > 0 && queue[head]!.isDone
    case .completion: !mailbox.isEmpty
    }
  }
  /// The executor is full: waits for a place for the next item, or for the next outcome.
  private nonisolated(nonsending) func roomOrNext() async {
    guard let admission else { return }
    let latch = Future<Void>(in: nil)
    guard let ticket = admission.request({ latch.succeed(()) }) else {
      hasPlace = true
      return
    }
    switch order {
    case .input: if flying > 0, !queue[head]!.addWaiter({ latch.succeed(()) }) { latch.succeed(()) }
    case .completion: mailbox.whenNotEmpty { latch.succeed(()) }
    }
    if !latch.isDone { await latch.park() }
    hasPlace = !admission.withdraw(ticket)
  }
  /// Waits for any, and forgets it: it need not be cancelled any more.
  private nonisolated(nonsending) func takeAny() async -> Future<Output> {
    mailbox.help(queue.lazy.compactMap { $0 })
    let future = await mailbox.take()
    if let index = queue.firstIndex(where: { $0 === future }) { queue.remove(at: index) }
    return future
  }
  private enum Filled { case toTheLimit, isFull }
  /// Starts items as far as there is room for them.
  private func fill() -> Filled {
    while flying < limit && !isExhausted {
      guard let item = held ?? source.next() else {
        isExhausted = true
        meter.setTotal()
        break
      }
      guard takePlace() else {
        held = item
        return .isFull
      }
      held = nil
      let future = start(item)
      flying += 1
      queue.append(future)
      meter.watch(future)
      if order == .completion { mailbox.receive(future) }
    }
    return .toTheLimit
  }
  private func takePlace() -> Bool {
    guard let admission, !hasPlace else {
      hasPlace = false
      return true
    }
    if admission.enter() { return true }
    // A job of the very pool that is full: what it waited for might wait for its thread. One item at a time goes in anyway.
    guard flying == 0 && !mayWait() else { return false }
    admission.enterAnyway()
    return true
  }
  func cancelAll() {
    if flying > 0 { meter.end() }
    for future in queue { future?.cancel() }
    queue = []
    head = 0
    flying = 0
    isExhausted = true
    held = nil
    if hasPlace { admission?.leave() }
    hasPlace = false
  }
}
