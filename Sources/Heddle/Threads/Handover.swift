import Synchronization

/// The word over which the thread that searches for work is handed a future, past the queue and its lock.
///
/// Where submitter and thread run on two processors, each line of memory that both touch costs its way from one to the other. Queue,
/// slot, lock and count are four; this is one. Why no work and no wake-up is lost: Threads/README.md.
struct Handover: ~Copyable, Sendable {
  /// One of the four states; a pointer is the last.
  private let word = Atomic<UInt>(Self.nobody)

  /// Nobody searches.
  ///
  /// Next: `searching`, `closed`.
  private static var nobody: UInt { 0 }
  /// A thread searches and was given nothing yet.
  ///
  /// Next: a future, `nobody`, `closed`.
  private static var searching: UInt { 1 }
  /// Nobody searches, ever.
  private static var closed: UInt { 2 }
  /// Above: a future that a thread was given, retained.
  ///
  /// Next: `nobody`, `closed`.
  private static func isFuture(_ word: UInt) -> Bool { word > closed }

  /// Whether a thread searches that was given nothing yet.
  var isWanted: Bool { word.load(ordering: .relaxed) == Self.searching }
  /// Whether a thread searches that has not looked for work since: it will, so nobody need be woken.
  var isSearching: Bool {
    let word = word.load(ordering: .sequentiallyConsistent)
    return word != Self.nobody && word != Self.closed
  }
  /// Whether a future was given that nobody has taken yet.
  var isUntaken: Bool { Self.isFuture(word.load(ordering: .relaxed)) }

  /// For who submits: gives the searcher a future.
  ///
  /// false: nobody wants one.
  @inline(__always) func give(_ future: Unmanaged<AnyFuture>) -> Bool {
    let bits = unsafe UInt(bitPattern: future.toOpaque())
    return isWanted && word.compareExchange(expected: Self.searching, desired: bits, ordering: .sequentiallyConsistent).exchanged
  }
  /// For a thread: begins to search, unless another does.
  @inline(__always) func begin() -> Bool {
    word.load(ordering: .relaxed) == Self.nobody
      && word.compareExchange(expected: Self.nobody, desired: Self.searching, ordering: .sequentiallyConsistent).exchanged
  }
  /// For the thread that searched: ends that, and takes what it was given.
  func end() -> Unmanaged<AnyFuture>? { unsafe replace(with: Self.nobody) { $0 != Self.closed } }
  /// For any other thread: takes what the searcher was given, who may have lost its processor.
  @inline(__always) func take() -> Unmanaged<AnyFuture>? { isUntaken ? unsafe replace(with: Self.nobody, where: Self.isFuture) : nil }
  /// From here on nobody is given anything; returns what was given and not taken.
  func close() -> Unmanaged<AnyFuture>? { unsafe replace(with: Self.closed) { _ in true } }

  @inline(never) private func replace(with new: UInt, where matches: (UInt) -> Bool) -> Unmanaged<AnyFuture>? {
    var old = word.load(ordering: .relaxed)
    while matches(old) {
      let (exchanged, now) = word.compareExchange(expected: old, desired: new, ordering: .sequentiallyConsistent)
      if exchanged { return Self.isFuture(old) ? unsafe .fromOpaque(UnsafeRawPointer(bitPattern: old)!) : nil }
      old = now
    }
    return nil
  }
}
