import Glibc
import HeddleSystem
import HeddleWire
import Synchronization
import Testing

@testable import Heddle

/// How many frames each of the tests below has read, every one of them changed; HEDDLE_FUZZ_FRAMES says otherwise (Scripts/fuzz.sh).
///
/// Few in a usual run: it is a debug build.
private let frameCount = unsafe getenv("HEDDLE_FUZZ_FRAMES").flatMap { unsafe Int(String(cString: $0)) } ?? 60_000
private func seed() -> UInt64 {
  let seed = unsafe getenv("HEDDLE_TEST_SEED").flatMap { unsafe UInt64(String(cString: $0)) } ?? .random(in: 0...(.max))
  print("fuzz: HEDDLE_TEST_SEED=\(seed), \(frameCount) frames")
  return seed
}

/// How many frames were read, by what had been changed in them.
private struct FrameTally: CustomStringConvertible {
  var counts = [Int](repeating: 0, count: FrameSource.Change.allCases.count)
  var total: Int { counts.reduce(0, +) }
  subscript(_ change: FrameSource.Change) -> Int { counts[change.rawValue] }
  mutating func add(_ change: FrameSource.Change) { counts[change.rawValue] += 1 }
  var description: String {
    "\(total) changed frames read (\(self[.payload]) in their payload, \(self[.label]) in the kind of their outcome, "
      + "\(self[.structure]) in their structure)"
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
      let tailWord = unsafe (words + RegionLayout.tail).assumingMemoryBound(to: UInt64.self)
      let batch = ResultBatch()
      let receiver = try SwiftReceiver(for: WritesFrames.self)
      var source = FrameSource(seed: seed(), part: .answering, damage: 1000)
      var reader = ResponseReader(memory)
      var head: UInt64 = 0
      var unread: [(end: UInt64, change: FrameSource.Change)] = []
      var tally = FrameTally()
      var (refused, results, outputs, sum) = (0, 0, 0, 0)
      var nextWatch = 0
      while tally.total < frameCount {
        if tally.total >= nextWatch {
          // Millions of frames take longer than the watchdog allows a test.
          Watchdog.begin("the fuzz of a ring after \(tally.total) frames")
          nextWatch += 200_000
        }
        for _ in 0..<Int.random(in: 1...20, using: &source.random) {
          let (frame, change) = source.next(position: UInt64.random(in: 0...300, using: &source.random))
          head = unsafe write(frame, to: ring.address, at: head)
          unread.append((head, change))
        }
        if Int.random(in: 0..<500, using: &source.random) == 0 { head = head &+ UInt64.random(in: 0...(.max), using: &source.random) }
        unsafe headWord.pointee = head
        var moved = 1
        while moved > 0 {
          batch.clear()
          moved = reader.read(into: batch)
          for index in batch.results.indices {
            let bytes = batch.bytes(of: batch.results[index])
            results += 1
            // Read, and printed below, so that no optimizer passes over what the sanitizer is to see.
            if unsafe !bytes.isEmpty { sum &+= unsafe Int(bytes[0]) &+ Int(bytes[bytes.count - 1]) }
            if let large = batch.results[index].large { #expect(large.isComplete) }
            let future = Future<WritesFrames.Output>(in: nil)
            receiver.receive(
              future, batch.answer(ResultBatch.Arrival(future: future, type: 0, result: index, attempt: 1)), decoder: batch.decoder)
            if future.state == .succeeded { outputs += 1 }
          }
          if batch.violation != nil { break }
        }
        // What lies behind a frame that was refused is not read.
        let tail = unsafe tailWord.pointee
        for (end, change) in unread where end <= tail { tally.add(change) }
        unread.removeAll { $0.end <= tail }
        if batch.violation != nil {
          // Its worker would be killed now; the next one has a ring of its own.
          refused += 1
          reader = ResponseReader(memory)
          head = 0
          unread = []
          unsafe words.initializeMemory(as: UInt8.self, repeating: 0, count: 2 * RegionLayout.wordsByteCount)
          source = FrameSource(seed: source.random.next(), part: .answering, damage: 1000)
        }
      }
      print("fuzz: ring: \(tally): \(results) results, \(outputs) of them outputs, \(refused) workers refused, sum \(sum)")
      #expect(refused > frameCount / 1000 && results > frameCount / 100 && outputs > frameCount / 1000)
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
      while counter.tally.total < frameCount {
        // Millions of frames take longer than the watchdog allows a test: each round is one for it.
        let before = counter.tally.total
        Watchdog.begin("the live fuzz after \(before) frames")
        let futures = (0..<(frameCount > 100_000 ? 36 : 9)).map { number in
          // One alone, and two as the first of four items that travel together: a worker may send many results of those.
          let part = number % 3 == 0 ? FrameSource.Part.silent : .chunk
          let job = WritesFrames(
            seed: random.next(), part: part, limit: frameCount > 100_000 ? 20_000 : 3000, counter: scratch.path("count"))
          if part == .silent { return pool.submit(job) as AnyFuture }
          return pool.startUnit([job, job, job, job][...]).0.future
        }
        for future in futures {
          _ = try await within("a fuzzed job, seed \(seed)") { await future.park() }
          switch future {
          case let chunk as MapChunk<WritesFrames.Output>:
            let (ended, failed) = chunk.counts
            #expect(failed <= ended && ended <= 4)
            outcomes[failed > 0 ? "items failed" : "items ended", default: 0] += 1
          case let future as Future<WritesFrames.Output>:
            switch await future.result {
            case .success: outcomes["a result", default: 0] += 1
            case .failure(let error as JobError): outcomes["\(error.code)", default: 0] += 1
            case .failure(let error): outcomes["\(type(of: error))", default: 0] += 1
            }
          default: Issue.record("another future: \(future)")
          }
        }
        try #require(counter.tally.total > before, "the jobs find the memory that they are to write to")
        // Which worker answers cannot be chosen: one that was still being fuzzed may forge even this. An honest answer comes within some tries.
        var isRight = false
        for _ in 0..<20 where !isRight {
          isRight = (try? await within("a good job, seed \(seed)") { try await pool.submit(Doubled(value: 21)).value }) == 42
        }
        #expect(isRight, "the pool goes on, seed \(seed)")
      }
      try await within("shutdown, seed \(seed)") { await pool.shutdown(.kill(after: .zero)) }
      print("fuzz: live supervisor: \(counter.tally); by jobs: \(outcomes)")
      #expect(outcomes["workerDied", default: 0] > 0 && outcomes["items failed", default: 0] > 0)
    }
  }
}

/// Writes a frame into a ring that is mapped twice.
///
/// - Returns: where the next one begins.
private func write(_ frame: WrittenFrame, to ring: UnsafeMutableRawPointer, at head: UInt64) -> UInt64 {
  let place = unsafe ring + Int(head & UInt64(RegionLayout.ringByteCount - 1))
  unsafe place.storeBytes(of: frame.header, as: FrameHeader.self)
  unsafe frame.payload.withUnsafeBytes { bytes in
    if let base = bytes.baseAddress { unsafe (place + Frame.headerByteCount).copyMemory(from: base, byteCount: bytes.count) }
  }
  return head &+ UInt64(Frame.byteCount(payload: frame.payload.count))
}

/// How many changed frames of all workers were read, in a file that they share.
private final class FrameCounter: Sendable {
  // SAFETY: mapped as long as this object lives; only reached atomically.
  nonisolated(unsafe) private let words: UnsafeMutablePointer<Atomic<Int>>
  init?(path: String) {
    let file = open(path, O_RDWR | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    guard let address = unsafe mmap(nil, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0), unsafe address != MAP_FAILED else {
      return nil
    }
    unsafe words = unsafe address.assumingMemoryBound(to: Atomic<Int>.self)
  }
  deinit { unsafe munmap(words, 4096) }
  var tally: FrameTally {
    FrameTally(counts: FrameSource.Change.allCases.map { unsafe words[$0.rawValue].load(ordering: .relaxed) })
  }
  func add(_ tally: FrameTally) {
    for change in FrameSource.Change.allCases { unsafe words[change.rawValue].add(tally[change], ordering: .relaxed) }
  }
}

/// Writes changed frames over its own side of the channel until it is killed; after so many it makes sure of that.
private struct WritesFrames: Job {
  var seed: UInt64
  var part: FrameSource.Part
  var limit: Int
  var counter: String
  func run() async throws -> [String: [Int]] {
    guard let memory = OwnMemory(), let tail = memory.parentsTail, let counter = FrameCounter(path: counter) else { return ["lost": []] }
    var source = FrameSource(seed: seed, part: part, damage: 20)
    // Its own place: the last one that it claimed.
    let claims = unsafe memory.words + RegionLayout.claims
    let position = (0..<RegionLayout.capacity).map { unsafe claims.load(fromByteOffset: 8 * $0, as: UInt64.self) }.max()! &- 1
    var head = memory.head
    var written = 0
    while written < limit {
      var batch = FrameTally()
      for _ in 0..<Int.random(in: 1...64, using: &source.random) {
        let (frame, change) = source.next(position: position)
        head = unsafe write(frame, to: memory.ring, at: head)
        batch.add(change)
      }
      written += batch.total
      publish(head, memory)
      // Only what was read counts. A worker that wrote what it may not waits here for its end.
      while unsafe tail.load(as: UInt64.self) != head { usleep(20) }
      counter.add(batch)
    }
    publish(head &+ 8, memory)
    // What it would answer now lies where its honest writer has never been: nobody could read it.
    while true { pause() }
  }
  private func publish(_ head: UInt64, _ memory: OwnMemory) {
    // It asks to be rung for whenever it is read, and takes no bell: who rings must not wait for it.
    unsafe memory.words.storeBytes(of: head | 1, toByteOffset: RegionLayout.wantsRoom, as: UInt64.self)
    Synchronization.atomicMemoryFence(ordering: .sequentiallyConsistent)
    unsafe memory.words.storeBytes(of: head, as: UInt64.self)
    unsafe send(3, "x", 1, Int32(MSG_DONTWAIT))
  }
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
