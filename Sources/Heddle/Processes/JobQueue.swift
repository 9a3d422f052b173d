import HeddleSystem
import HeddleWire

/// What rides along with a job that is not standard.
///
/// Shared by all places that hold the job, changed only under the pool's lock.
// SAFETY: every access is under the core lock of the job's pool.
final class JobExtras: @unchecked Sendable {
  let options: JobOptions
  /// Which run comes next, from 1.
  var attempt = 1
  /// Further runs that are left, for each cause.
  var budget: RetryPolicy
  init(_ options: JobOptions) {
    self.options = options
    budget = options.retry
  }
}

/// A payload that is not in the queue's own store: too large for a frame, or copied out of a ring.
// SAFETY: written by `init` only; segments keep their memory alive.
@safe final class OwnedPayload: @unchecked Sendable {
  let bytes: UnsafeRawBufferPointer
  let segments: [Segment]
  /// Memory that the worker gets with it.
  let memories: [SealedMemory]

  init(copying source: UnsafeRawBufferPointer, segments: [Segment] = [], memories: [SealedMemory] = []) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(source.count, 1), alignment: 16)
    if let base = source.baseAddress { unsafe copy.baseAddress!.copyMemory(from: base, byteCount: source.count) }
    unsafe bytes = unsafe UnsafeRawBufferPointer(start: copy.baseAddress, count: source.count)
    self.segments = segments
    self.memories = memories
  }
  deinit { unsafe bytes.deallocate() }

  /// Whether it fits one frame.
  var isSmall: Bool { unsafe segments.isEmpty && bytes.count <= Frame.payloadLimit }
  /// The most that it takes in a ring, with the headers of its parts.
  var ringByteCount: Int {
    let parts = 2 * (segments.count + 1) + shape.totalByteCount / (Frame.payloadLimit / 2)
    return shape.totalByteCount + Frame.byteCount(payload: shape.encoded.count * 8) + 32 * parts
  }
  var shape: MessageShape { unsafe MessageShape(mainByteCount: bytes.count, segmentByteCounts: segments.map { unsafe $0.bytes.count }) }
}

/// A job that is encoded and waits.
@safe struct QueuedJob {
  var future: Unmanaged<AnyFuture>
  /// nil: the payload is the next one in the queue's store.
  var payload: OwnedPayload?
  /// nil: standard options, first attempt.
  var extras: JobExtras?
  /// Of the payload, where that is in the store.
  var byteCount: UInt32
  var type: UInt32
}

/// The waiting jobs of a pool: by priority, then in order of submission; what came back from a worker goes first.
@safe struct JobQueue: ~Copyable {
  /// What came back, by priority from low to high; each the next one last.
  private var returned: [[QueuedJob]] = [[], [], []]
  private var returnedCount = 0
  private let high = Line()
  private let medium = Line()
  private let low = Line()
  private(set) var count = 0

  var isEmpty: Bool { count == 0 }

  mutating func push(_ job: consuming QueuedJob, _ bytes: UnsafeRawBufferPointer, priority: JobPriority) {
    switch priority {
    case .high: unsafe high.push(job, bytes)
    case .medium: unsafe medium.push(job, bytes)
    case .low: unsafe low.push(job, bytes)
    }
    count += 1
  }
  /// Puts jobs before all others of their priority, in their order.
  ///
  /// Each has an owned payload.
  mutating func putBack(_ jobs: [QueuedJob]) {
    for job in jobs.reversed() { returned[(job.extras?.options.priority ?? .medium).rawValue].append(job) }
    count += jobs.count
    returnedCount += jobs.count
  }
  /// Calls `body` with the next job and its bytes, and takes it out unless `body` answers false.
  @inline(__always) mutating func withNext(_ body: (borrowing QueuedJob, UnsafeRawBufferPointer) -> Bool) {
    if returnedCount > 0, let priority = [2, 1, 0].first(where: { !returned[$0].isEmpty }), line(above: priority) == nil {
      let job = returned[priority].last!
      if unsafe body(job, job.payload!.bytes) {
        returned[priority].removeLast()
        returnedCount -= 1
        count -= 1
      }
      return
    }
    if let line = line(above: -1), unsafe line.withNext(body) { count -= 1 }
  }
  /// The first line that holds anything, of a higher priority than that.
  @inline(__always) private func line(above priority: Int) -> Line? {
    if !high.isEmpty && priority < JobPriority.high.rawValue { return high }
    if !medium.isEmpty && priority < JobPriority.medium.rawValue { return medium }
    return !low.isEmpty && priority < JobPriority.low.rawValue ? low : nil
  }
  /// Takes out the next ones as far as their futures have ended.
  ///
  /// Returns how many that were.
  mutating func dropEndedFront() -> Int {
    var dropped = 0
    var isOpen = false
    while count > 0 && !isOpen {
      unsafe withNext { job, _ in
        isOpen = unsafe job.future._withUnsafeGuaranteedRef { $0.isOpen }
        if !isOpen { unsafe job.future.release() }
        return !isOpen
      }
      if !isOpen { dropped += 1 }
    }
    return dropped
  }
  mutating func removeAll() -> [QueuedJob] {
    var jobs: [QueuedJob] = []
    while count > 0 {
      unsafe withNext { job, _ in
        jobs.append(copy job)
        return true
      }
    }
    return jobs
  }

  /// One priority: jobs in a ring, their bytes one after another in a store.
  @safe private final class Line {
    // SAFETY: places `head..<tail` (modulo the capacity) are initialised; only this object has the pointer.
    @exclusivity(unchecked) private var jobs = UnsafeMutablePointer<QueuedJob>.allocate(capacity: 256)
    @exclusivity(unchecked) private var capacity = 256
    @exclusivity(unchecked) private var head = 0
    @exclusivity(unchecked) private var tail = 0
    private let store = ByteStore()

    deinit {
      while !isEmpty { drop() }
      unsafe jobs.deallocate()
    }
    var isEmpty: Bool { unsafe head == tail }

    func push(_ job: consuming QueuedJob, _ bytes: UnsafeRawBufferPointer) {
      if unsafe tail &- head == capacity { grow() }
      if job.payload == nil { unsafe store.append(bytes) }
      unsafe (jobs + (tail & (capacity &- 1))).initialize(to: job)
      unsafe tail &+= 1
    }
    @inline(__always) func withNext(_ body: (borrowing QueuedJob, UnsafeRawBufferPointer) -> Bool) -> Bool {
      let slot = unsafe jobs + (head & (capacity &- 1))
      let isStored = unsafe slot.pointee.payload == nil
      let count = unsafe Int(slot.pointee.byteCount)
      guard unsafe body(slot.pointee, isStored ? store.first(count) : slot.pointee.payload!.bytes) else { return false }
      if isStored { store.removeFirst(count) }
      drop()
      return true
    }
    private func drop() {
      unsafe (jobs + (head & (capacity &- 1))).deinitialize(count: 1)
      unsafe head &+= 1
    }
    private func grow() {
      let larger = unsafe UnsafeMutablePointer<QueuedJob>.allocate(capacity: capacity * 2)
      for index in unsafe head..<tail {
        unsafe (larger + (index & (capacity * 2 - 1))).moveInitialize(from: jobs + (index & (capacity - 1)), count: 1)
      }
      unsafe jobs.deallocate()
      unsafe jobs = unsafe larger
      unsafe capacity *= 2
    }
  }
}

/// Bytes, first in first out.
@safe final class ByteStore {
  @exclusivity(unchecked) private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 14, alignment: 16)
  @exclusivity(unchecked) private var start = 0
  @exclusivity(unchecked) private var end = 0

  deinit { unsafe memory.deallocate() }

  func append(_ bytes: UnsafeRawBufferPointer) {
    let size = padded(bytes.count)
    if unsafe end + size > memory.count { makeRoom(size) }
    if let base = bytes.baseAddress { unsafe (memory.baseAddress! + end).copyMemory(from: base, byteCount: bytes.count) }
    unsafe end += size
  }
  func first(_ count: Int) -> UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: memory.baseAddress! + start, count: count) }
  func removeFirst(_ count: Int) {
    unsafe start += padded(count)
    if unsafe start == end {
      unsafe start = 0
      unsafe end = 0
    }
  }
  private func padded(_ count: Int) -> Int { (count + 15) & ~15 }
  private func makeRoom(_ size: Int) {
    let used = unsafe end - start
    // Move down while half is free, grow otherwise: either way each byte moves a bounded number of times.
    let larger =
      unsafe used + size <= memory.count / 2
      ? memory : UnsafeMutableRawBufferPointer.allocate(byteCount: max(memory.count * 2, used + size), alignment: 16)
    unsafe larger.baseAddress!.copyMemory(from: memory.baseAddress! + start, byteCount: used)
    if unsafe larger.baseAddress != memory.baseAddress {
      unsafe memory.deallocate()
      unsafe memory = unsafe larger
    }
    unsafe start = 0
    unsafe end = used
  }
}
