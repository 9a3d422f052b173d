import Glibc
import Heddle
import HeddleSystem
import Testing

/// Marks each SIGTERM that it gets, and so does a process that it has started; both may leave then.
private struct Heeds: Job {
  var path: String
  var leaves: Bool
  func run() async throws -> Int {
    unsafe marks = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    if leaves {
      signal(SIGTERM) { _ in
        mark()
        _exit(0)
      }
    } else {
      signal(SIGTERM) { _ in mark() }
    }
    append(Array("\(getpid())\n".utf8), to: path + ".pid")
    // Says that it is there once its trap is set.
    unsafe system("(trap 'printf x >> \(path); exit' TERM; sh -c 'echo $PPID' >> \(path).pid; sleep 600 & wait) &")
    while true { pause() }
  }
}
/// What the handlers above write to; a C function has no other way to know.
nonisolated(unsafe) private var marks: Int32 = -1
private func mark() {
  var byte: UInt8 = 1
  _ = unsafe write(marks, &byte, 1)
}

/// Has its worker take SIGTERM as a byte in a pipe, which the next job reads.
private struct TakesSignals: Job {
  func run() async throws -> Int32 {
    let ends = openPipe()
    unsafe (marks, signals) = (ends.writing, ends.reading)
    signal(SIGTERM) { _ in mark() }
    return getpid()
  }
}
/// Returns as soon as it is asked to stop.
private struct ReturnsWhenAsked: Job {
  func run() async throws -> Int {
    var byte: UInt8 = 0
    while unsafe read(signals, &byte, 1) != 1 {}
    return 1
  }
}
nonisolated(unsafe) private var signals: Int32 = -1

/// A pipe that is not close-on-exec.
private func openPipe() -> (reading: Int32, writing: Int32) {
  var ends: [Int32] = [-1, -1]
  _ = unsafe pipe(&ends)
  return (ends[0], ends[1])
}
/// In a worker: a pool whose workers' standard error goes into a full pipe that nobody reads.
private struct Clogs: Job {
  func run() async throws -> [Int] {
    let ends = openPipe()
    guard dup2(ends.writing, 2) == 2 else { return [] }
    close(ends.writing)
    return try await withPool(2) { pool in
      let flood = pool.submit(Shouts(lines: 40_000))
      var sum = 0
      for number in 0..<300 { sum += try await pool.submit(Doubled(value: number)).value }
      let wasHeldUp = flood.isDone ? 0 : 1
      // Somebody reads again: the flood goes on where it was.
      let reader = try OSThread(name: "heddle-test-reader") {
        var buffer = [UInt8](repeating: 0, count: 1 << 16)
        while unsafe read(ends.reading, &buffer, buffer.count) > 0 {}
      }
      let lines = try await flood.value
      let null = open("/dev/null", O_WRONLY)
      dup2(null, 2)
      close(null)
      reader.join()
      close(ends.reading)
      return [sum, wasHeldUp, lines]
    }
  }
}
private struct Shouts: Job {
  var lines: Int
  func run() async throws -> Int {
    for number in 0..<lines {
      let line = "line \(number) of a flood that fills every pipe on its way\n"
      _ = unsafe write(2, line, line.utf8.count)
    }
    return lines
  }
}
/// Prints, and leaves a byte for each thousand lines.
private struct PrintsLines: Job {
  var lines: Int
  var path: String
  func run() async throws -> Int {
    for number in 1...lines {
      print("line \(number) of a flood that is long enough to fill whatever it goes into, some day")
      if number % 1000 == 0 { append([1], to: path) }
    }
    return lines
  }
}
/// In a worker: a pool whose host's standard error has no reader any more.
private struct Mutes: Job {
  func run() async throws -> Int {
    let ends = openPipe()
    guard dup2(ends.writing, 2) == 2 else { return -1 }
    close(ends.reading)
    close(ends.writing)
    signal(SIGPIPE, SIG_DFL)
    return try await withPool { pool in try await pool.submit(Shouts(lines: 2000)).value }
  }
}
/// Leaves a process behind that holds the worker's standard error, perhaps in a session of its own, and ends its worker.
private struct LeavesDaemon: Job {
  var path: String
  var hasSession = true
  func run() async throws -> Int {
    if hasSession {
      // With another environment nobody can tell whose it is.
      unsafe system("env -i $(command -v setsid) $(command -v sleep) 600 & echo $! > \(path)")
      while let daemon = Int32((text(of: path) ?? "").dropLast()), getsid(daemon) != daemon { usleep(500) }
    } else {
      append(Array("\(startSleeper())\n".utf8), to: path)
    }
    exit(3)
  }
}
/// In a worker: a pool whose worker is killed while it sleeps, just before it is rung for.
private struct RingsForTheDead: Job {
  func run() async throws -> Int {
    signal(SIGPIPE, SIG_DFL)
    return try await withPool { pool in
      var sum = 0
      for round in 0..<120 {
        let pid = try await pool.submit(ProcessNumber()).value
        // It sleeps after some 30 µs without a job. Then it dies: its socket closes before anybody is told of its end.
        usleep(300)
        kill(pid, SIGKILL)
        let begin = MonotonicTime.now
        while MonotonicTime.now - begin < .microseconds(round * 10) {}
        sum += try await pool.submit(Doubled(value: 1)).value
      }
      return sum
    }
  }
}
/// In a worker: what its own worker finds open, where this process has a descriptor that is not close-on-exec.
private struct LeavesOpen: Job {
  func run() async throws -> [String] {
    let ends = openPipe()
    guard let name = link("/proc/self/fd/\(ends.reading)") else { return ["no pipe"] }
    let found = try await withPool { pool in try await pool.submit(Lists()).value }
    close(ends.reading)
    close(ends.writing)
    return found.filter { $0 == name } + (found.isEmpty ? ["nothing at all"] : [])
  }
}
private struct Lists: Job {
  func run() async throws -> [String] { names(in: "/proc/self/fd").compactMap { link("/proc/self/fd/\($0)") } }
}
/// In a worker: a pool where /dev/shm is full, or is not there.
private struct NoShelf: Job {
  /// Whether this process may have a view of the file systems of its own.
  static var isPossible: Bool {
    // Asked in a process of its own, since there is no way back.
    unsafe system("unshare --mount true 2>/dev/null") == 0
  }
  var isMissing: Bool
  func run() async throws -> [Int] {
    // CLONE_NEWNS; MS_REC | MS_PRIVATE. For this thread and those that it starts from now on.
    guard shared("unshare", 0x20000) == 0, unsafe mount("none", "/", nil, 0x4000 | 0x40000, nil) == 0 else { return [-1] }
    if isMissing {
      guard unsafe mount("none", "/dev", "tmpfs", 0, "size=4k") == 0, access("/dev/shm", F_OK) != 0 else { return [-2] }
      // What every program may count on is kept.
      let null = unsafe mknod("/dev/null", mode_t(S_IFCHR) | 0o666, 0x103)
      guard null == 0 else { return [-3] }
    } else {
      guard unsafe mount("none", "/dev/shm", "tmpfs", 0, "size=4k") == 0 else { return [-4] }
      append([UInt8](repeating: 1, count: 8192), to: "/dev/shm/filler")
      guard bytes(of: "/dev/shm/filler")?.count == 4096 else { return [-5] }
    }
    return try await withPool { pool in
      let small = try await pool.submit(Doubled(value: 4)).value
      let bytes = pattern(5_000_000, seed: 3)
      let large = try await pool.submit(Consumes(bytes: bytes)).value
      return [small, large == checksum(bytes) ? 1 : 0]
    }
  }
  private func shared(_ name: String, _ flags: Int32) -> Int32 {
    typealias Call = @convention(c) (Int32) -> Int32
    return unsafe unsafeBitCast(dlsym(nil, name), to: Call.self)(flags)
  }
}

extension Core {
  /// How workers are stopped, and what must not reach the program around them.
  @Suite struct StopTests {
    @Test(arguments: [true, false]) func `a job out of time is told by SIGTERM, and killed after the grace where it does not leave`(
      leaves: Bool
    ) async throws {
      let scratch = Scratch()
      try await withPool { pool in
        let future = pool.submit(Heeds(path: scratch.path("marks"), leaves: leaves), options: JobOptions(timeout: .seconds(1)))
        let error = await future.result.jobError
        #expect(error?.code == .timedOut, "\(error as Any)")
        let pids = (text(of: scratch.path("marks.pid")) ?? "").split(separator: "\n").compactMap { Int32($0) }
        #expect(pids.count == 2)
        try await eventually("the end of \(pids)", limit: .seconds(5)) { !pids.contains(where: isAlive) }
        // Once the worker has left nothing of its group is waited for: the other may not have come to its handler.
        let marks = scratch.count("marks")
        #expect(marks == 2 || leaves && marks == 1, "SIGTERM comes before SIGKILL, once to each")
      }
    }
    @Test func `where our standard error takes no more, who prints waits and nobody else`() async throws {
      let told = try await withPool { pool in try await pool.submit(Clogs()).value }
      #expect(told == [300 * 299, 1, 40_000])
    }
    @Test func `nothing that lies behind a stopped job starts in its worker`() async throws {
      for round in 0..<4 {
        try await withPool(1) { pool in
          let stopped = try await pool.submit(TakesSignals()).value
          // Short jobs, so that it may hold several.
          for future in (0..<400).map({ pool.submit(Doubled(value: $0)) }) { _ = try await future.value }
          let job = pool.submit(ReturnsWhenAsked())
          let behind = (0..<3).map { _ in pool.submit(ProcessNumber()) }
          // At once: a millisecond later what lies behind a long job is taken back anyway.
          while job.state == .pending {}
          #expect(job.cancel())
          let code = await job.result.jobError?.code
          #expect(code == .cancelled)
          for future in behind {
            let worker = try await within("a job of round \(round)") { try await future.value }
            #expect(worker != stopped)
          }
        }
      }
    }
    @Test func `a standard error that nobody reads any more ends nobody`() async throws {
      let lines = try await withPool { pool in try await pool.submit(Mutes()).value }
      #expect(lines == 2000)
    }
    @Test func `a process that keeps a dead worker's standard error open holds up nobody`() async throws {
      let scratch = Scratch()
      defer { if let daemon = Int32((text(of: scratch.path("daemon")) ?? "").dropLast()) { kill(daemon, SIGKILL) } }
      try await withPool { pool in
        let error = await pool.submit(LeavesDaemon(path: scratch.path("daemon"))).result.jobError
        #expect(error?.exit == .code(3), "\(error as Any)")
        let next = try await pool.submit(Doubled(value: 3)).value
        #expect(next == 6)
      }
      let daemon = try #require(Int32((text(of: scratch.path("daemon")) ?? "").dropLast()))
      #expect(isAlive(daemon), "what has a session of its own is out of reach")
    }
    @Test func `a worker that ends by itself takes with it what its job has started`() async throws {
      let scratch = Scratch()
      try await withPool { pool in
        let error = await pool.submit(LeavesDaemon(path: scratch.path("child"), hasSession: false)).result.jobError
        #expect(error?.exit == .code(3), "\(error as Any)")
        let child = try #require(Int32((text(of: scratch.path("child")) ?? "").dropLast()))
        try await eventually("the end of \(child)", limit: .seconds(5)) { !isAlive(child) }
      }
    }
    @Test func `a handler that is behind holds up who prints, so that what waits for it is bounded`() async throws {
      let gate = ThreadGate()
      let pool = ProcessPoolExecutor(maxWorkers: 1, configuration: ProcessPoolConfiguration(output: .lines { _ in gate.wait() }))
      let scratch = Scratch()
      let lines = 100_000
      let flood = pool.submit(PrintsLines(lines: lines, path: scratch.path("lines")))
      // It comes to a standstill: the pipe and what may wait are full.
      var last = -1
      try await eventually("a standstill") {
        let now = scratch.count("lines")
        defer { last = now }
        block(200)
        return now > 0 && now == last
      }
      #expect(!flood.isDone && scratch.count("lines") < lines / 1000, "\(scratch.count("lines")) thousands of lines")
      gate.open()
      try await within("the flood") { _ = try await flood.value }
      #expect(scratch.count("lines") == lines / 1000)
      try await within("shutdown") { await pool.shutdown(.finishAll) }
    }
    @Test func `a bell for a worker that has just died ends nobody`() async throws {
      let sum = try await withPool { pool in try await pool.submit(RingsForTheDead()).value }
      #expect(sum == 240)
    }
    @Test func `a worker holds no descriptor of the program around it`() async throws {
      let found = try await withPool { pool in try await pool.submit(LeavesOpen()).value }
      #expect(found == [])
    }
    @Test(.enabled(if: NoShelf.isPossible, "this process may not mount file systems"), arguments: [false, true])
    func `a pool needs no room in dev shm`(isMissing: Bool) async throws {
      let told = try await withPool { pool in try await pool.submit(NoShelf(isMissing: isMissing)).value }
      #expect(told == [8, 1], "\(told)")
    }
  }
}
