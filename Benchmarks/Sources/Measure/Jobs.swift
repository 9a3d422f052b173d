import CGauges
import Gauges
import Glibc
import Heddle

/// One small argument, one small result.
struct Nothing: Job {
  var number: Int
  func run() async throws -> Int { number &+ 1 }
}
/// Uses so much processor time.
///
/// Unit: microseconds.
struct Burn: Job {
  var microseconds: Int
  func run() async throws -> Int {
    gauge_burn(UInt64(microseconds) * 1000)
    return microseconds
  }
}
/// Takes so long, whoever else has the processors, and says when it ended.
///
/// Unit: microseconds; the answer is a point in monotonic time, in nanoseconds.
struct Last: Job {
  var microseconds: Int
  func run() async throws -> UInt64 {
    let end = gauge_now() + UInt64(microseconds) * 1000
    while gauge_now() < end {}
    return gauge_now()
  }
}
/// Keeps its worker until it is killed, or for so long.
///
/// Unit: microseconds.
struct Hold: Job {
  var microseconds: UInt32
  func run() async throws -> Int {
    usleep(microseconds)
    return 0
  }
}
/// Takes an array.
struct Take<Element: Codable & Sendable>: Job {
  var values: [Element]
  func run() async throws -> Int { values.count }
}
/// Gives an array that was there before.
struct GiveFloats: Job {
  static let values = (0..<16 << 20).map { Float($0) }
  func run() async throws -> [Float] { Self.values }
}
/// Gives an array that was there before.
struct GiveBytes: Job {
  static let values = (0..<64 << 20).map { UInt8(truncatingIfNeeded: $0) }
  func run() async throws -> [UInt8] { Self.values }
}
/// Looks at both ends of shared memory.
struct Look: Job {
  var buffer: SharedBuffer<UInt8>
  func run() async throws -> Int { Int(buffer[0]) + Int(buffer[buffer.count - 1]) }
}
/// Gives shared memory back.
struct Return: Job {
  var buffer: SharedBuffer<UInt8>
  func run() async throws -> SharedBuffer<UInt8> { buffer }
}

/// Work that several rows do.
enum Flood {
  /// Submits `count` jobs, awaits all.
  ///
  /// Unit: microseconds a job.
  static func all<E: JobExecutor>(_ executor: E, _ count: Int) async throws -> Double {
    try await Stopwatch.nanoseconds {
      let futures = (0..<count).map { executor.submit(Nothing(number: $0)) }
      var sum = 0
      for future in futures { sum &+= try await future.value }
      precondition(sum == count * (count + 1) / 2)
    } / Double(count) / 1e3
  }
  /// The same with closures.
  ///
  /// Unit: microseconds a job.
  static func closures(_ executor: ThreadPoolExecutor, _ count: Int) async throws -> Double {
    try await Stopwatch.nanoseconds {
      let futures = (0..<count).map { number in executor.submit { number &+ 1 } }
      var sum = 0
      for future in futures { sum &+= try await future.value }
      precondition(sum == count * (count + 1) / 2)
    } / Double(count) / 1e3
  }
  /// Submits one, awaits it, submits the next.
  ///
  /// Unit: microseconds a job.
  static func oneAtATime<E: JobExecutor>(_ executor: E, _ count: Int) async throws -> Double {
    try await Stopwatch.nanoseconds {
      for number in 0..<count { _ = try await executor.submit(Nothing(number: number)).value }
    } / Double(count) / 1e3
  }
  /// Sleeps 10 ms, submits one, awaits it; the median.
  ///
  /// Unit: microseconds a job.
  static func afterQuiet<E: JobExecutor>(_ executor: E, _ count: Int) async throws -> Double {
    var times: [Double] = []
    for number in 0..<count {
      usleep(10_000)
      times.append(try await Stopwatch.nanoseconds { _ = try await executor.submit(Nothing(number: number)).value } / 1e3)
    }
    return gauge_median(&times, Int32(count))
  }
  /// Maps `count` items into an array.
  ///
  /// Unit: microseconds an item.
  static func collect<E: JobExecutor>(_ executor: E, _ count: Int) async throws -> Double {
    var outputs: [Int] = []
    let time = try await Stopwatch.nanoseconds {
      outputs = try await executor.map((0..<count).lazy.map({ Nothing(number: $0) })).collect()
    }
    precondition(outputs.reduce(0, &+) == count * (count + 1) / 2)
    return time / Double(count) / 1e3
  }
  /// Maps `count` items, every result counted.
  ///
  /// Unit: microseconds an item.
  static func map<E: JobExecutor>(_ executor: E, _ count: Int) async throws -> Double {
    try await Stopwatch.nanoseconds {
      var sum = 0
      for try await value in executor.map((0..<count).lazy.map({ Nothing(number: $0) })) { sum &+= value }
      precondition(sum == count * (count + 1) / 2)
    } / Double(count) / 1e3
  }
}
