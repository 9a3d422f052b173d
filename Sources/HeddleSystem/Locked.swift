public import CHeddle
public import Synchronization

// SAFETY: `state` is only reached inside `withLock`, which holds `word`; both live as long as this owner.
/// A lock and what it guards, as one piece of memory: who takes the lock has what it guards in its cache.
///
/// For critical sections of some instructions: it spins before it sleeps.
///
/// No user code, continuation or blocking call may run inside `withLock`. `Synchronization.Mutex` hands over in the kernel
/// on Linux, which costs microseconds when a submitter and a worker thread meet; this one costs one exchange each way.
@safe public struct Locked<State: ~Copyable>: ~Copyable, @unchecked Sendable {
  /// The word, the tally, and behind them the state.
  @usableFromInline let memory: UnsafeMutableRawPointer
  @inlinable var word: UnsafeMutablePointer<Atomic<UInt32>> { unsafe memory.assumingMemoryBound(to: Atomic<UInt32>.self) }
  @inlinable var state: UnsafeMutablePointer<State> { unsafe (memory + Self.stateOffset).assumingMemoryBound(to: State.self) }
  @inlinable var tallyWord: UnsafeMutablePointer<Atomic<UInt32>> { unsafe word + 1 }
  @inlinable static var stateOffset: Int { max(2 * MemoryLayout<Atomic<UInt32>>.size, MemoryLayout<State>.alignment) }

  /// Free.
  ///
  /// Next: `held`.
  @usableFromInline static var free: UInt32 { 0 }
  /// Held, and nobody sleeps.
  ///
  /// Next: `free`, `contended`.
  @usableFromInline static var held: UInt32 { 1 }
  /// Held, and somebody may sleep.
  ///
  /// Next: `free`.
  @usableFromInline static var contended: UInt32 { 2 }
  /// How often a thread looks before it sleeps; a critical section is shorter than that many pauses.
  @usableFromInline static var spinLimit: Int { 100 }

  /// A free lock around `initial`.
  ///
  /// - Parameter alignment: where the memory begins, for who orders the state by lines of memory: 8 bytes of lock and tally, then the state.
  @inlinable public init(_ initial: consuming State, alignment: Int = MemoryLayout<UInt>.alignment) {
    let byteCount = Self.stateOffset + MemoryLayout<State>.size
    unsafe memory = .allocate(byteCount: byteCount, alignment: max(alignment, MemoryLayout<State>.alignment))
    unsafe word.initialize(to: Atomic(Self.free))
    unsafe tallyWord.initialize(to: Atomic(0))
    unsafe state.initialize(to: initial)
  }
  deinit {
    unsafe word.deinitialize(count: 2)
    unsafe state.deinitialize(count: 1)
    unsafe memory.deallocate()
  }

  /// A number about the state that anybody may read without the lock, and only who holds the lock may write; 0 at first.
  ///
  /// It lies beside the lock: who changes the state has it already.
  @inlinable public var tally: UInt32 {
    @inline(__always) get { unsafe tallyWord.pointee.load(ordering: .sequentiallyConsistent) }
    @inline(__always) nonmutating set { unsafe tallyWord.pointee.store(newValue, ordering: .relaxed) }
  }
  /// Runs `body` with the lock held.
  @inlinable @inline(__always)
  public func withLock<Result: ~Copyable, Failure: Error>(_ body: (inout State) throws(Failure) -> Result) throws(Failure) -> Result {
    lock()
    defer { unlock() }
    return unsafe try body(&state.pointee)
  }
  /// Runs `body` unless the lock is held: then nil, at once.
  @inlinable @inline(__always)
  public func withLockIfFree<Result>(_ body: (inout State) -> Result) -> Result? {
    guard tryLock() else { return nil }
    defer { unlock() }
    return unsafe body(&state.pointee)
  }

  @inlinable @inline(__always) func tryLock() -> Bool {
    unsafe word.pointee.compareExchange(
      expected: Self.free, desired: Self.held, successOrdering: .acquiring, failureOrdering: .relaxed
    )
    .exchanged
  }
  @inlinable @inline(__always) func lock() { if !tryLock() { lockSlowly() } }
  @inlinable @inline(__always) func unlock() {
    if unsafe word.pointee.exchange(Self.free, ordering: .releasing) == Self.contended { wakeOne() }
  }
  @usableFromInline @inline(never) func lockSlowly() {
    for _ in 0..<Self.spinLimit {
      if unsafe word.pointee.load(ordering: .relaxed) == Self.free && tryLock() { return }
      heddle_pause()
    }
    while unsafe word.pointee.exchange(Self.contended, ordering: .acquiring) != Self.free {
      unsafe heddle_futex_wait(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), Self.contended, .max)
    }
  }
  @usableFromInline @inline(never) func wakeOne() {
    unsafe heddle_futex_wake(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), 1)
  }
}

// SAFETY: only atomic operations reach the word, which lives as long as this owner.
/// A counter that threads sleep on: whoever read it before the news came does not sleep.
@safe public struct Parker: ~Copyable, @unchecked Sendable {
  @usableFromInline let word: UnsafeMutablePointer<Atomic<UInt32>>

  /// A counter that nobody sleeps on.
  public init() {
    unsafe word = .allocate(capacity: 1)
    unsafe word.initialize(to: Atomic(0))
  }
  deinit { unsafe word.deinitialize(count: 1).deallocate() }

  /// To be read before the last look at what one waits for.
  @inlinable public var ticket: UInt32 { unsafe word.pointee.load(ordering: .sequentiallyConsistent) }
  /// Sleeps unless the counter has moved since `ticket`; at most until `deadline`.
  ///
  /// May wake early. Blocks.
  public func park(ticket: UInt32, until deadline: MonotonicTime = .distantFuture) {
    var span = UInt64.max
    if deadline != .distantFuture {
      let now = MonotonicTime.now
      guard now < deadline else { return }
      span = deadline.nanoseconds - now.nanoseconds
    }
    unsafe heddle_futex_wait(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), ticket, span)
  }
  /// Moves the counter and wakes up to `count` sleepers.
  @inlinable public func unpark(_ count: Int32 = .max) {
    unsafe word.pointee.add(1, ordering: .sequentiallyConsistent)
    unsafe heddle_futex_wake(UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self), count)
  }
}
