/// What waits for a thread.
@safe enum ThreadWork {
  /// A job or a closure.
  case future(Unmanaged<AnyFuture>)
  /// A step of a Swift task that prefers this executor.
  case step(UnownedJob)
}

/// A queue of work that grows: a ring of a power of two.
///
/// Its first words, one slot and nothing else are what a push and a pop touch: after a pause each line of memory is fetched anew.
// SAFETY: the slots from `head` to `tail` hold work, which is plain words; only the owner reaches them.
@safe struct WorkRing: ~Copyable {
  private var slots: UnsafeMutablePointer<ThreadWork>
  private var mask: Int
  private var head = 0
  private var tail = 0

  init() {
    unsafe slots = .allocate(capacity: 64)
    mask = 63
  }
  deinit { unsafe slots.deallocate() }

  var count: Int { tail &- head }
  var isEmpty: Bool { head == tail }

  mutating func push(_ work: ThreadWork) {
    if count > mask { grow() }
    unsafe slots[tail & mask] = work
    tail &+= 1
  }
  /// The first, which is there.
  mutating func pop() -> ThreadWork {
    precondition(!isEmpty, "nothing waits")
    let work = unsafe slots[head & mask]
    head &+= 1
    // One at a time always finds the same slot.
    if head == tail { (head, tail) = (0, 0) }
    return work
  }
  private mutating func grow() {
    let larger = UnsafeMutablePointer<ThreadWork>.allocate(capacity: 2 * (mask + 1))
    let largerMask = 2 * mask + 1
    for index in head..<tail { unsafe larger[index & largerMask] = slots[index & mask] }
    unsafe slots.deallocate()
    unsafe slots = larger
    mask = largerMask
  }
}

/// One first-in first-out queue a priority.
struct WorkQueues: ~Copyable {
  private var rings: InlineArray<3, WorkRing> = [WorkRing(), WorkRing(), WorkRing()]

  var count: Int { rings[0].count + rings[1].count + rings[2].count }
  var isEmpty: Bool { rings[0].isEmpty && rings[1].isEmpty && rings[2].isEmpty }

  mutating func push(_ work: ThreadWork, _ priority: JobPriority = .medium) { rings[priority.rawValue].push(work) }
  /// The first of those with the highest priority, as long as something waits.
  mutating func pop() -> ThreadWork? {
    for priority in stride(from: 2, through: 0, by: -1) where !rings[priority].isEmpty { return rings[priority].pop() }
    return nil
  }
  /// A share of what waits with the highest priority: the first, and up to `limit` with it.
  ///
  /// A part of `shares`, so that a short queue is spread over the threads.
  mutating func pop(upTo limit: Int, oneOf shares: Int, others: (inout WorkRing, Int) -> Void) -> (first: ThreadWork, count: Int)? {
    var priority = 2
    while rings[priority].isEmpty {
      if priority == 0 { return nil }
      priority -= 1
    }
    let waiting = rings[priority].count
    let share = waiting == 1 ? 1 : min(limit, waiting / shares + 1)
    let first = rings[priority].pop()
    if share > 1 { others(&rings[priority], share - 1) }
    return (first, share)
  }
}
