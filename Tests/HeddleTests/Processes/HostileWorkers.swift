import Glibc
import Heddle
import HeddleSystem
import HeddleWire
import Synchronization
import Testing

/// What a worker that runs wild writes over its side of the channel.
enum Nonsense: String, Codable, CaseIterable, Sendable, CustomTestStringConvertible {
  case headBeyondCapacity, headBackwards, headMisaligned, frameTooLarge, halfFrame, unknownKind, partOfNothing, unknownPosition
  case impossibleShape, badTail, everything
  var testDescription: String { rawValue }
}

/// Spoils the shared memory that it was given, then waits to be stopped.
private struct Spoils: Job {
  var nonsense: Nonsense
  func run() async throws -> Int {
    guard nonsense.spoil() else { return -1 }
    if nonsense == .badTail { return 1 }
    while true { pause() }
  }
}

/// A worker's own view of the memory that it shares with its parent, found without Heddle's help.
struct OwnMemory {
  // Two writable parts are mapped in a worker: its words (64 KiB), and its ring, twice (1 MiB each).
  let words: UnsafeMutableRawPointer
  let ring: UnsafeMutableRawPointer
  init?() {
    var words: UnsafeMutableRawPointer?
    var ring: UnsafeMutableRawPointer?
    for line in (text(of: "/proc/self/maps") ?? "").split(separator: "\n") where line.contains("memfd:heddle") && line.contains("rw-s") {
      let bounds = line.split(separator: " ")[0].split(separator: "-").map { UInt($0, radix: 16)! }
      let address = unsafe UnsafeMutableRawPointer(bitPattern: bounds[0])
      if bounds[1] - bounds[0] == 1 << 16 { unsafe words = unsafe address } else if unsafe ring == nil { unsafe ring = unsafe address }
    }
    guard let words = unsafe words, let ring = unsafe ring else { return nil }
    unsafe self.words = words
    unsafe self.ring = ring
  }
  /// Bytes ever written to the ring.
  var head: UInt64 { unsafe words.assumingMemoryBound(to: Atomic<UInt64>.self).pointee.load(ordering: .acquiring) }
}
extension Nonsense {
  /// Writes it, and rings.
  ///
  /// false: the memory was not found.
  func spoil() -> Bool {
    guard let memory = OwnMemory() else { return false }
    let words = unsafe memory.words
    let head = memory.head
    let place = unsafe memory.ring + Int(head & (1 << 20 - 1))
    func frame(_ byteCount: UInt32, _ kind: UInt8, _ position: UInt32 = 0, _ payload: [UInt64] = [], size: UInt64) {
      unsafe place.storeBytes(of: byteCount, as: UInt32.self)
      unsafe place.storeBytes(of: kind, toByteOffset: 4, as: UInt8.self)
      unsafe place.storeBytes(of: position, toByteOffset: 8, as: UInt32.self)
      unsafe place.storeBytes(of: 1, toByteOffset: 12, as: UInt32.self)
      for (index, word) in payload.enumerated() { unsafe place.storeBytes(of: word, toByteOffset: 16 + 8 * index, as: UInt64.self) }
      unsafe words.storeBytes(of: head &+ size, as: UInt64.self)
    }
    switch self {
    case .headBeyondCapacity: unsafe words.storeBytes(of: head &+ (2 << 20), as: UInt64.self)
    case .headBackwards: unsafe words.storeBytes(of: head &- 16, as: UInt64.self)
    case .headMisaligned: unsafe words.storeBytes(of: head &+ 8, as: UInt64.self)
    case .frameTooLarge: frame(.max, 2, size: 1 << 18)
    case .halfFrame: frame(4096, 2, size: 32)
    case .unknownKind: frame(0, 99, size: 16)
    case .partOfNothing: frame(16, 4, size: 32)
    case .unknownPosition: frame(0, 2, 0x7fff_ffff, size: 16)
    case .impossibleShape: frame(24, 3, 0, [1 << 60, 1, 1 << 60], size: 48)
    case .badTail: unsafe words.storeBytes(of: UInt64.max / 2, toByteOffset: 64, as: UInt64.self)
    case .everything:
      for offset in stride(from: 0, to: 1 << 16, by: 8) {
        unsafe words.storeBytes(of: .random(in: 0...(.max)), toByteOffset: offset, as: UInt64.self)
      }
    }
    // The doorbell: the parent may sleep.
    unsafe send(3, "x", 1, Int32(MSG_DONTWAIT))
    return true
  }
}

/// Wants a bell for each of so many frames, takes none, and answers by hand.
private struct TakesNoBells: Job {
  var frames: Int
  func run() async throws -> Int {
    guard let memory = OwnMemory(), let tail = memory.parentsTail else { return -1 }
    let encoder = MessageEncoder()
    try encoder.encode(frames)
    let answer = unsafe Array(encoder.bytes)
    // Its own place: the last one that it claimed.
    let claims = unsafe memory.words + RegionLayout.claims
    let position = (0..<RegionLayout.capacity).map { unsafe claims.load(fromByteOffset: 8 * $0, as: UInt64.self) }.max()! &- 1
    var head = memory.head
    for number in 1...frames {
      let isLast = number == frames
      let place = unsafe memory.ring + Int(head & UInt64(RegionLayout.ringByteCount - 1))
      let kind = isLast ? ResponseKind.result : ResponseKind.hello
      unsafe place.storeBytes(
        of: FrameHeader(kind: kind, byteCount: isLast ? answer.count : 0, position: position, type: ResultKind.value), as: FrameHeader.self)
      if isLast { unsafe (place + Frame.headerByteCount).copyMemory(from: answer, byteCount: answer.count) }
      head &+= UInt64(Frame.byteCount(payload: isLast ? answer.count : 0))
      unsafe memory.words.storeBytes(of: UInt64(number), toByteOffset: RegionLayout.wantsRoom, as: UInt64.self)
      atomicMemoryFence(ordering: .sequentiallyConsistent)
      unsafe memory.words.storeBytes(of: head, as: UInt64.self)
      unsafe send(3, "x", 1, Int32(MSG_DONTWAIT))
      while unsafe tail.load(as: UInt64.self) != head { usleep(20) }
    }
    // Its honest writer would write where nobody reads.
    while true { pause() }
  }
}

extension Core {
  /// What a worker writes is untrusted.
  @Suite struct HostileWorkers {
    @Test(arguments: Nonsense.allCases) func `a worker that writes nonsense is killed with a reason, and the pool goes on`(
      nonsense: Nonsense
    ) async throws {
      try await withSubject(.processes, workers: 1) { pool in
        // The greeting has been read: before that a head that goes back looks like a worker that has said nothing yet.
        _ = try await pool.submit(Doubled(value: 1)).value
        let future = pool.submit(Spoils(nonsense: nonsense))
        let (done, _) = await wait(for: [future], timeout: .seconds(15))
        #expect(done.count == 1, "the job ends")
        if nonsense != .badTail, done.count == 1 {
          let error = await future.result.jobError
          #expect(error?.code == .workerDied)
          if nonsense != .everything { #expect(error?.message.contains("stopped because") == true, "\(String(describing: error))") }
        }
        let more = (0..<300).map { pool.submit(Doubled(value: $0)) }
        for (number, future) in more.enumerated() {
          let value = try await future.value
          #expect(value == number * 2)
        }
        let spent = processorTime()
        try await Task.sleep(for: .milliseconds(100))
        #expect(processorTime() - spent < .milliseconds(60), "the supervisor sleeps")
      }
    }
    @Test func `a worker that wants bells and takes none holds up nobody`() async throws {
      let pool = ProcessPoolExecutor(maxWorkers: 1)
      // A socket holds some hundred bells.
      let future = pool.submit(TakesNoBells(frames: 2000))
      let value = try await within("the job that wants bells") { try await future.value }
      #expect(value == 2000)
      try await within("shutdown") { await pool.shutdown(.kill(after: .zero)) }
    }
  }
}
