import HeddleSystem
import Synchronization

/// How many batches hold something, so that nobody need look at each of a thousand that are empty.
final class FilledCount: Sendable {
  private let count = Atomic<Int>(0)
  var isZero: Bool { count.load(ordering: .sequentiallyConsistent) == 0 }
  func add(_ change: Int) { count.wrappingAdd(change, ordering: .sequentiallyConsistent) }
}

/// What a thread took in advance.
final class ThreadBatch: Sendable {
  private let work = Locked(WorkRing())
  /// Changed under the lock of `work`.
  private let filled: FilledCount
  /// What lies here, for those who look without the lock.
  private let count = Atomic<Int>(0)

  /// Its thread has slept since it looked for work last; the thread's own.
  private let hasSlept = Atomic<Bool>(false)

  init(_ filled: FilledCount) { self.filled = filled }

  func noteSleep() { hasSlept.store(true, ordering: .relaxed) }
  func takeHasSlept() -> Bool {
    defer { hasSlept.store(false, ordering: .relaxed) }
    return hasSlept.load(ordering: .relaxed)
  }
  var size: Int { count.load(ordering: .sequentiallyConsistent) }
  @inline(never) func fill(from queue: inout WorkRing, _ share: Int) {
    work.withLock { work in
      if work.isEmpty { filled.add(1) }
      for _ in 0..<share { work.push(queue.pop()) }
      count.store(work.count, ordering: .sequentiallyConsistent)
    }
  }
  func pop() -> ThreadWork? {
    guard count.load(ordering: .sequentiallyConsistent) > 0 else { return nil }
    return work.withLock { work in
      guard !work.isEmpty else { return nil }
      defer {
        count.store(work.count, ordering: .relaxed)
        if work.isEmpty { filled.add(-1) }
      }
      return work.pop()
    }
  }
}
