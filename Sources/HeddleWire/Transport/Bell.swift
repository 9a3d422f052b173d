import CHeddle
import Synchronization

/// When to ring: at most once for every time that the other side went to sleep.
public struct Bell: Sendable {
  @usableFromInline var answered: UInt64 = 0
  /// One that has not been rung.
  public init() {}

  /// Whether a side whose word (`parked` or `wantsRoom`) reads `sleep` still has to be rung for.
  @inlinable public mutating func shouldRing(sleep: UInt64) -> Bool {
    guard sleep != 0 && sleep != answered else { return false }
    answered = sleep
    return true
  }
}

// A worker may sleep on a word of the shared memory: the kernel wakes it in half the time that a byte through a socket takes, which
// is most of what a job costs after a pause. Its parent cannot, since it waits for much else.
extension ChannelMemory {
  /// Parent: rings for a worker that sleeps on the word.
  public func ring() {
    let word = unsafe ownWord(RegionLayout.bell)
    unsafe word.pointee.add(1, ordering: .sequentiallyConsistent)
    unsafe heddle_shared_futex_wake(Self.low(word))
  }
  /// Worker: how often it was rung; to be read before it says that it sleeps.
  public var bellCount: UInt32 {
    unsafe UInt32(truncatingIfNeeded: otherWord(RegionLayout.bell).pointee.load(ordering: .sequentiallyConsistent))
  }
  /// Worker: sleeps until it has been rung more often than that.
  ///
  /// May wake early. Blocks.
  public func awaitBell(after count: UInt32) { unsafe heddle_shared_futex_wait(Self.low(otherWord(RegionLayout.bell)), count) }

  /// The half of a word that counts; both of the platforms have it in front.
  @unsafe private static func low(_ word: Word) -> UnsafePointer<UInt32> {
    unsafe UnsafeRawPointer(word).assumingMemoryBound(to: UInt32.self)
  }
}
