/// The jobs of a map that are submitted and not yet yielded.
///
/// Owned by one iterator; when that goes, they are cancelled.
@usableFromInline final class MapFlight<Source: Sequence, Output: Sendable> {
  /// What was submitted at once.
  private struct Entry {
    var unit: MapUnit<Output>
    /// Its items, for those behind one that costs its chunk the worker.
    var items: ArraySlice<Source.Element>
  }
  private let gather: JobMap<Source, Output>.Gather
  private let order: MapOrder
  private let limit: Int?
  private let workers: Int
  private let start: (Source.Element) -> Future<Output>
  private let startUnit: ((ArraySlice<Source.Element>) -> (MapUnit<Output>, Int))?
  private let meter: MapMeter
  /// By order of submission.
  private var queue = MapLine<Entry>()
  /// Items that are submitted, or wait to be because they were gathered or lay behind a death, and not yet handed to the reader.
  private var flying = 0
  private var size: ChunkSize
  /// Items of the source that have not been gathered, where it knows.
  private var rest: Int?
  private let mailbox = Mailbox<AnyFuture>()
  private var isExhausted = false
  private let admission: Admission?
  private let mayWait: () -> Bool
  /// Taken from the source, but the executor was full.
  private var held: Source.Element?
  /// A place that was waited for, for `held`.
  private var hasPlace = false

  @usableFromInline init(_ map: JobMap<Source, Output>, _ gather: @escaping JobMap<Source, Output>.Gather) {
    self.gather = gather
    order = map.order
    limit = map.inFlight
    workers = map.workers
    start = map.start
    startUnit = map.startUnit
    size = ChunkSize(fixed: map.startUnit == nil ? 1 : map.chunk)
    rest = map.total
    meter = map.meter
    admission = map.admission
    mayWait = map.mayWait
  }
  deinit {
    if flying == 0 { isExhausted ? meter.exhaust() : meter.end() }
    cancelAll()
  }

  /// What the next item gave; nil: all have been yielded.
  ///
  /// What else came with it is put on the shelf, which is empty.
  @usableFromInline nonisolated(nonsending) func next(_ shelf: inout MapShelf<Output>) async -> Result<Output, any Error>? {
    while true {
      if let outcome = shelf.next() { return outcome }
      // A job of the very pool that is full must not wait for room: it runs its own items instead, below.
      while fill() == .isFull && !hasNext && mayWait() { await roomOrNext() }
      guard flying > 0 else {
        meter.exhaust()
        return nil
      }
      let entry: Entry
      switch order {
      case .input:
        entry = queue.popFirst()!
        let future = entry.unit.future
        if !future.hasEnded, let refusal = await future.park() {
          // Its end would never come here: it is not waited for, and it need not run.
          let count = max(1, entry.items.count)
          flying -= count
          future.cancel()
          shelf.fill([.failed(0..<count, refusal)], then: nil)
          continue
        }
      case .completion: entry = await takeAny()
      }
      switch entry.unit {
      case .item(let future):
        flying -= 1
        return Result { try future.outcome() }
      case .chunk(let chunk): take(chunk, entry.items, &shelf)
      }
    }
  }
  /// Hands over what a chunk gave; items behind one that cost it the worker go to another.
  private func take(_ chunk: MapChunk<Output>, _ items: ArraySlice<Source.Element>, _ shelf: inout MapShelf<Output>) {
    let (pieces, failure) = chunk.outcomes()
    let ended = pieces.reduce(failure == nil ? 0 : 1) { $0 + $1.count }
    if chunk.nanoseconds > 0 { size.ended(chunk.count, nanoseconds: chunk.nanoseconds) }
    flying -= ended
    shelf.fill(pieces, then: failure)
    if ended < items.count { submit(items.dropFirst(ended), isFront: true) }
  }
  /// Whether the next one has ended.
  private var hasNext: Bool {
    switch order {
    case .input: queue.first?.unit.future.hasEnded ?? false
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
    case .input: if let first = queue.first?.unit.future, !first.notify({ latch.succeed(()) }) { latch.succeed(()) }
    case .completion: mailbox.whenNotEmpty { latch.succeed(()) }
    }
    if !latch.hasEnded { await latch.park() }
    hasPlace = !admission.withdraw(ticket)
  }
  /// Waits for any, and forgets it: it need not be cancelled any more.
  private nonisolated(nonsending) func takeAny() async -> Entry {
    mailbox.help(queue.elements.lazy.map(\.unit.future))
    let future = await mailbox.take()
    return queue.remove { $0.unit.future === future }!
  }

  // MARK: Items go in

  private enum Filled { case toTheLimit, isFull }
  /// Starts items as far as there is room for them.
  private func fill() -> Filled {
    while !isExhausted {
      let count = nextCount
      guard flying + count <= room(for: count) else { break }
      let items = held.map { [$0] } ?? gather(count)
      held = nil
      rest = rest.map { max(0, $0 - items.count) }
      if items.count < count {
        isExhausted = true
        meter.setTotal(after: items.count)
        if items.isEmpty { break }
      }
      guard takePlace() else {
        held = items[0]
        isExhausted = false
        return .isFull
      }
      flying += items.count
      meter.itemsSubmitted(items.count)
      submit(items[...], isFront: false)
    }
    return .toTheLimit
  }
  /// How many items go together next.
  private var nextCount: Int {
    guard startUnit != nil else { return 1 }
    var count = size.count
    // The end is shared out evenly, and a window that the caller wants small still has work for each.
    if let rest, !size.isFixed { count = min(count, max(1, rest / (2 * workers))) }
    if let limit { count = min(count, max(1, limit / (2 * workers))) }
    return count
  }
  /// How many items may be on the way, where chunks are of that size.
  private func room(for count: Int) -> Int { limit ?? max(16 * workers, 4 * workers * count) }

  private func submit(_ items: ArraySlice<Source.Element>, isFront: Bool) {
    var items = items
    var entries: [Entry] = []
    while !items.isEmpty {
      if let startUnit {
        let (unit, count) = startUnit(items)
        if case .chunk(let chunk) = unit { meter.watch(chunk: chunk) } else { meter.watch(unit.future) }
        entries.append(Entry(unit: unit, items: items.prefix(count)))
        items = items.dropFirst(count)
      } else {
        let future = start(items.removeFirst())
        meter.watch(future)
        entries.append(Entry(unit: .item(future), items: []))
      }
    }
    queue.insert(entries, isFront: isFront)
    if order == .completion { for entry in entries { mailbox.receive(entry.unit.future) } }
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
    for entry in queue.elements { entry.unit.future.cancel() }
    queue = MapLine()
    flying = 0
    isExhausted = true
    held = nil
    if hasPlace { admission?.leave() }
    hasPlace = false
  }
}

/// What a map has submitted, first in first out.
///
/// What was taken out is not kept: it is the reader's.
private struct MapLine<Element> {
  private var slots: [Element?] = []
  private var head = 0

  var first: Element? { head < slots.count ? slots[head] : nil }
  var elements: some Sequence<Element> { slots[head...].lazy.compactMap { $0 } }

  mutating func insert(_ elements: [Element], isFront: Bool) {
    if isFront { slots.replaceSubrange(..<head, with: elements.map(Optional.some)) } else { slots += elements.map(Optional.some) }
    if isFront { head = 0 }
  }
  mutating func popFirst() -> Element? {
    guard head < slots.count else { return nil }
    let element = slots[head].take()
    head += 1
    // The front is cut off now and then, so that an element is moved a bounded number of times.
    if head >= 256 && head * 2 >= slots.count {
      slots.removeFirst(head)
      head = 0
    }
    return element
  }
  mutating func remove(where isWanted: (Element) -> Bool) -> Element? {
    guard let index = slots[head...].firstIndex(where: { $0.map(isWanted) ?? false }) else { return nil }
    return slots.remove(at: index)
  }
}
