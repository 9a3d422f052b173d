import Glibc
import Heddle
import HeddleSystem
import Testing

/// In a worker: a program with a pool and a buffer that its workers have, which is then killed.
private struct DiesWithBuffer: Job {
  var pids: String
  func run() async throws -> Int {
    let pool = ProcessPoolExecutor(maxWorkers: 2)
    let buffer = try SharedBuffer<Int32>(copying: 0..<100_000)
    let futures = (0..<2).map { _ in pool.submit(HoldsBuffer(buffer: buffer, started: pids, gate: pids + ".never")) }
    while (text(of: pids) ?? "").split(separator: "\n").count < 2 { usleep(500) }
    kill(getpid(), SIGKILL)
    return futures.count
  }
}
/// In a worker: makes buffers where memory is limited to 64 MB.
private struct MakesInGroup: Job {
  var group: String
  func run() async throws -> [String] {
    append(Array("\(getpid())".utf8), to: group + "/cgroup.procs")
    var told: [String] = []
    do { told.append("\(try SharedBuffer<UInt8>(count: 200 << 20).count)") } catch { told.append("\(error)") }
    let small = try SharedBuffer<UInt8>(count: 1 << 20)
    told.append("\(small.count)")
    // Several that fit one by one.
    var kept: [SharedBuffer<UInt8>] = []
    do { for _ in 0..<40 { kept.append(try SharedBuffer(count: 3 << 20)) } } catch { told.append("\(error)") }
    return told
  }
}
/// In a worker: a pool in a process that may open few descriptors.
private struct StarvesOfDescriptors: Job {
  func run() async throws -> [String] {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let enough = limit
    let pool = ProcessPoolExecutor(maxWorkers: 1)
    _ = try await pool.submit(Makes(count: 1)).value
    limit.rlim_cur = 64
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    var fillers: [Int32] = []
    func fill() { while case let number = dup(0), number >= 0 { fillers.append(number) } }
    // The pool's own thread may have one open for a moment, which is free then: once more.
    var received = "success"
    for _ in 0..<64 where received.hasPrefix("success") {
      fill()
      received = "\(await pool.submit(Makes(count: 3)).result)"
    }
    var made = "made"
    for _ in 0..<64 where made == "made" {
      fill()
      do { _ = try SharedBuffer<Int>(count: 1) } catch { made = "\(error)" }
    }
    for number in fillers { close(number) }
    var restored = enough
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &restored)
    let next = try await pool.submit(Makes(count: 3)).value.buffer.count
    await pool.shutdown(.finishAll)
    return [received, made, "\(next)"]
  }
}
/// What a process that has a buffer may do to it: each a number of what the kernel answered.
private struct Attacks: Job {
  var buffer: SharedBuffer<Int32>
  func run() async throws -> [Int32] {
    guard let number = ownBuffer() else { return [] }
    func answer(_ result: Int) -> Int32 { result == -1 ? errno : 0 }
    let size = buffer.count * 4
    let mapped = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED, number, 0)
    let writable = unsafe mapped == UnsafeMutableRawPointer(bitPattern: -1) ? errno : 0
    let again = unsafe open("/proc/self/fd/\(number)", O_RDWR)
    return [
      answer(Int(ftruncate(number, 0))), answer(Int(ftruncate(number, off_t(2 * size)))), writable,
      answer(Int(allocated(number, mode: 3, offset: 0, count: 4096))), answer(unsafe write(number, "x", 1)),
      answer(unsafe write(again, "x", 1)),
      buffer.withUnsafeBufferPointer { answer(Int(unsafe mprotect(UnsafeMutableRawPointer(mutating: $0.baseAddress!), size, 3))) },
    ]
  }
}

/// Keeps a buffer for the jobs of its worker.
private struct KeepsTable: Job {
  var table: SharedBuffer<Int32>
  func run() async throws -> Bool {
    WorkerState.set(table)
    return true
  }
}
/// Has the worker's table added up in a worker of its own.
private struct AsksTable: Job {
  func run() async throws -> Int {
    guard let table = WorkerState.get(SharedBuffer<Int32>.self) else { return -1 }
    return try await withExecutor(ProcessPoolExecutor(maxWorkers: 1)) { pool in try await pool.submit(Sums(buffer: table)).value.sum }
  }
}

extension Core {
  /// A buffer is freed when its last user has gone, whatever became of the others.
  @Suite struct SharedBufferFaults {
    private func ended(_ what: String, _ pids: [Int32] = []) async throws {
      try await eventually("the end of the buffers of \(what)") { bufferUses() == 0 && pids.allSatisfy { bufferUses(of: $0) == 0 } }
    }

    @Test(arguments: [Fault.trap, .killedFromOutside, .signal(11), .exit0, .closedChannel, .corruptedChannel, .signal(7)])
    func `a worker that dies with a buffer costs its job, or nothing where it may run again`(fault: Fault) async throws {
      let scratch = Scratch()
      append([1], to: scratch.path("gate"))
      try await withSubject(.processes, workers: 1) { pool in
        let buffer = try SharedBuffer<Int32>(copying: 0..<1000)
        let again = HoldsBuffer(buffer: buffer, started: scratch.path("again"), gate: scratch.path("gate"), fault: fault)
        let sum = try await pool.submit(again, options: JobOptions(retry: RetryPolicy(crashes: 1))).value
        #expect(sum == 499_500)
        let once = HoldsBuffer(buffer: buffer, started: scratch.path("once"), gate: scratch.path("gate"), fault: fault)
        let error = await pool.submit(once).result.jobError
        #expect(error?.code == .workerDied)
        #expect(buffer[999] == 999)
      }
      try await ended("the dead")
    }
    @Test func `a worker that dies before it reads a buffer leaves it to another`() async throws {
      try await withSubject(.processes, workers: 1) { pool in
        for _ in 0..<5 {
          let number = try await pool.submit(ProcessNumber()).value
          kill(number, SIGSTOP)
          try await eventually("the stop") { text(of: "/proc/\(number)/stat")?.contains(") T") == true }
          let futures = try (0..<3).map { pool.submit(Sums(buffer: try SharedBuffer(copying: [Int32($0)]))) }
          kill(number, SIGKILL)
          for (index, future) in futures.enumerated() {
            let answer = try await future.value
            #expect(answer.sum == index)
          }
        }
      }
      try await ended("the dead")
    }
    @Test func `a worker that dies after its result has handed its buffer over`() async throws {
      struct MakesAndDies: Job {
        func run() async throws -> SharedBuffer<Int32> {
          let buffer = try SharedBuffer<Int32>(copying: 0..<100)
          // Some time after the result is written.
          Task.detached {
            usleep(3000)
            kill(getpid(), SIGKILL)
          }
          return buffer
        }
      }
      try await withSubject(.processes, workers: 2) { pool in
        for _ in 0..<10 {
          let future = pool.submit(MakesAndDies())
          let result = await future.result
          if let buffer = try? result.get() {
            #expect(buffer.elementsEqual(0..<100))
          } else {
            #expect(result.jobError?.exit == .signal(9))
          }
        }
      }
      try await ended("the dead")
    }
    @Test func `cancelled, refused and late jobs let go of their buffers`() async throws {
      let scratch = Scratch()
      try await withSubject(.processes, workers: 1) { pool in
        func make(_ name: String) throws -> HoldsBuffer {
          HoldsBuffer(buffer: try SharedBuffer(copying: [1, 2]), started: scratch.path(name), gate: scratch.path("gate"))
        }
        let running = pool.submit(try make("running"))
        try await eventually("the job") { scratch.count("running") > 0 }
        let waiting = try (0..<5).map { _ in pool.submit(try make("waiting")) }
        for future in waiting { #expect(future.cancel()) }
        #expect(running.cancel())
        let error = await running.result.jobError
        #expect(error?.code == .cancelled)
        let late = pool.submit(try make("late"), options: JobOptions(timeout: .milliseconds(50)))
        let lateError = await late.result.jobError
        #expect(lateError?.code == .timedOut)
        // 129 are more than one message carries.
        struct Heap: Job {
          var buffers: [SharedBuffer<Int32>]
          func run() async throws -> Int { buffers.count }
        }
        let refused = await pool.submit(Heap(buffers: try (0..<129).map { _ in try SharedBuffer(count: 1) })).result.jobError
        #expect(refused?.code == .notEncodable && refused?.message.contains("129") == true)
        let most = try await pool.submit(Heap(buffers: try (0..<128).map { _ in try SharedBuffer(count: 1) })).value
        #expect(most == 128)
        struct Unfit: Codable, Sendable {
          var buffer: SharedBuffer<Int32>
          init() throws { buffer = try SharedBuffer(count: 4) }
          func encode(to encoder: any Encoder) throws {
            try buffer.encode(to: encoder)
            throw Refusal(code: 1, reason: "no")
          }
        }
        let unfit = await pool.submit(Echo(value: try Unfit())).result.jobError
        #expect(unfit?.code == .notEncodable)
        let pid = try await pool.submit(ProcessNumber()).value
        try await ended("all that ended", [pid])
        await pool.shutdown(.finishAll)
        let refusedLate = await pool.submit(try make("shut")).result.jobError
        #expect(refusedLate?.code == .executorShutDown)
      }
      try await ended("all")
    }
    @Test func `after a job neither side holds its buffer any longer`() async throws {
      try await withSubject(.processes, workers: 1) { pool in
        let sum = try await pool.submit(Sums(buffer: try SharedBuffer(copying: [5, 6]))).value.sum
        let count = try await pool.submit(Makes(count: 100)).value.buffer.count
        #expect(sum == 11 && count == 100)
        let pid = try await pool.submit(ProcessNumber()).value
        try await ended("both", [pid])
      }
    }
    @Test func `what is shared does not count against a worker's memory limits`() async throws {
      let pool = ProcessPoolExecutor(
        maxWorkers: 1, configuration: ProcessPoolConfiguration(softMemoryLimit: 90 << 20, memoryLimit: 100 << 20))
      struct Reads: Job {
        var buffer: SharedBuffer<Int32>
        func run() async throws -> [Int] {
          var sum = 0
          for index in stride(from: 0, to: buffer.count, by: 256) { sum += Int(buffer[index]) }
          block(50)
          return [sum, Int(getpid())]
        }
      }
      let buffer = try SharedBuffer<Int32>(count: 40 << 20)
      let first = await pool.submit(Reads(buffer: buffer)).result
      let second = await pool.submit(Reads(buffer: buffer)).result
      #expect(try first.get() == second.get(), "the same worker")
      await pool.shutdown(.finishAll)
    }
    @Test func `an initializer brings a table that all jobs of a worker read, and jobs hand it on to pools of their own`() async throws {
      let table = try SharedBuffer<Int32>(copying: [3, 4])
      let pool = ProcessPoolExecutor(maxWorkers: 2, configuration: ProcessPoolConfiguration(initializer: KeepsTable(table: table)))
      let sums = (0..<6).map { _ in pool.submit(AsksTable()) }
      for future in sums {
        let sum = try await future.value
        #expect(sum == 7)
      }
      await pool.shutdown(.finishAll)
    }
    @Test func `a host that is killed leaves neither memory nor a name`() async throws {
      let scratch = Scratch()
      let before = names(in: "/dev/shm").sorted()
      try await withSubject(.processes, workers: 1) { pool in
        let error = await pool.submit(DiesWithBuffer(pids: scratch.path("pids"))).result.jobError
        #expect(error?.exit == .signal(9))
      }
      let pids = (text(of: scratch.path("pids")) ?? "").split(separator: "\n").compactMap { Int32($0) }
      #expect(pids.count == 2)
      try await ended("the host", pids)
      for pid in pids { try await eventually("the end of \(pid)", limit: .seconds(1)) { kill(pid, 0) != 0 || bufferUses(of: pid) == 0 } }
      #expect(names(in: "/dev/shm").sorted() == before)
    }
    @Test func `the kernel keeps a job from changing a buffer that it may only read`() async throws {
      try await withSubject(.processes, workers: 1) { pool in
        let answers = try await pool.submit(Attacks(buffer: try SharedBuffer(count: 4096))).value
        #expect(answers == [EPERM, EPERM, EPERM, EPERM, EPERM, EPERM, EACCES])
      }
    }
    @Test func `where there are no descriptors it is said, and the next job goes on`() async throws {
      let told = try await withSubject(.processes, workers: 1) { pool in try await pool.submit(StarvesOfDescriptors()).value }
      #expect(told[0].contains("notDecodable") && told[0].contains("Too many open files"), "\(told[0])")
      #expect(told[1].contains("noDescriptor"), "\(told[1])")
      #expect(told[2] == "3")
    }
    @Test(.enabled(if: mkdir("/sys/fs/cgroup/memory/heddle-probe", 0o700) == 0 && rmdir("/sys/fs/cgroup/memory/heddle-probe") == 0))
    func `where a control group is full it is said, and nobody is killed`() async throws {
      let group = "/sys/fs/cgroup/memory/heddle-test-\(getpid())"
      #expect(mkdir(group, 0o700) == 0)
      append(Array("\(64 << 20)".utf8), to: group + "/memory.limit_in_bytes")
      let told = try await withSubject(.processes, workers: 1) { pool in try await pool.submit(MakesInGroup(group: group)).value }
      #expect(told.count == 3 && told[0].hasPrefix("noMemory") && told[1] == "\(1 << 20)" && told[2].hasPrefix("noMemory"), "\(told)")
      try await eventually("the end of the group") { rmdir(group) == 0 }
    }
  }
}
