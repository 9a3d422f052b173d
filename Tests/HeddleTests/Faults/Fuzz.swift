import Glibc
import HeddleSystem
import HeddleWire
import Synchronization
import Testing

@testable import Heddle

/// How many frames each of the tests below tries; HEDDLE_FUZZ_FRAMES says otherwise (Scripts/fuzz.sh).
///
/// Few in a usual run: it is a debug build.
private let frameCount = unsafe getenv("HEDDLE_FUZZ_FRAMES").flatMap { unsafe Int(String(cString: $0)) } ?? 60_000
private func seed() -> UInt64 {
  let seed = unsafe getenv("HEDDLE_TEST_SEED").flatMap { unsafe UInt64(String(cString: $0)) } ?? .random(in: 0...(.max))
  print("fuzz: HEDDLE_TEST_SEED=\(seed), \(frameCount) frames")
  return seed
}

/// Frames as a worker writes them, some changed.
private struct FrameSource {
  var random: Seeded
  /// How many of a thousand frames are changed so that they may break the protocol.
  var damage: Int
  /// Whether it writes whole results in one frame.
  ///
  /// A live worker does not: the first honest answer about its job would be the last.
  var answers: Bool
  /// What has not been written of the large result that is under way: bytes of each piece, the next piece last.
  private var left: [Int] = []

  init(seed: UInt64, damage: Int, answers: Bool) {
    random = Seeded(seed)
    self.damage = damage
    self.answers = answers
  }
  /// Header and payload of the next frame.
  mutating func next(position: UInt64) -> (header: FrameHeader, payload: [UInt8]) {
    var frame = honest(position)
    if Int.random(in: 0..<1000, using: &random) < damage { change(&frame) }
    return frame
  }
  private mutating func honest(_ position: UInt64) -> (header: FrameHeader, payload: [UInt8]) {
    while left.last == 0 { left.removeLast() }
    if let piece = left.popLast() {
      let count = min(piece, Int.random(in: 1...300, using: &random))
      left.append(piece - count)
      return (FrameHeader(kind: ResponseKind.part, byteCount: count), noise(count))
    }
    let count = Int.random(in: 0...200, using: &random)
    let type = UInt32.random(in: 0...7, using: &random)
    switch Int.random(in: 0..<10, using: &random) {
    case 0...2: return (FrameHeader(kind: ResponseKind.hello, byteCount: count), noise(count))
    case 3...6 where answers:
      return (FrameHeader(kind: ResponseKind.result, byteCount: count, position: position, type: type), noise(count))
    default:
      // Most are there after some parts; of others few of the announced bytes ever come.
      let limit = Int.random(in: 0..<8, using: &random) > 0 ? 600 : 60_000
      left = (0..<Int.random(in: 1...3, using: &random)).map { _ in Int.random(in: 0...limit, using: &random) }
      let shape = MessageShape(mainByteCount: left.last!, segmentByteCounts: left.dropLast().reversed()).encoded
      let bytes = unsafe shape.withUnsafeBytes { unsafe Array($0) }
      return (FrameHeader(kind: ResponseKind.beginResult, byteCount: bytes.count, position: position, type: type), bytes)
    }
  }
  private mutating func noise(_ count: Int) -> [UInt8] {
    var bytes = [UInt8](repeating: UInt8.random(in: 0...20, using: &random), count: count)
    for _ in 0..<min(count, 12) { bytes[Int.random(in: 0..<count, using: &random)] = UInt8.random(in: 0...255, using: &random) }
    return bytes
  }
  private mutating func change(_ frame: inout (header: FrameHeader, payload: [UInt8])) {
    switch Int.random(in: 0..<8, using: &random) {
    case 0: frame.header.kind = .random(in: 0...255, using: &random)
    case 1: frame.header.byteCount = .random(in: 0...(.max), using: &random)
    case 2: frame.header.byteCount = frame.header.byteCount &+ UInt32.random(in: 1...64, using: &random)
    case 3: frame.header.position = .random(in: 0...(.max), using: &random)
    case 4: frame.header.type = .random(in: 0...(.max), using: &random)
    case 5: frame.header = FrameHeader(kind: ResponseKind.result, byteCount: frame.payload.count, position: UInt64(frame.header.position))
    case 6:
      for _ in 0..<3 where !frame.payload.isEmpty {
        frame.payload[Int.random(in: 0..<frame.payload.count, using: &random)] = .random(in: 0...255, using: &random)
      }
    default: frame.header.kind = ResponseKind.part
    }
  }
}

extension Core {
  /// Frames that no honest worker writes.
  @Suite struct Fuzz {
    @Test func `whatever lies in a ring is read as results within their bounds, or refused`() throws {
      let words = UnsafeMutableRawPointer.allocate(byteCount: 2 * RegionLayout.wordsByteCount, alignment: 64)
      defer { unsafe words.deallocate() }
      unsafe words.initializeMemory(as: UInt8.self, repeating: 0, count: 2 * RegionLayout.wordsByteCount)
      let ring = try SharedMemory(byteCount: RegionLayout.ringByteCount).mapTwice(
        offset: 0, byteCount: RegionLayout.ringByteCount, writable: true)
      let memory = unsafe ChannelMemory(
        own: words, other: words + RegionLayout.wordsByteCount, outgoing: ring.address, incoming: ring.address)
      let headWord = unsafe (words + RegionLayout.wordsByteCount).assumingMemoryBound(to: UInt64.self)
      let batch = ResultBatch()
      var source = FrameSource(seed: seed(), damage: 100, answers: true)
      var reader = ResponseReader(memory)
      var head: UInt64 = 0
      var refused = 0
      var results = 0
      var sum = 0
      var count = 0
      while count < frameCount {
        for _ in 0..<Int.random(in: 1...20, using: &source.random) {
          let frame = source.next(position: UInt64.random(in: 0...300, using: &source.random))
          let place = unsafe ring.address + Int(head & UInt64(RegionLayout.ringByteCount - 1))
          unsafe place.storeBytes(of: frame.header, as: FrameHeader.self)
          unsafe frame.payload.withUnsafeBytes {
            unsafe (place + 16).copyMemory(from: $0.baseAddress ?? UnsafeRawPointer(place), byteCount: $0.count)
          }
          head &+= UInt64(Frame.byteCount(payload: frame.payload.count))
          count += 1
        }
        if Int.random(in: 0..<500, using: &source.random) == 0 { head = head &+ UInt64.random(in: 0...(.max), using: &source.random) }
        unsafe headWord.pointee = head
        var moved = 1
        while moved > 0 {
          batch.clear()
          moved = reader.read(into: batch)
          for result in batch.results {
            let bytes = batch.bytes(of: result)
            results += 1
            // Read, and printed below, so that no optimizer passes over what the sanitizer is to see.
            if unsafe !bytes.isEmpty { sum &+= unsafe Int(bytes[0]) &+ Int(bytes[bytes.count - 1]) }
            if let large = result.large { #expect(large.isComplete) }
          }
          if batch.violation != nil { break }
        }
        if batch.violation != nil {
          // Its worker would be killed now; the next one has a ring of its own.
          refused += 1
          reader = ResponseReader(memory)
          head = 0
          unsafe words.initializeMemory(as: UInt8.self, repeating: 0, count: 2 * RegionLayout.wordsByteCount)
          source = FrameSource(seed: source.random.next(), damage: 100, answers: true)
        }
      }
      print("fuzz: \(count) frames in a ring: \(results) results, \(refused) workers refused, sum \(sum)")
      #expect(refused > frameCount / 1000 && results > frameCount / 1000)
    }

    @Test(.timeLimit(.minutes(60))) func `a live supervisor outlives whatever its workers write`() async throws {
      let seed = seed()
      let scratch = Scratch()
      append([UInt8](repeating: 0, count: 4096), to: scratch.path("count"))
      let counter = try #require(FrameCounter(path: scratch.path("count")))
      // One more than a small machine has processors: a worker that starts, or waits for room, leaves its processor to others.
      let pool = ProcessPoolExecutor(maxWorkers: 3)
      var random = Seeded(seed)
      var outcomes: [String: Int] = [:]
      // Several live workers, so that a good one is busy while another is killed.
      while counter.count < frameCount {
        // Millions of frames take longer than the watchdog allows a test: each round is one for it.
        let before = counter.count
        Watchdog.begin("the live fuzz after \(before) frames")
        let futures = (0..<(frameCount > 100_000 ? 36 : 9)).map { _ in
          pool.submit(WritesFrames(seed: random.next(), limit: 5000, counter: scratch.path("count")))
        }
        for future in futures {
          let result = try await within("a fuzzed job, seed \(seed)") { await future.result }
          switch result {
          case .success: outcomes["a result", default: 0] += 1
          case .failure(let error as JobError): outcomes["\(error.code)", default: 0] += 1
          case .failure(let error): outcomes["\(type(of: error))", default: 0] += 1
          }
        }
        try #require(counter.count > before, "the jobs find the memory that they are to write to")
        // Which worker answers cannot be chosen: one that was still being fuzzed may forge even this. An honest answer comes within some tries.
        var isRight = false
        for _ in 0..<20 where !isRight {
          isRight = (try? await within("a good job, seed \(seed)") { try await pool.submit(Doubled(value: 21)).value }) == 42
        }
        #expect(isRight, "the pool goes on, seed \(seed)")
      }
      try await within("shutdown, seed \(seed)") { await pool.shutdown(.kill(after: .zero)) }
      print("fuzz: \(counter.count) frames through a live supervisor: \(outcomes)")
      #expect(outcomes["workerDied", default: 0] > 0)
    }
  }
}

/// How many frames all workers have written, in a file that they share.
private final class FrameCounter: Sendable {
  // SAFETY: mapped as long as this object lives; only reached atomically.
  nonisolated(unsafe) private let word: UnsafeMutablePointer<Atomic<Int>>
  init?(path: String) {
    let file = open(path, O_RDWR | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    guard let address = unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), unsafe address != MAP_FAILED else {
      return nil
    }
    unsafe word = unsafe address.assumingMemoryBound(to: Atomic<Int>.self)
  }
  deinit { unsafe munmap(word, 4096) }
  var count: Int { unsafe word.pointee.load(ordering: .relaxed) }
  func add() { unsafe word.pointee.add(1, ordering: .relaxed) }
}

/// Writes changed frames over its own side of the channel until it is killed, or has written so many.
private struct WritesFrames: Job {
  var seed: UInt64
  var limit: Int
  var counter: String
  func run() async throws -> [String: [Int]] {
    guard let memory = OwnMemory(), let tail = memory.parentsTail, let counter = FrameCounter(path: counter) else { return ["lost": []] }
    var source = FrameSource(seed: seed, damage: 1, answers: false)
    // Its own place: the last one that it claimed.
    let claims = unsafe memory.words + RegionLayout.claims
    let position = (0..<RegionLayout.capacity).map { unsafe claims.load(fromByteOffset: 8 * $0, as: UInt64.self) }.max()! &- 1
    var head = memory.head
    for number in 0..<limit {
      let frame = source.next(position: position)
      let size = UInt64(Frame.byteCount(payload: frame.payload.count))
      while unsafe head &+ size &- tail.load(as: UInt64.self) > UInt64(RegionLayout.ringByteCount) {
        unsafe send(3, "x", 1, Int32(MSG_DONTWAIT))
        usleep(50)
      }
      let place = unsafe memory.ring + Int(head & UInt64(RegionLayout.ringByteCount - 1))
      unsafe place.storeBytes(of: frame.header, as: FrameHeader.self)
      unsafe frame.payload.withUnsafeBytes { bytes in
        if let base = bytes.baseAddress { unsafe (place + 16).copyMemory(from: base, byteCount: bytes.count) }
      }
      head &+= size
      // It asks to be rung for whenever it is read, and takes no bell: who rings must not wait for it.
      unsafe memory.words.storeBytes(of: UInt64(number + 1), toByteOffset: RegionLayout.wantsRoom, as: UInt64.self)
      atomicMemoryFence()
      unsafe memory.words.storeBytes(of: head, as: UInt64.self)
      counter.add()
      if number % 64 == 63 { unsafe send(3, "x", 1, Int32(MSG_DONTWAIT)) }
    }
    unsafe send(3, "x", 1, Int32(MSG_DONTWAIT))
    // What it would answer now lies where its honest writer has never been: nobody could read it.
    while true { pause() }
  }
  private func atomicMemoryFence() { Synchronization.atomicMemoryFence(ordering: .sequentiallyConsistent) }
}
extension OwnMemory {
  /// Where the parent says how far it has read.
  var parentsTail: UnsafeRawPointer? {
    for line in (text(of: "/proc/self/maps") ?? "").split(separator: "\n") where line.contains("memfd:heddle") && line.contains("r--s") {
      let bounds = line.split(separator: " ")[0].split(separator: "-").map { UInt($0, radix: 16)! }
      if bounds[1] - bounds[0] == 1 << 16 { return unsafe UnsafeRawPointer(bitPattern: bounds[0])! + RegionLayout.tail }
    }
    return nil
  }
}
