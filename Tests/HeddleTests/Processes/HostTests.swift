import Glibc
import Heddle
import HeddleSystem
import Testing

private func pids(in path: String) -> [Int32] { (text(of: path) ?? "").split(separator: "\n").compactMap { Int32($0) } }

/// In a worker: starts a process, says who both are, and goes on for ever.
private struct Family: Job {
  var path: String
  func run() async throws -> Int {
    let sleepers = [startSleeper(), startSleeper(inGroupOfItsOwn: true)]
    append(Array("\(getpid())\n\(sleepers[0])\n\(sleepers[1])\n".utf8), to: path)
    while true { pause() }
  }
}
/// In a worker: a whole program with a pool of two, which is then killed at a bad moment; what it dies of otherwise is the matter of `HostDeath`.
private struct Program: Job {
  enum End: String, Codable, CaseIterable { case stopsWorkersAndIsKilled, forksAndIsKilled }
  var end: End
  var path: String
  func run() async throws -> Int {
    // What is left is not to be found by the burial of this worker: its own workers have to see to it.
    forgetFamily()
    let pool = ProcessPoolExecutor(maxWorkers: 2)
    let futures = (0..<2).map { _ in pool.submit(Family(path: path)) }
    while pids(in: path).count < 6 { try await Task.sleep(for: .milliseconds(1)) }
    switch end {
    case .stopsWorkersAndIsKilled:
      for pid in pids(in: path) { kill(pid, SIGSTOP) }
      // The kernel wakes what is stopped when its parent dies, and not what is about to stop.
      while !pids(in: path).allSatisfy(isSuspended) { try await Task.sleep(for: .milliseconds(1)) }
    case .forksAndIsKilled:
      // It holds what its parent held, and lives on: it is in a group of its own, which nobody kills.
      let child = startSleeper(inGroupOfItsOwn: true)
      append(Array("\(child)".utf8), to: path + ".forked")
    }
    kill(getpid(), SIGKILL)
    return futures.count
  }
}
/// Whether all threads of this process but the caller sleep in the kernel, so that none is in the middle of something.
private func othersSleep() -> Bool {
  let own = link("/proc/thread-self")?.split(separator: "/").last.map(String.init)
  return names(in: "/proc/self/task").allSatisfy { $0 == own || processState(at: "/proc/self/task/\($0)") == "S" }
}

/// In a worker: what an executor does in a child of its process.
private struct Forks: Job {
  var path: String
  func run() async throws -> [Int] {
    let processes = ProcessPoolExecutor(maxWorkers: 1)
    let threads = ThreadPoolExecutor(maxWorkers: 1, configuration: ThreadPoolConfiguration(maxPending: 3))
    let held = processes.submit(Holds(started: path + ".started", gate: path + ".gate", value: 5))
    _ = try await threads.submit { 1 }.value
    while access(path + ".started", F_OK) != 0 { try await Task.sleep(for: .milliseconds(1)) }
    // A thread that is in the middle of something may hold a lock of the language's runtime (its table of conformances, where a type is used
    // for the first time), which the child then waits for until its alarm. That is every forked child's risk, and not what this is about.
    while !othersSleep() { sched_yield() }
    let child = forked()
    if child == 0 { await Self.checkChild(processes, threads, held) }
    var status: Int32 = 0
    waitpid(child, &status, 0)
    append([1], to: path + ".gate")
    let value = try await held.value
    let next = try await processes.submit(Doubled(value: 4)).value
    await processes.shutdown(.finishAll)
    await threads.shutdown(.finishAll)
    return [Int(status), value, next]
  }
  private static func checkChild(_ processes: ProcessPoolExecutor, _ threads: ThreadPoolExecutor, _ held: Future<Int>) async -> Never {
    // A wait without end ends here.
    alarm(5)
    func isShut(_ body: () throws -> Int) -> Bool {
      do {
        _ = try body()
        return false
      } catch { return (error as? JobError)?.code == .executorShutDown }
    }
    if !isShut({ try processes.submit(Doubled(value: 1)).wait() }) { _exit(11) }
    if !isShut({ try processes.submitBlocking(Doubled(value: 1)).wait() }) { _exit(12) }
    if !isShut({ try threads.submit { 1 }.wait() }) { _exit(13) }
    if !isShut({ try held.wait() }) { _exit(14) }
    if await wait(for: [held], until: .firstCompleted).pending.count != 1 { _exit(16) }
    if held.cancel() { _exit(15) }
    processes.resize(to: 2)
    _exit(0)
  }
}
/// In a worker: a pool where the process may open no more descriptors.
private struct Starves: Job {
  func run() async throws -> [String] {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let before = limit
    let pool = ProcessPoolExecutor(maxWorkers: 2)
    let open = names(in: "/proc/self/fd").count
    limit.rlim_cur = rlim_t(open + 4)
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let starved = await pool.submit(Doubled(value: 1)).result
    let none = ProcessPoolExecutor(maxWorkers: 1)
    limit.rlim_cur = 3
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    let unborn = ProcessPoolExecutor(maxWorkers: 1)
    let refused = await unborn.submit(Doubled(value: 1)).result
    var enough = before
    setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &enough)
    let fed = await pool.submit(Doubled(value: 2)).result
    for pool in [pool, none, unborn] { await pool.shutdown(.finishAll) }
    return [starved, refused, fed].map { "\($0)" }
  }
}
/// In a worker: a pool where no file may be as large as what it shares with its workers.
private struct Cramped: Job {
  func run() async throws -> [String] {
    var refusals: [String] = []
    let before = limitFiles(to: 1 << 20)
    // On this thread, which takes signals as a user's does: the kernel's answer to a file that is too large would be one.
    do { _ = try SharedMemory(byteCount: 2 << 20) } catch { refusals.append("\(error)") }
    let pool = ProcessPoolExecutor(maxWorkers: 1)
    let refused = await pool.submit(Doubled(value: 1)).result
    _ = limitFiles(to: before)
    let fed = await pool.submit(Doubled(value: 2)).result
    await pool.shutdown(.finishAll)
    return ["\(refused)", "\(fed)"] + refusals
  }
  private func limitFiles(to byteCount: rlim_t) -> rlim_t {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit)
    defer { setrlimit(__rlimit_resource_t(RLIMIT_FSIZE.rawValue), &limit) }
    let before = limit.rlim_cur
    limit.rlim_cur = byteCount
    return before
  }
}
/// In a worker: pools where there may be no more processes and threads.
private struct Crowded: Job {
  var group: String
  func run() async throws -> [String] {
    append(Array("\(getpid())".utf8), to: group + "/cgroup.procs")
    let threads = ThreadPoolExecutor(maxWorkers: 1)
    let pool = ProcessPoolExecutor(maxWorkers: 1)
    let count = text(of: group + "/pids.current")!.split(separator: "\n").first.map(String.init)!
    append(Array(count.utf8), to: group + "/pids.max")
    let noThread = await threads.submit { 1 }.result
    let noProcess = await pool.submit(Doubled(value: 1)).result
    let noPool = await ProcessPoolExecutor(maxWorkers: 1).submit(Doubled(value: 1)).result
    append(Array("max".utf8), to: group + "/pids.max")
    let thread = await threads.submit { 3 }.result
    let process = await pool.submit(Doubled(value: 2)).result
    await threads.shutdown(.finishAll)
    await pool.shutdown(.finishAll)
    return ["\(noThread)", "\(noProcess)", "\(noPool)", "\(thread)", "\(process)"]
  }
}
/// Makes a pool for a job like itself, for ever.
private struct Digs: Job {
  func run() async throws -> String {
    try await withExecutor(ProcessPoolExecutor(maxWorkers: 1)) { pool in
      do { return "." + (try await pool.submit(Digs()).value) } catch let error as JobError { return "\(error.code): \(error.message)" }
    }
  }
}

extension Core {
  /// What happens to the program around a pool: how it ends, forks, is stopped, and runs out of things.
  @Suite struct HostTests {
    @Test(arguments: Program.End.allCases)
    fileprivate func `a program that is killed at a bad moment leaves no worker and no grandchild after a second`(
      end: Program.End
    ) async throws {
      let scratch = Scratch()
      try await withPool { pool in
        let error = await pool.submit(Program(end: end, path: scratch.path("pids"))).result.jobError
        #expect(error?.code == .workerDied, "\(error as Any)")
      }
      let family = pids(in: scratch.path("pids"))
      #expect(family.count == 6)
      let child = pids(in: scratch.path("pids.forked")).first
      #expect((child == nil) == (end != .forksAndIsKilled) && child.map(isAlive) ?? true)
      defer { if let child { kill(child, SIGKILL) } }
      try await eventually("the end of \(family)", limit: .seconds(1)) { !family.contains(where: isAlive) }
    }
    @Test func `in a forked child executors read as shut, and the parent's go on`() async throws {
      let scratch = Scratch()
      let told = try await withPool { pool in try await pool.submit(Forks(path: scratch.path("fork"))).value }
      #expect(told == [0, 5, 8], "the child's status is \(told[0] >> 8)")
    }
    @Test func `a worker that was stopped while it idled does not keep the job that it is sent`() async throws {
      let scratch = Scratch()
      try await withPool(1) { pool in
        let number = try await pool.submit(ProcessNumber()).value
        #expect(kill(number, SIGSTOP) == 0)
        try await eventually("the stop") { isSuspended(number) }
        let futures = (0..<20).map { pool.submit(Marks(path: scratch.path("marks"), value: $0)) }
        for (number, future) in futures.enumerated() {
          let value = try await within("job \(number)", limit: .seconds(3)) { try await future.value }
          #expect(value == number)
        }
        let next = try await pool.submit(ProcessNumber()).value
        #expect(next != number && !isAlive(number))
      }
      #expect(scratch.count("marks") == 20)
    }
    @Test func `a worker that was stopped while it ran goes on with its job when it may`() async throws {
      struct Waits: Job {
        var started: String
        func run() async throws -> Int32 {
          append(Array("\(getpid())".utf8), to: started)
          block(50)
          return getpid()
        }
      }
      let scratch = Scratch()
      try await withPool { pool in
        let future = pool.submit(Waits(started: scratch.path("pid")))
        try await eventually("the job") { scratch.count("pid") > 0 }
        let worker = try #require(pids(in: scratch.path("pid")).first)
        kill(worker, SIGSTOP)
        try await Task.sleep(for: .milliseconds(700))
        #expect(!future.isDone)
        kill(worker, SIGCONT)
        let value = try await future.value
        #expect(value == worker)
      }
    }
    @Test func `without descriptors jobs fail with a reason, and go on when there are some`() async throws {
      let told = try await withPool { pool in try await pool.submit(Starves()).value }
      #expect(told[0].contains("workerNotStarted") && told[0].contains("Too many open files"), "\(told[0])")
      #expect(told[1].contains("workerNotStarted") && told[1].contains("Too many open files"), "\(told[1])")
      #expect(told[2] == "success(4)")
    }
    @Test func `where no file may be as large as a worker needs, jobs fail with a reason, and go on when one may`() async throws {
      let told = try await withPool { pool in try await pool.submit(Cramped()).value }
      #expect(told[0].contains("workerNotStarted") && told[0].contains("File too large"), "\(told[0])")
      #expect(told[1] == "success(4)")
      #expect(told.count == 3 && told[2].contains("File too large"), "\(told)")
    }
    @Test(.enabled(if: mkdir("/sys/fs/cgroup/pids/heddle-probe", 0o700) == 0 && rmdir("/sys/fs/cgroup/pids/heddle-probe") == 0))
    func `without processes and threads jobs fail with a reason, and go on when there may be some`() async throws {
      let group = "/sys/fs/cgroup/pids/heddle-test-\(getpid())"
      #expect(mkdir(group, 0o700) == 0)
      let told = try await withPool { pool in try await pool.submit(Crowded(group: group)).value }
      #expect(told[0].contains("workerNotStarted") && told[0].contains("No thread could be started"), "\(told[0])")
      #expect(told[1].contains("workerNotStarted") && told[1].contains("Resource temporarily unavailable"), "\(told[1])")
      #expect(told[2].contains("workerNotStarted") && told[2].contains("The pool could not be set up"), "\(told[2])")
      #expect(told[3] == "success(3)" && told[4] == "success(4)", "\(told[3]) \(told[4])")
      try await eventually("the end of the group") { rmdir(group) == 0 }
    }
    @Test func `pools in workers in workers are refused at some depth`() async throws {
      let told = try await withPool { pool in try await pool.submit(Digs()).value }
      #expect(told.hasPrefix(".......workerNotStarted: This process is a worker 8 levels deep"), "\(told)")
    }
  }
}
