import Glibc
import Heddle

/// How one pool of the soak is made: what its workers do before and after their jobs, and when they make room for others.
struct Setup {
  var configuration = ProcessPoolConfiguration(idleTimeout: nil)
  let maxWorkers: Int
  /// Each worker has to count its jobs, and to say so with them.
  var isPrepared: Bool { configuration.initializer != nil }
  /// An initializer that throws now and then, so that what waits may fail for want of a worker.
  var isFlaky = false
  /// One byte for each start and each orderly end of a worker.
  let starts: String
  let ends: String

  init(_ random: inout Seeded, path: String) {
    maxWorkers = Int.random(in: 1...4, using: &random)
    starts = path + ".starts"
    ends = path + ".ends"
    func chance(_ percent: Int) -> Bool { Int.random(in: 0..<100, using: &random) < percent }
    if chance(40) { configuration.jobsPerWorker = Int.random(in: 5...500, using: &random) }
    if chance(30) { configuration.softMemoryLimit = 70 << 20 }
    if chance(30) { configuration.memoryLimit = 160 << 20 }
    if chance(40) { configuration.idleTimeout = .milliseconds(Int64.random(in: 5...60, using: &random)) }
    if chance(60) {
      isFlaky = chance(20)
      configuration.initializer = Prepares(path: starts, failures: isFlaky ? 20 : 0)
      if chance(50) { configuration.finalizer = Finishes(path: ends) }
    }
  }
  /// How many workers ran the initializer, and how many the finalizer.
  var counts: (starts: Int, ends: Int) {
    func size(_ path: String) -> Int {
      var status = stat()
      return stat(path, &status) == 0 ? Int(status.st_size) : 0
    }
    return (size(starts), size(ends))
  }
  func tidyUp() {
    unlink(starts)
    unlink(ends)
  }
}

/// What a worker has been through, from its initializer to its finalizer.
private struct Life: Sendable {
  var preparations = 0
  var jobs = 0
}
/// An initializer that leaves a byte in a file, and may fail in so many of a hundred workers.
struct Prepares: Job {
  var path: String
  var failures: Int
  func run() async throws -> Bool {
    leaveByte(path)
    if Int.random(in: 0..<100) < failures { throw Refusal(value: failures) }
    var life = WorkerState.get(Life.self) ?? Life()
    life.preparations += 1
    WorkerState.set(life)
    return true
  }
}
/// Answers with how often its worker was prepared and how many of these jobs it has run.
struct Counts: Job {
  func run() async throws -> [Int] {
    var life = WorkerState.get(Life.self) ?? Life()
    life.jobs += 1
    WorkerState.set(life)
    return [life.preparations, life.jobs]
  }
}
/// A finalizer that leaves a byte in a file.
struct Finishes: Job {
  var path: String
  func run() async throws -> Bool {
    leaveByte(path)
    return true
  }
}
/// Takes memory that its worker keeps: so much, or for ever.
struct Hoards: Job {
  var mebibytes: Int?
  var value: Int
  func run() async throws -> Int {
    var taken = 0
    while taken < mebibytes ?? .max {
      let block = UnsafeMutableRawPointer.allocate(byteCount: 1 << 20, alignment: 4096)
      for offset in stride(from: 0, to: 1 << 20, by: 4096) { block.storeBytes(of: 1, toByteOffset: offset, as: UInt8.self) }
      taken += 1
    }
    return value
  }
}
private func leaveByte(_ path: String) {
  let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
  guard file >= 0 else { return }
  var byte: UInt8 = 1
  write(file, &byte, 1)
  close(file)
}
