import HeddleSystem
import HeddleWire

/// What rides along with a job that is not standard. Shared by all places that hold the job, changed only under the pool's lock.
final class JobExtras: @unchecked Sendable {
  // SAFETY: every access is under the core lock of the job's pool.
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
@safe final class OwnedPayload: @unchecked Sendable {
  // SAFETY: written by `init` only; segments keep their memory alive.
  let bytes: UnsafeRawBufferPointer
  let segments: [Segment]

  init(copying source: UnsafeRawBufferPointer, segments: [Segment] = []) {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: max(source.count, 1), alignment: 16)
    if let base = source.baseAddress { unsafe copy.baseAddress!.copyMemory(from: base, byteCount: source.count) }
    unsafe bytes = unsafe UnsafeRawBufferPointer(start: copy.baseAddress, count: source.count)
    self.segments = segments
  }
  deinit { unsafe bytes.deallocate() }

  /// Whether it fits one frame.
  var isSmall: Bool { unsafe segments.isEmpty && bytes.count <= Frame.payloadLimit }
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
struct JobQueue: ~Copyable {
  private var returned: [QueuedJob] = []
  private var lines: [Line] = [Line(), Line(), Line()]
  private(set) var count = 0

  mutating func push(_ job: QueuedJob, _ bytes: UnsafeRawBufferPointer, priority: JobPriority) {
    unsafe lines[priority.rawValue].push(job, bytes)
    count += 1
  }
  /// Puts jobs before all others of the same rank, in their order. Each has an owned payload.
  mutating func putBack(_ jobs: [QueuedJob]) {
    returned.append(contentsOf: jobs.reversed())
    count += jobs.count
  }
  var isEmpty: Bool { count == 0 }

  /// Calls `body` with the next job and its bytes, and takes it out unless `body` answers false.
  mutating func withNext(_ body: (QueuedJob, UnsafeRawBufferPointer) -> Bool) {
    if let job = returned.last {
      if unsafe body(job, job.payload!.bytes) {
        returned.removeLast()
        count -= 1
      }
      return
    }
    for priority in [2, 1, 0] where !lines[priority].isEmpty {
      if unsafe lines[priority].withNext(body) { count -= 1 }
      return
    }
  }
  mutating func removeAll() -> [QueuedJob] {
    var jobs: [QueuedJob] = []
    while count > 0 {
      unsafe withNext { job, _ in
        jobs.append(job)
        return true
      }
    }
    return jobs
  }

  /// One priority: jobs in a ring, their bytes one after another in a store.
  private struct Line {
    private var jobs: [QueuedJob?] = []
    private var head = 0
    private var tail = 0
    private var store = ByteStore()

    var isEmpty: Bool { head == tail }

    mutating func push(_ job: QueuedJob, _ bytes: UnsafeRawBufferPointer) {
      if tail &- head == jobs.count { grow() }
      jobs[tail & (jobs.count &- 1)] = job
      tail &+= 1
      if job.payload == nil { unsafe store.append(bytes) }
    }
    mutating func withNext(_ body: (QueuedJob, UnsafeRawBufferPointer) -> Bool) -> Bool {
      let index = head & (jobs.count &- 1)
      let job = jobs[index]!
      guard unsafe body(job, job.payload?.bytes ?? store.first(Int(job.byteCount))) else { return false }
      if job.payload == nil { store.removeFirst(Int(job.byteCount)) }
      jobs[index] = nil
      head &+= 1
      return true
    }
    private mutating func grow() {
      var larger = [QueuedJob?](repeating: nil, count: max(256, jobs.count * 2))
      for index in head..<tail { larger[index & (larger.count - 1)] = jobs[index & (jobs.count - 1)] }
      jobs = larger
    }
  }
}

/// Bytes, first in first out.
@safe final class ByteStore {
  private var memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 14, alignment: 16)
  private var start = 0
  private var end = 0

  deinit { unsafe memory.deallocate() }

  func append(_ bytes: UnsafeRawBufferPointer) {
    let size = padded(bytes.count)
    if unsafe end + size > memory.count { makeRoom(size) }
    if let base = bytes.baseAddress { unsafe (memory.baseAddress! + end).copyMemory(from: base, byteCount: bytes.count) }
    end += size
  }
  func first(_ count: Int) -> UnsafeRawBufferPointer { unsafe UnsafeRawBufferPointer(start: memory.baseAddress! + start, count: count) }
  func removeFirst(_ count: Int) {
    start += padded(count)
    if start == end {
      start = 0
      end = 0
    }
  }
  private func padded(_ count: Int) -> Int { (count + 15) & ~15 }
  private func makeRoom(_ size: Int) {
    let used = end - start
    // Move down while half is free, grow otherwise: either way each byte moves a bounded number of times.
    let larger =
      unsafe used + size <= memory.count / 2
      ? memory : UnsafeMutableRawBufferPointer.allocate(byteCount: max(memory.count * 2, used + size), alignment: 16)
    unsafe larger.baseAddress!.copyMemory(from: memory.baseAddress! + start, byteCount: used)
    if unsafe larger.baseAddress != memory.baseAddress {
      unsafe memory.deallocate()
      unsafe memory = unsafe larger
    }
    start = 0
    end = used
  }
}
