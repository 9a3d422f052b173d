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

  @inline(__always) mutating func push(_ work: ThreadWork) {
    if count > mask { grow() }
    unsafe slots[tail & mask] = work
    tail &+= 1
  }
  /// The first, which is there.
  @inline(__always) mutating func pop() -> ThreadWork {
    precondition(!isEmpty, "nothing waits")
    let work = unsafe slots[head & mask]
    head &+= 1
    // One at a time always finds the same slot.
    if head == tail { (head, tail) = (0, 0) }
    return work
  }
  @inline(never) private mutating func grow() {
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
  /// One bit a priority: whether something waits there.
  ///
  /// A pop looks at no queue that is empty.
  private var filled: UInt8 = 0
  /// How much waits in all of them.
  private(set) var count: UInt32 = 0
  /// The one that most use first: it lies beside the bits.
  private var rings: InlineArray<3, WorkRing> = [WorkRing(), WorkRing(), WorkRing()]

  private static func index(_ priority: JobPriority) -> Int {
    switch priority {
    case .medium: 0
    case .high: 1
    case .low: 2
    }
  }
  /// Where the most urgent work lies, as long as something waits.
  private var first: Int? {
    if filled == 0 { return nil }
    if filled & 2 != 0 { return 1 }
    return filled & 1 != 0 ? 0 : 2
  }
  var isEmpty: Bool { count == 0 }

  @inline(__always) mutating func push(_ work: ThreadWork, _ priority: JobPriority = .medium) {
    let index = Self.index(priority)
    rings[index].push(work)
    filled |= 1 << UInt8(index)
    count &+= 1
  }
  @inline(__always) private mutating func noteTaken(_ share: Int, from index: Int) {
    count &-= UInt32(share)
    if rings[index].isEmpty { filled &= ~(1 << UInt8(index)) }
  }
  /// The first of those with the highest priority, as long as something waits.
  mutating func pop() -> ThreadWork? {
    guard let index = first else { return nil }
    defer { noteTaken(1, from: index) }
    return rings[index].pop()
  }
  /// A share of what waits with the highest priority: the first, and up to `limit` with it.
  ///
  /// A part of `shares`, so that a short queue is spread over the threads.
  @inline(__always) mutating func pop(upTo limit: Int, oneOf shares: Int, others: (inout WorkRing, Int) -> Void) -> ThreadWork? {
    guard let index = first else { return nil }
    let waiting = rings[index].count
    let share = waiting == 1 ? 1 : min(limit, waiting / shares + 1)
    defer { noteTaken(share, from: index) }
    let work = rings[index].pop()
    if share > 1 { others(&rings[index], share - 1) }
    return work
  }
}
