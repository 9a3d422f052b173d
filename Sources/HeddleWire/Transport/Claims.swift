import CHeddle
public import Synchronization

/// Who runs a job that lies in a worker's ring: the worker, or somebody else because the parent took it back.
///
/// Each side writes words of its own and reads the other's; neither needs an operation that reads and writes at once, so that a
/// worker in plain Python can take part. The argument is in Transport/README.md.
///
/// A worker's word for a position is the position plus one, once claimed. A parent's word is `(position + 1) << 2` with a verdict.
public enum Claims {
  /// Given up: the worker runs it.
  ///
  /// Next: `asked` for another position.
  @usableFromInline static var yours: UInt64 { 0 }
  /// The parent wants it back, and will decide at once.
  ///
  /// Next: `yours`, `taken`.
  @usableFromInline static var asked: UInt64 { 1 }
  /// The parent has it: the worker must pass it over.
  @usableFromInline static var taken: UInt64 { 2 }

  @inlinable static func startOffset(_ position: UInt64) -> Int {
    RegionLayout.starts + 8 * Int(position & UInt64(RegionLayout.capacity - 1))
  }
  @inlinable static func offset(_ position: UInt64) -> Int {
    RegionLayout.claims + 8 * Int(position & UInt64(RegionLayout.capacity - 1))
  }

  /// Worker: claims a job before it starts it.
  ///
  /// false: the parent took it back; pass it over.
  @inlinable public static func claim(_ position: UInt64, in memory: ChannelMemory) -> Bool {
    // The store and the load after it must not change places: both are sequentially consistent.
    unsafe memory.ownWord(offset(position)).pointee.store(position &+ 1, ordering: .sequentiallyConsistent)
    let verdict = unsafe memory.otherWord(offset(position)).pointee.load(ordering: .sequentiallyConsistent)
    if verdict >> 2 != position &+ 1 { return true }
    return awaitVerdict(position, in: memory)
  }
  @usableFromInline @inline(never) static func awaitVerdict(_ position: UInt64, in memory: ChannelMemory) -> Bool {
    var spins = 0
    while true {
      let verdict = unsafe memory.otherWord(offset(position)).pointee.load(ordering: .acquiring)
      if verdict & 3 != asked || verdict >> 2 != position &+ 1 { return verdict & 3 != taken || verdict >> 2 != position &+ 1 }
      // The parent decides some instructions after it asked, unless its thread lost the processor just there.
      spins += 1
      if spins > 100 { heddle_yield() } else { heddle_pause() }
    }
  }

  /// Parent: takes a job back.
  ///
  /// false: the worker had claimed it.
  public static func revoke(_ position: UInt64, in memory: ChannelMemory) -> Bool {
    let word = unsafe memory.ownWord(offset(position))
    unsafe word.pointee.store((position &+ 1) << 2 | asked, ordering: .sequentiallyConsistent)
    let lost = unsafe memory.otherWord(offset(position)).pointee.load(ordering: .sequentiallyConsistent) == position &+ 1
    unsafe word.pointee.store((position &+ 1) << 2 | (lost ? yours : taken), ordering: .releasing)
    return !lost
  }

  /// Parent: whether the worker says that it started this job.
  ///
  /// For one that died: whether this job is to blame.
  @inlinable public static func isClaimed(_ position: UInt64, in memory: ChannelMemory) -> Bool {
    unsafe memory.otherWord(offset(position)).pointee.load(ordering: .acquiring) == position &+ 1
  }
}

extension ChannelMemory {
  /// Worker: says when the job at `position` begins; before it is claimed.
  @inlinable public func tellStart(_ position: UInt64, nanoseconds: UInt64) {
    unsafe ownWord(Claims.startOffset(position)).pointee.store(nanoseconds, ordering: .relaxed)
  }
  /// Parent: when the worker says that the claimed job at `position` began.
  public func start(of position: UInt64) -> UInt64 {
    unsafe otherWord(Claims.startOffset(position)).pointee.load(ordering: .relaxed)
  }
}
