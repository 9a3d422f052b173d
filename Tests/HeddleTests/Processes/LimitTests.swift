import Glibc
import Heddle
import HeddleSystem
import Synchronization
import Testing

/// Which process runs it.
struct ProcessNumber: Job {
  func run() async throws -> Int32 { getpid() }
}
/// Takes memory and keeps it for as long as its worker lives.
struct Hoards: Job {
  var byteCount: Int
  func run() async throws -> Int32 {
    hoard(byteCount)
    return getpid()
  }
}
/// Takes memory for ever.
struct Swells: Job {
  var started: String
  func run() async throws -> Int {
    append([1], to: started)
    while true { hoard(4 << 20) }
  }
}
private func hoard(_ byteCount: Int) {
  let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 4096)
  for offset in stride(from: 0, to: byteCount, by: 4096) { memory.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self) }
}

extension Core {
  /// Workers that make room for others: because of their jobs, their memory, their idleness, or the pool's size.
  @Suite struct LimitTests {
    @Test func `a worker makes room for a new one after jobsPerWorker jobs`() async throws {
      try await withPool(1, ProcessPoolConfiguration(jobsPerWorker: 3)) { pool in
        var numbers: [Int32] = []
        for _ in 0..<9 { numbers.append(try await pool.submit(ProcessNumber()).value) }
        #expect(numbers == [0, 0, 0, 3, 3, 3, 6, 6, 6].map { numbers[$0] })
        #expect(Set(numbers).count == 3)
      }
    }
    @Test func `of a flood no worker runs more than jobsPerWorker, also when jobs behind it are cancelled`() async throws {
      let scratch = Scratch()
      try await withPool(2, ProcessPoolConfiguration(jobsPerWorker: 7)) { pool in
        let futures = (0..<300).map { _ in pool.submit(ProcessNumber()) }
        let cancelled = (0..<60).map { _ in pool.submit(Marks(path: scratch.path("marks"))) }
        for future in cancelled { future.cancel() }
        var runs: [Int32: Int] = [:]
        for future in futures { runs[try await future.value, default: 0] += 1 }
        #expect(runs.values.allSatisfy { $0 <= 7 } && runs.values.reduce(0, +) == 300, "\(runs)")
        _ = await wait(for: cancelled)
      }
    }
    @Test func `a worker that has grown past the soft limit makes room after its job, and a small one stays`() async throws {
      try await withPool(1, ProcessPoolConfiguration(softMemoryLimit: 150 << 20)) { pool in
        let first = try await pool.submit(ProcessNumber()).value
        let same = try await pool.submit(Hoards(byteCount: 1 << 20)).value
        #expect(same == first)
        let grown = try await pool.submit(Hoards(byteCount: 200 << 20)).value
        #expect(grown == first, "the job is not disturbed")
        let next = try await pool.submit(ProcessNumber()).value
        #expect(next != first)
      }
    }
    @Test func `a job whose worker grows past the hard limit fails with memoryLimitExceeded, and nobody else`() async throws {
      let scratch = Scratch()
      try await withPool(2, ProcessPoolConfiguration(memoryLimit: 200 << 20)) { pool in
        let good = (0..<50).map { pool.submit(Marks(path: scratch.path("marks"), value: $0)) }
        let bad = pool.submit(Swells(started: scratch.path("once")), options: JobOptions(label: "the big one"))
        let twice = pool.submit(
          Swells(started: scratch.path("twice")), options: JobOptions(retry: RetryPolicy(memory: 1, backoff: .immediate)))
        let more = (50..<100).map { pool.submit(Marks(path: scratch.path("marks"), value: $0)) }
        let error = try #require(await bad.result.jobError)
        #expect(error.code == .memoryLimitExceeded && error.exit == .signal(9) && error.attempt == 1)
        #expect(error.message.hasPrefix("the big one: ") && error.message.contains("more than its limit of 210 MB"), "\(error)")
        #expect(error.peakMemory ?? 0 > 200 << 20 && error.peakMemory ?? .max < 1 << 30, "\(error.peakMemory ?? 0)")
        let second = await twice.result.jobError
        #expect(second?.code == .memoryLimitExceeded && second?.attempt == 2)
        for (number, future) in (good + more).enumerated() {
          let value = try await future.value
          #expect(value == number)
        }
      }
      #expect(scratch.count("marks") == 100 && scratch.count("once") == 1 && scratch.count("twice") == 2)
    }
    @Test func `a worker without a job ends after the idle time, and the next job starts one`() async throws {
      try await withPool(2, ProcessPoolConfiguration(idleTimeout: .milliseconds(100))) { pool in
        let before = Footprint.now().children.count
        for _ in 0..<3 {
          let futures = (0..<2).map { _ in pool.submit(Naps(milliseconds: 30)) }
          for future in futures { _ = try await future.value }
          #expect(Footprint.now().children.count > before)
          try await eventually("the end of idle workers") { Footprint.now().children.count == before }
        }
      }
    }
    @Test func `a worker that has jobs does not idle`() async throws {
      try await withPool(1, ProcessPoolConfiguration(idleTimeout: .milliseconds(40))) { pool in
        let first = try await pool.submit(ProcessNumber()).value
        let future = pool.submit(Blocks(milliseconds: 300, value: 1))
        _ = try await future.value
        for _ in 0..<100 {
          let number = try await pool.submit(ProcessNumber()).value
          #expect(number == first)
        }
      }
    }
    @Test func `a larger pool runs more jobs at once, a smaller one fewer, and nothing is lost`() async throws {
      let scratch = Scratch()
      try await withPool(1, ProcessPoolConfiguration(maxPending: 20)) { pool in
        let before = Footprint.now().children.count
        let holding = (0..<4).map {
          pool.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: $0))
        }
        try await eventually("one job") { scratch.count("started") == 1 }
        pool.resize(to: 4)
        #expect(pool.maxWorkers == 4)
        try await eventually("four jobs at once") { scratch.count("started") == 4 }
        pool.resize(to: 1)
        #expect(Footprint.now().children.count - before == 4, "those that run a job keep it")
        append([1], to: scratch.path("gate"))
        for (number, future) in holding.enumerated() {
          let value = try await future.value
          #expect(value == number)
        }
        try await eventually("three fewer workers") { Footprint.now().children.count - before == 1 }
        let numbers = (0..<20).map { _ in pool.submit(ProcessNumber()) }
        var processes: Set<Int32> = []
        for number in numbers { processes.insert(try await number.value) }
        #expect(processes.count == 1)
      }
    }
    @Test func `resizing at random under a flood loses nothing and runs nothing twice`() async throws {
      let scratch = Scratch()
      let marks = scratch.path("marks")
      // Workers come and go with every resizing: on a loaded machine, or sanitized, each takes long to start, and the test has its limit.
      let count = Fault.isSanitized ? 400 : 1000
      try await withPool(2, ProcessPoolConfiguration(jobsPerWorker: 50)) { pool in
        let isOver = Locked(false)
        let resizing = Task {
          while !isOver.withLock({ $0 }) {
            pool.resize(to: Int.random(in: 1...4))
            try await Task.sleep(for: .milliseconds(10))
          }
        }
        let futures = (0..<count).map { pool.submit(Marks(path: marks, value: $0)) }
        for (number, future) in futures.enumerated() {
          let value = try await future.value
          #expect(value == number)
        }
        isOver.withLock { $0 = true }
        try await resizing.value
      }
      #expect(scratch.count("marks") == count)
    }
    @Test(.enabled(if: MemoryGroup.isPossible, "no memory cgroup can be made here"))
    func `a worker that the kernel kills for want of memory says so`() async throws {
      let group = try #require(MemoryGroup(limit: 300 << 20))
      try await withPool(1, ProcessPoolConfiguration()) { pool in
        let told = try await pool.submit(RunsOutOfMemory(group: group.folder)).value
        #expect(told.code == .memoryLimitExceeded && told.exit == "SIGKILL", "\(told)")
        #expect(told.message.contains("memory ran out"), "\(told)")
      }
      try await eventually("the end of the group") { group.remove() }
    }
  }
}

/// A control group with a memory limit, where this process may make one.
private final class MemoryGroup: Sendable {
  let folder: String
  private static let root = "/sys/fs/cgroup/memory"
  static var isPossible: Bool {
    let path = root + "/heddle-probe-\(getpid())"
    guard mkdir(path, 0o700) == 0 else { return false }
    return rmdir(path) == 0
  }
  init?(limit: Int) {
    folder = Self.root + "/heddle-test-\(getpid())"
    guard mkdir(folder, 0o700) == 0 else { return nil }
    append(Array("\(limit)".utf8), to: folder + "/memory.limit_in_bytes")
  }
  func remove() -> Bool { rmdir(folder) == 0 || errno == ENOENT }
}
/// In a worker: enters the group and lets a worker of its own run out of memory.
private struct RunsOutOfMemory: Job {
  struct Told: Codable, Sendable {
    var code: JobError.Code
    var exit: String
    var message: String
  }
  var group: String
  func run() async throws -> Told {
    append(Array("\(getpid())".utf8), to: group + "/cgroup.procs")
    return try await withExecutor(ProcessPoolExecutor(maxWorkers: 1)) { pool in
      // Before the first shortage there is a worker, so that the kernel's count has been looked at.
      _ = try await pool.submit(ProcessNumber()).value
      guard let error = await pool.submit(Hoards(byteCount: 1 << 30)).result.jobError else { throw Refusal(code: 1, reason: "no error") }
      return Told(code: error.code, exit: error.exit.map { "\($0)" } ?? "", message: error.message)
    }
  }
}
