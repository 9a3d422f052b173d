import CHeddle
import Synchronization
import Testing

@testable import HeddleWire

/// Memory in the shape of a channel, seen from both sides, in one process.
private final class Memory: @unchecked Sendable {
  // SAFETY: words are reached atomically; the rings by one writer and one reader under the protocol that is tested.
  private let base: UnsafeMutableRawPointer
  private let byteCount = 2 * RegionLayout.wordsByteCount
  let parent: ChannelMemory
  let worker: ChannelMemory
  private let requests: UnsafeMutableRawPointer
  private let responses: UnsafeMutableRawPointer

  init() {
    unsafe base = .allocate(byteCount: byteCount, alignment: 4096)
    unsafe base.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
    unsafe requests = MirroredRing.map()
    unsafe responses = MirroredRing.map()
    let other = unsafe base + RegionLayout.wordsByteCount
    parent = unsafe ChannelMemory(own: base, other: other, outgoing: requests, incoming: responses)
    worker = unsafe ChannelMemory(own: other, other: base, outgoing: responses, incoming: requests)
  }
  deinit {
    unsafe base.deallocate()
    unsafe MirroredRing.unmap(requests)
    unsafe MirroredRing.unmap(responses)
  }
}

@Suite(.serialized) struct TransportTests {
  /// Frames of pseudo-random sizes whose bytes follow from their number.
  private static func size(_ number: Int) -> Int {
    let random = UInt64(truncatingIfNeeded: number) &* 0x9E37_79B9_7F4A_7C15
    switch random >> 60 {
    case 0: return Int(random >> 40 & 0x1_ffff)
    case 1...3: return Int(random >> 44 & 0xfff)
    default: return Int(random >> 48 & 0x3f)
    }
  }
  @Test func `frames of random sizes cross a ring whole and in order, around its end`() async throws {
    let memory = Memory()
    let count = 300_000
    // Far beyond what it takes: tests of the codec may have all threads for a minute, in a sanitizer.
    let deadline = ContinuousClock.now + .seconds(300)
    let writing = Task.detached {
      var ring = RingWriter(memory.parent)
      var payload = [UInt8](repeating: 0, count: Frame.payloadLimit)
      for number in 0..<count {
        let size = Self.size(number)
        let frame = Frame.byteCount(payload: size)
        while ring.room(keeping: ring.head) < frame {
          guard ring.refreshTail() else { return false }
          guard ring.room(keeping: ring.head) < frame else { break }
          if .now > deadline { return false }
          await Task.yield()
        }
        if size > 0 {
          payload[0] = UInt8(truncatingIfNeeded: number)
          payload[size - 1] = UInt8(truncatingIfNeeded: number)
        }
        unsafe payload.withUnsafeBytes {
          let bytes = unsafe UnsafeRawBufferPointer(rebasing: $0[..<size])
          unsafe ring.write(
            FrameHeader(kind: 2, byteCount: size, position: UInt64(number), type: UInt32(truncatingIfNeeded: ~number)), bytes)
        }
        if number % 3 != 1 || number == count - 1 { ring.publish() }
      }
      return true
    }
    let reading = Task.detached {
      var ring = RingReader(memory.worker)
      var number = 0
      while number < count {
        guard let available = ring.available else { return "impossible head at \(number)" }
        if available == 0 {
          if .now > deadline { return "waits for frame \(number) in vain" }
          await Task.yield()
          continue
        }
        var offset = 0
        while offset < available {
          let header = ring.header(offset: offset)
          let size = Self.size(number)
          guard header.byteCount == UInt32(size), header.position == UInt32(number), header.type == UInt32(truncatingIfNeeded: ~number)
          else {
            return "frame \(number) has another header: \(header)"
          }
          if size > 0 {
            let bytes = unsafe ring.bytes(offset: offset + Frame.headerByteCount, count: size)
            let mark = UInt8(truncatingIfNeeded: number)
            guard unsafe bytes[0] == mark, unsafe bytes[size - 1] == mark else { return "frame \(number) has other bytes" }
          }
          offset += Frame.byteCount(payload: size)
          number += 1
        }
        guard offset == available else { return "half a frame at \(number)" }
        ring.advance(offset)
        ring.publish()
      }
      return ""
    }
    let problem = await reading.value
    #expect(problem == "")
    let isFine = await writing.value
    #expect(isFine)
  }
  @Test func `of a claim and a revocation exactly one wins, every time`() async throws {
    let memory = Memory()
    let count: UInt64 = 200_000
    let turn = Turn()
    let revoking = Task.detached { () -> [Bool] in
      var won: [Bool] = []
      won.reserveCapacity(Int(count))
      for position in 0..<count {
        turn.meet(position, side: 0)
        won.append(Claims.revoke(position, in: memory.parent))
      }
      turn.leave(side: 0)
      return won
    }
    let claiming = Task.detached { () -> [Bool] in
      var won: [Bool] = []
      won.reserveCapacity(Int(count))
      for position in 0..<count {
        turn.meet(position, side: 1)
        if position % 7 == 3 { for _ in 0..<(position % 5) { won.withUnsafeBufferPointer { _ = $0.count } } }
        won.append(Claims.claim(position, in: memory.worker))
      }
      turn.leave(side: 1)
      return won
    }
    let (revoked, claimed) = await (revoking.value, claiming.value)
    let both = zip(revoked, claimed).count { $0 && $1 }
    let none = zip(revoked, claimed).count { !$0 && !$1 }
    #expect(both == 0 && none == 0, "\(both) ran twice, \(none) were lost")
    print("claims: \(claimed.count { $0 }) of \(count) won by the worker")
  }
  @Test func `a claim that was lost stays lost when it is looked at again`() {
    let memory = Memory()
    #expect(!Claims.isClaimed(5, in: memory.parent))
    #expect(Claims.revoke(5, in: memory.parent))
    #expect(!Claims.claim(5, in: memory.worker))
    #expect(Claims.claim(6, in: memory.worker))
    #expect(Claims.isClaimed(6, in: memory.parent))
    #expect(!Claims.revoke(6, in: memory.parent))
    // The same word serves the position one capacity on.
    let next = 5 + UInt64(RegionLayout.capacity)
    #expect(!Claims.isClaimed(next, in: memory.parent))
    #expect(Claims.claim(next, in: memory.worker))
    #expect(Claims.isClaimed(next, in: memory.parent) && !Claims.isClaimed(5, in: memory.parent))
  }
  @Test func `a head or tail that cannot be is noticed`() {
    let memory = Memory()
    let reader = RingReader(memory.parent)
    for head in [UInt64(RegionLayout.ringByteCount) + 1, .max, .max - 15, 1 << 63] {
      unsafe memory.worker.ownWord(RegionLayout.head).pointee.store(head, ordering: .relaxed)
      let available = reader.available
      #expect(available == nil)
    }
    var writer = RingWriter(memory.parent)
    for tail in [UInt64(1), .max, 1 << 40] {
      unsafe memory.worker.ownWord(RegionLayout.tail).pointee.store(tail, ordering: .relaxed)
      let isFine = writer.refreshTail()
      let room = writer.room(keeping: writer.head)
      #expect(!isFine && room == RegionLayout.ringByteCount)
    }
    unsafe memory.worker.ownWord(RegionLayout.tail).pointee.store(0, ordering: .relaxed)
    let isFine = writer.refreshTail()
    #expect(isFine)
  }
  @Test func `a shape that lies is no shape`() {
    func shape(_ numbers: [UInt64], limit: Int = 1 << 30) -> MessageShape? {
      unsafe numbers.withUnsafeBytes { unsafe MessageShape(decoding: $0, limit: limit) }
    }
    #expect(shape([10, 0])?.totalByteCount == 10)
    #expect(shape([10, 2, 5, 6])?.segmentByteCounts == [5, 6])
    #expect(shape([]) == nil && shape([1]) == nil)
    #expect(shape([10, 1]) == nil && shape([10, 3, 1]) == nil && shape([10, .max]) == nil)
    #expect(shape([1 << 31, 0]) == nil && shape([.max, 0]) == nil && shape([1 << 29, 2, 1 << 29, 1 << 29]) == nil)
    #expect(shape([1 << 63, 1, 1 << 63]) == nil)
    let kinds = MessageShape(mainByteCount: 7, segmentByteCounts: [4, 2], segmentKinds: [9, 0])
    #expect(unsafe kinds.encoded.withUnsafeBytes { unsafe MessageShape(decoding: $0, limit: 100) } == kinds)
    var unknown = kinds.encoded
    unknown[2] |= 0xF0 << 56
    #expect(unsafe unknown.withUnsafeBytes { unsafe MessageShape(decoding: $0, limit: 100) } == nil)
    let good = MessageShape(mainByteCount: 7, segmentByteCounts: [1, 2, 3])
    #expect(shape(good.encoded) == good)
    let odd = [UInt8](repeating: 0, count: 17)
    #expect(unsafe odd.withUnsafeBytes { unsafe MessageShape(decoding: $0, limit: 100) } == nil)
  }
  @Test func `a bell rings once for each sleep`() {
    var bell = Bell()
    let rings = [0, 1, 1, 0, 1, 2, 2, 0, 3].map { bell.shouldRing(sleep: $0) }
    #expect(rings == [false, true, false, false, false, true, false, false, true])
  }
  @Test func `no bell is lost between a last look and the sleep`() async throws {
    let memory = Memory()
    let rounds: UInt64 = 30_000
    let sleeping = Task.detached { () -> UInt64 in
      let parked = unsafe memory.worker.ownWord(RegionLayout.parked)
      let told = unsafe memory.worker.otherWord(RegionLayout.head)
      var ticket: UInt64 = 0
      for round in 1...rounds {
        while unsafe told.pointee.load(ordering: .sequentiallyConsistent) < round {
          let bells = memory.worker.bellCount
          ticket += 1
          unsafe parked.pointee.store(ticket, ordering: .sequentiallyConsistent)
          if unsafe told.pointee.load(ordering: .sequentiallyConsistent) < round { memory.worker.awaitBell(after: bells) }
          unsafe parked.pointee.store(0, ordering: .relaxed)
        }
        unsafe memory.worker.ownWord(RegionLayout.tail).pointee.store(round, ordering: .sequentiallyConsistent)
      }
      return ticket
    }
    var bell = Bell()
    var lost = 0
    for round in 1...rounds {
      // From well before it sleeps to long after.
      for _ in 0..<((round &* 0x9E37_79B9_7F4A_7C15) >> 58) { heddle_pause() }
      unsafe memory.parent.ownWord(RegionLayout.head).pointee.store(round, ordering: .sequentiallyConsistent)
      let sleep = unsafe memory.parent.otherWord(RegionLayout.parked).pointee.load(ordering: .sequentiallyConsistent)
      if bell.shouldRing(sleep: sleep) { memory.parent.ring() }
      let deadline = ContinuousClock.now + .seconds(5)
      var spins = 0
      while unsafe memory.parent.otherWord(RegionLayout.tail).pointee.load(ordering: .sequentiallyConsistent) < round {
        heddle_pause()
        spins += 1
        if spins % 1000 != 0 { continue }
        yieldThread()
        if ContinuousClock.now > deadline {
          lost += 1
          memory.parent.ring()
          break
        }
      }
      if lost > 2 { break }
    }
    #expect(lost == 0)
    if lost > 0 {
      // Not to leave it asleep.
      unsafe memory.parent.ownWord(RegionLayout.head).pointee.store(rounds, ordering: .sequentiallyConsistent)
      memory.parent.ring()
    }
    let sleeps = await sleeping.value
    print("bells: \(sleeps) sleeps in \(rounds) rounds")
  }
}

/// Two threads start each round together.
private final class Turn: Sendable {
  private let first = Atomic<UInt64>(0)
  private let second = Atomic<UInt64>(0)

  func meet(_ round: UInt64, side: Int) {
    var spins = 0
    if side == 0 {
      first.store(round + 1, ordering: .sequentiallyConsistent)
      while second.load(ordering: .sequentiallyConsistent) < round + 1 { pause(&spins) }
    } else {
      second.store(round + 1, ordering: .sequentiallyConsistent)
      while first.load(ordering: .sequentiallyConsistent) < round + 1 { pause(&spins) }
    }
  }
  func leave(side: Int) {
    if side == 0 { first.store(.max, ordering: .sequentiallyConsistent) } else { second.store(.max, ordering: .sequentiallyConsistent) }
  }
  private func pause(_ spins: inout Int) {
    spins += 1
    if spins > 200 { yieldThread() }
  }
}
