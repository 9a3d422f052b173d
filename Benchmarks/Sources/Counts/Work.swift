import CCounts
import Glibc
import Heddle

/// One small argument, one small result.
struct Nothing: Job {
  var number: Int
  func run() async throws -> Int { number &+ 1 }
}
/// How many blocks the worker has asked for.
struct Allocated: Job {
  func run() async throws -> Int { Int(count_allocations()) }
}
/// Keeps its worker.
struct Hold: Job {
  func run() async throws -> Int {
    usleep(600_000_000)
    return 0
  }
}

/// What no job should do, so that every limit can be seen to be exceeded.
struct Waste: Sendable {
  /// Allocates, enters the kernel and sleeps.
  func job() {
    count_waste(200)
    var byte: UInt8 = 0
    for _ in 0..<5 { _ = read(-1, &byte, 0) }
    usleep(1)
  }
  /// Computes.
  func compute() {
    count_waste(200)
  }
}
/// The same, in the worker.
struct WastefulNothing: Job {
  var number: Int
  func run() async throws -> Int {
    Waste().job()
    return number &+ 1
  }
}

/// Work whose parts are counted.
struct Work: Sendable {
  var waste: Waste?

  /// Submits all, awaits all.
  func flood<E: JobExecutor>(_ executor: E, _ count: Int) async throws {
    var sum = 0
    if waste != nil {
      let futures = (0..<count).map { executor.submit(WastefulNothing(number: $0)) }
      for future in futures {
        sum &+= try await future.value
        waste?.job()
      }
    } else {
      let futures = (0..<count).map { executor.submit(Nothing(number: $0)) }
      for future in futures { sum &+= try await future.value }
    }
    precondition(sum == count * (count + 1) / 2)
  }
  func map<E: JobExecutor>(_ executor: E, _ count: Int) async throws {
    var sum = 0
    for try await value in executor.map((0..<count).lazy.map({ Nothing(number: $0) })) {
      sum &+= value
      waste?.job()
    }
    precondition(sum == count * (count + 1) / 2)
  }
  /// One job each time that all are parked.
  func afterQuiet<E: JobExecutor>(_ executor: E, _ count: Int) async throws {
    for number in 0..<count {
      usleep(10_000)
      _ = try await executor.submit(Nothing(number: number)).value
      for _ in 0..<20 { waste?.job() }
    }
  }
  /// Two seconds of nothing.
  func idle() {
    guard waste != nil else {
      usleep(2_000_000)
      return
    }
    // Another thread, which wakes up all the time. It is still there when its wake-ups are counted.
    var thread = pthread_t()
    pthread_create(
      &thread, nil,
      { _ in
        for _ in 0..<300 { usleep(10_000) }
        return nil
      }, nil)
    pthread_detach(thread)
    usleep(2_000_000)
  }
  /// Submits behind a job that keeps the worker, and awaits nothing; the program is to end then.
  func submitOnly<E: JobExecutor>(_ executor: E, _ count: Int) {
    _ = executor.submit(Hold())
    for number in 0..<count {
      _ = executor.submit(Nothing(number: number))
      waste?.compute()
    }
  }
}
