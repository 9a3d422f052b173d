import Glibc
import Heddle

func checkProcesses(_ pool: ProcessPoolExecutor) async {
  await check("processes: jobs run in other processes") {
    let pids = try await withThrowingTaskGroup(of: Int32.self) { group in
      for _ in 0..<8 { group.addTask { try await pool.submit(Blocker(milliseconds: 10)).value } }
      return try await group.reduce(into: Set()) { $0.insert($1) }
    }
    try expect(!pids.contains(getpid()))
    try expect(pids.count <= 2)
  }
  for misfortune in Misfortune.allCases {
    await check("processes: \(misfortune) in the middle of 1000 good jobs costs one job") {
      let futures = (0..<1001).map { pool.submit(Unlucky(misfortune: $0 == 500 ? misfortune : nil, number: $0)) }
      for (number, future) in futures.enumerated() where number != 500 {
        try expect(try await future.value, Outcome(number: number))
      }
      await expectError(futures[500]) { isRight($0, for: misfortune) }
    }
  }
  await check("processes: what cannot be encoded fails alone") {
    let before = pool.submit(Square(number: 2))
    await expectError(pool.submit(Unsendable())) { ($0 as? JobError)?.code == .notEncodable }
    try await expect(before.value, 4)
  }
  await check("processes: a time limit and cancel() stop a running job") {
    let clock = ContinuousClock()
    let start = clock.now
    await expectError(pool.submit(Blocker(milliseconds: 20_000), options: JobOptions(timeout: .milliseconds(100)))) {
      ($0 as? JobError)?.code == .timedOut
    }
    let future = pool.submit(Blocker(milliseconds: 20_000))
    while future.state != .running { usleep(1000) }
    try expect(future.cancel())
    await expectError(future) { ($0 as? JobError)?.code == .cancelled }
    try expect(clock.now - start < .seconds(5))
  }
  await check("processes: a retry after a crash") {
    let path = "/tmp/heddle-outside-\(getpid())"
    try await expect(pool.submit(CrashOnce(path: path), options: JobOptions(retry: RetryPolicy(crashes: 1))).value, 7)
    unlink(path)
  }
}
private func isRight(_ error: any Error, for misfortune: Misfortune) -> Bool {
  let job = error as? JobError
  switch misfortune {
  case .trap: return job?.code == .workerDied && [.signal(SIGILL), .signal(SIGTRAP)].contains(job?.exit)
  case .segfault: return job?.code == .workerDied && job?.exit == .signal(SIGSEGV)
  case .exit0: return job?.code == .workerDied && job?.exit == .code(0)
  case .exit3: return job?.code == .workerDied && job?.exit == .code(3) && job?.workerPID != nil
  case .codableError: return (error as? Refusal) == Refusal(reason: "no", code: 500)
  case .otherError: return (error as? RemoteError)?.typeName == "Opaque"
  case .cannotEncodeOutput: return job?.code == .notEncodable
  case .cannotDecodeOutput: return job?.code == .notDecodable
  }
}

/// Crashes in its first run.
struct CrashOnce: Job {
  var path: String
  func run() async throws -> Int {
    let file = open(path, O_CREAT | O_EXCL, 0o600)
    if file < 0 { return 7 }
    close(file)
    abort()
  }
}
/// Looks whether all bytes of what it was sent are alike, so that one out of place is seen.
///
/// libc does it: a debug build is slow.
struct Uniform: Job {
  var bytes: [UInt8]
  init(_ byte: UInt8, count: Int) { bytes = Array(repeating: byte, count: count) }
  func run() async throws -> [Int] {
    let isUniform = bytes.count < 2 || bytes.withUnsafeBytes { memcmp($0.baseAddress!, $0.baseAddress! + 1, $0.count - 1) == 0 }
    return [isUniform ? Int(bytes.first ?? 0) : -1, bytes.count]
  }
}
/// Writes nonsense where its worker tells the parent how far its results reach.
struct Vandal: Job {
  /// How far the end of the results is moved.
  ///
  /// Unit: bytes.
  var shift: UInt64
  func run() async throws -> Int {
    var address: UInt?
    guard let maps = fopen("/proc/self/maps", "r") else { return 1 }
    var line = [CChar](repeating: 0, count: 512)
    while fgets(&line, 512, maps) != nil {
      let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      // The part that the worker writes and that is small: its words.
      guard text.contains("memfd:heddle"), text.contains("rw-s") else { continue }
      let range = text.prefix { $0 != " " }.split(separator: "-")
      let (start, end) = (UInt(range[0], radix: 16)!, UInt(range[1], radix: 16)!)
      if end - start == 1 << 16 { address = start }
    }
    fclose(maps)
    guard let address else { return 2 }
    let head = UnsafeMutablePointer<UInt64>(bitPattern: address)!
    head.pointee &+= shift
    sleep(20)
    return 0
  }
}
/// Closes its standard error and goes on.
struct Mute: Job {
  func run() async throws -> Int {
    close(2)
    usleep(1_000_000)
    return 1
  }
}

/// What holds however jobs of different lengths and sizes meet in one pool.
func checkPool() async {
  await check("pool: large and small jobs mixed on one worker arrive whole") {
    let pool = ProcessPoolExecutor(maxWorkers: 1)
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20 {
      let futures = (0..<40).map { index -> (Future<[Int]>, [Int]) in
        let count = index % 4 == 1 ? Int.random(in: 1_500_000...5_000_000, using: &random) : Int.random(in: 1...300_000, using: &random)
        return (pool.submit(Uniform(UInt8(index), count: count)), [index, count])
      }
      for (future, expected) in futures { try await expect(future.value, expected) }
    }
    await pool.shutdown()
  }
  await check("pool: a large job that is cancelled while it is written harms nobody") {
    let pool = ProcessPoolExecutor(maxWorkers: 1)
    for round in 0..<30 {
      let first = pool.submit(Blocker(milliseconds: 5))
      let large = pool.submit(Uniform(3, count: 8_000_000))
      usleep(UInt32(round) * 200)
      large.cancel()
      let rest = (0..<20).map { pool.submit(Echo(value: Array(repeating: $0, count: $0 * 1000))) }
      let next = pool.submit(Uniform(4, count: 4_000_000))
      _ = try await first.value
      for (number, future) in rest.enumerated() { try await expect(future.value, Array(repeating: number, count: number * 1000)) }
      try await expect(next.value, [4, 4_000_000])
    }
    await pool.shutdown()
  }
  await check("pool: an answer is not noticed late because the next thing to watch is far away") {
    for _ in 0..<5 {
      let pool = ProcessPoolExecutor(maxWorkers: 1)
      // Its second try is far away: until then nothing would wake the pool by itself.
      let backoff = Backoff.exponential(from: .seconds(60), to: .seconds(60))
      let failing = pool.submit(
        Unlucky(misfortune: .otherError, number: 0), options: JobOptions(retry: RetryPolicy(errors: 1, backoff: backoff)))
      // Many short ones, so that the pool sends a job to lie behind another.
      for try await _ in pool.map((0..<5000).map { Square(number: $0) }) {}
      usleep(20_000)
      let clock = ContinuousClock()
      var start = clock.now
      let quick = pool.submit(Square(number: 1))
      let slow = pool.submit(Blocker(milliseconds: 300))
      while !quick.isDone && clock.now - start < .seconds(1) { usleep(500) }
      try expect(clock.now - start < .milliseconds(150), "the answer took \(clock.now - start)")
      _ = try await slow.value
      try expect(failing.cancel())
      start = clock.now
      await pool.shutdown()
      try expect(clock.now - start < .seconds(5), "the end waited \(clock.now - start) for a job that was cancelled")
    }
  }
  for shift in [8, 16, 1 << 19, 1 << 40] as [UInt64] {
    await check("pool: a worker that writes nonsense into its channel (\(shift)) costs its own job", limit: 20) {
      let pool = ProcessPoolExecutor(maxWorkers: 2)
      for number in 0..<50 { try await expect(pool.submit(Square(number: number)).value, number * number) }
      let bad = pool.submit(Vandal(shift: shift))
      let more = (0..<50).map { pool.submit(Square(number: $0)) }
      for (number, future) in more.enumerated() { try await expect(future.value, number * number) }
      await expectError(bad) { ($0 as? JobError)?.code == .workerDied }
      await pool.shutdown()
    }
  }
  await check("pool: a large result does not stay in memory") {
    let pool = ProcessPoolExecutor(maxWorkers: 1)
    try await expect(pool.submit(Bytes(count: 1_000_000, payload: [])).value.count, 1_000_000)
    let before = residentMegabytes()
    for _ in 0..<3 { try await expect(pool.submit(Bytes(count: 100_000_000, payload: [])).value.count, 100_000_000) }
    // Whoever ended the last future may still be tidying up.
    for _ in 0..<100 where residentMegabytes() - before > 50 { usleep(20_000) }
    try expect(residentMegabytes() - before < 50, "\(residentMegabytes() - before) MB more than before")
    await pool.shutdown()
  }
  await check("pool: a worker that closes its standard error costs no processor time") {
    let pool = ProcessPoolExecutor(maxWorkers: 1)
    _ = try await pool.submit(Square(number: 1)).value
    let before = clock()
    try await expect(pool.submit(Mute()).value, 1)
    let used = clock() - before
    try expect(used < 300_000, "\(used) µs of processor time in one second")
    await pool.shutdown()
  }
}

/// Memory of this process.
///
/// Unit: megabytes.
func residentMegabytes() -> Int {
  guard let file = fopen("/proc/self/statm", "r") else { return 0 }
  defer { fclose(file) }
  var buffer = [CChar](repeating: 0, count: 128)
  fgets(&buffer, 128, file)
  let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  return (text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) * 4096 / 1_000_000
}
