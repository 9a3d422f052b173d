import Gauges
import Glibc
import Heddle

/// How long a pool takes until it works, in whatever way the program around it is linked.
public enum PoolStarts {
  /// From a pool that does not exist to the first result; the median.
  ///
  /// Unit: milliseconds.
  public static func firstResult(_ rounds: Int) async throws -> Double {
    var times: [Double] = []
    for number in 0..<rounds {
      let begin = Stopwatch.now()
      let pool = ProcessPoolExecutor(maxWorkers: 2)
      let answer = try await pool.submit(Next(number: number)).value
      times.append(Double(Stopwatch.now() - begin) / 1e6)
      precondition(answer == number + 1)
      await pool.shutdown()
    }
    return Spread(times).median
  }
  /// From the first job of eight workers that begins to the last one, a worker; the median.
  ///
  /// Unit: milliseconds.
  public static func furtherWorker(_ rounds: Int) async throws -> Double {
    var times: [Double] = []
    for _ in 0..<rounds {
      let pool = ProcessPoolExecutor(maxWorkers: 8)
      let futures = (0..<8).map { _ in pool.submit(Begin()) }
      var begins: [UInt64] = []
      for future in futures { begins.append(try await future.value) }
      await pool.shutdown()
      times.append(Double(begins.max()! - begins.min()!) / 7e6)
    }
    return Spread(times).median
  }
}

private struct Next: Job {
  var number: Int
  func run() async throws -> Int { number + 1 }
}
/// Says when it began, and keeps its worker, so that the next one needs another.
private struct Begin: Job {
  func run() async throws -> UInt64 {
    let begin = Stopwatch.now()
    usleep(50_000)
    return begin
  }
}
