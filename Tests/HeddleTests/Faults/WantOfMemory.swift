import Glibc
import Heddle
import Testing

// What does not fit into a process's memory: the limit is the address space's (`ulimit -v`), as a batch system sets it.

/// From here on this process may have so much more memory, and no more.
///
/// Unit: MiB.
private func limitMemory(toMore mebibytes: Int) {
  let pages = (text(of: "/proc/self/statm") ?? "").split(separator: " ").first.flatMap { Int($0) } ?? 0
  var limit = rlimit()
  getrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
  limit.rlim_cur = rlim_t(pages * 4096 + mebibytes << 20)
  setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
}
/// Made at once: a String that grows would leave free memory behind.
private func text(mebibytes: Int) -> String {
  String(unsafeUninitializedCapacity: mebibytes << 20) { bytes in
    bytes.initialize(repeating: UInt8(ascii: "x"))
    return bytes.count
  }
}

private struct LimitsMemory: Job {
  var mebibytes: Int
  func run() async throws -> Int32 {
    limitMemory(toMore: mebibytes)
    return getpid()
  }
}
private struct TakesBytes: Job {
  var bytes: [UInt8]
  func run() async throws -> Int { bytes.count }
}
private struct TakesText: Job {
  var text: String
  func run() async throws -> Int { text.utf8.count }
}
private struct TakesBuffer: Job {
  var buffer: SharedBuffer<UInt8>
  func run() async throws -> Int { buffer.count }
}
private struct MakesBytes: Job {
  var mebibytes: Int
  func run() async throws -> [UInt8] { [UInt8](repeating: 1, count: mebibytes << 20) }
}
/// An array that has to be looked at before it is one, so that it is copied when it has come.
private struct MakesFlags: Job {
  var mebibytes: Int
  func run() async throws -> [Bool] { [Bool](repeating: true, count: mebibytes << 20) }
}
private struct MakesText: Job {
  var mebibytes: Int
  /// Leaves its worker no room to send it.
  var limits = false
  func run() async throws -> String {
    let text = text(mebibytes: mebibytes)
    if limits { limitMemory(toMore: mebibytes / 2) }
    return text
  }
}
private struct MakesBuffer: Job {
  var mebibytes: Int
  func run() async throws -> SharedBuffer<UInt8> { try SharedBuffer(count: mebibytes << 20) { _ in } }
}

/// In a worker: a host whose memory ends while its pool's worker has enough.
private struct Host: Job {
  func run() async throws -> [String] {
    try await withPool(1) { pool in
      let before = try await pool.submit(ProcessNumber()).value
      // The second can be encoded, and not be kept until it is sent.
      let arguments = [72, 36].map { TakesText(text: text(mebibytes: $0)) }
      limitMemory(toMore: 64)
      func told<J: Job>(_ job: J) async -> String {
        guard let error = await pool.submit(job).result.jobError else { return "no JobError" }
        return "\(error.code): \(error.message)"
      }
      var lines: [String] = []
      for argument in arguments { lines.append(await told(argument)) }
      lines.append(await told(MakesBytes(mebibytes: 72)))
      lines.append(await told(MakesText(mebibytes: 72)))
      // These come, and cannot be copied any more.
      lines.append(await told(MakesFlags(mebibytes: 36)))
      lines.append(await told(MakesText(mebibytes: 36)))
      lines.append(await told(MakesBuffer(mebibytes: 72)))
      do { _ = try SharedBuffer<UInt8>(count: 72 << 20) } catch { lines.append("\(error)") }
      // Among others that travel together only the one fails.
      for try await result in pool.map([1, 72, 1].map { MakesBytes(mebibytes: $0) }).results {
        lines.append(result.error.map { "\($0)" } ?? "mapped")
      }
      let after = try await pool.submit(ProcessNumber()).value
      lines.append(before == after ? "the same worker" : "another worker")
      return lines
    }
  }
}

extension Core {
  /// No memory for a buffer: an error of its job, and the pool goes on with the worker that it has.
  @Suite(.enabled(if: unsafe getenv("HEDDLE_TEST_SANITIZED") == nil)) struct WantOfMemory {
    @Test func `an argument that does not fit its worker fails its job alone`() async throws {
      try await withPool(1) { pool in
        let worker = try await pool.submit(LimitsMemory(mebibytes: 64)).value
        func expectRefusal<J: Job>(_ job: J, _ words: String) async {
          let error = await pool.submit(job).result.jobError
          #expect(error?.code == .notDecodable && error?.message.contains(words) == true, "\(J.self): \(error as Any)")
        }
        await expectRefusal(TakesBytes(bytes: [UInt8](repeating: 1, count: 72 << 20)), "no memory in its worker")
        await expectRefusal(TakesText(text: text(mebibytes: 72)), "no memory in its worker")
        // Its bytes fit, and what is made of them does not.
        await expectRefusal(TakesText(text: text(mebibytes: 36)), "no memory in its worker")
        await expectRefusal(TakesBuffer(buffer: try SharedBuffer(count: 72 << 20)), "Cannot allocate memory")
        let next = try await pool.submit(TakesBytes(bytes: [1, 2])).value
        #expect(next == 2)
        let last = try await pool.submit(ProcessNumber()).value
        #expect(last == worker)
      }
    }
    @Test func `a result that its worker has no memory to send fails its job alone`() async throws {
      try await withPool(1) { pool in
        let worker = try await pool.submit(ProcessNumber()).value
        let error = await pool.submit(MakesText(mebibytes: 72, limits: true)).result.jobError
        #expect(error?.code == .notEncodable && error?.message.contains("no memory in its worker") == true, "\(error as Any)")
        let next = try await pool.submit(Doubled(value: 4)).value
        #expect(next == 8)
        let last = try await pool.submit(ProcessNumber()).value
        #expect(last == worker)
      }
    }
    @Test func `what does not fit its host fails its job alone`() async throws {
      let told = try await withPool { pool in try await pool.submit(Host()).value }
      try #require(told.count == 12, "\(told)")
      for line in told[0...1] { #expect(line.hasPrefix("notEncodable") && line.contains("no memory in this process"), "\(line)") }
      for line in told[2...5] { #expect(line.hasPrefix("notDecodable") && line.contains("no memory in this process"), "\(line)") }
      #expect(told[6].contains("Cannot allocate memory") && told[7].contains("noMemory"), "\(told[6]) \(told[7])")
      #expect(told[8] == "mapped" && told[9].contains("no memory in this process") && told[10] == "mapped", "\(told[8...10])")
      #expect(told[11] == "the same worker")
    }
  }
}
