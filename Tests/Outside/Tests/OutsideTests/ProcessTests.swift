import Heddle
import Testing

/// Under Swift Testing the program's main is the test runner's: a worker must not run the tests again.
struct ProcessTests {
  struct Power: Job {
    var base: Int, exponent: Int
    func run() async throws -> Int { (0..<exponent).reduce(1) { product, _ in product * base } }
  }
  struct Trap: Job {
    var index: Int
    func run() async throws -> Int { [1, 2, 3][index] }
  }

  @Test func `a process pool works inside a test`() async throws {
    let pool = ProcessPoolExecutor(maxWorkers: 2)
    let powers = (0..<100).map { pool.submit(Power(base: 2, exponent: $0 % 30)) }
    for (number, future) in powers.enumerated() { #expect(try await future.value == 1 << (number % 30)) }
    await pool.shutdown()
  }
  @Test func `a trap fails its own job inside a test`() async throws {
    let pool = ProcessPoolExecutor(maxWorkers: 1)
    let good = pool.submit(Power(base: 3, exponent: 3))
    let error = await #expect(throws: JobError.self) { try await pool.submit(Trap(index: 9)).value }
    #expect(error?.code == .workerDied)
    #expect(try await good.value == 27)
    #expect(try await pool.submit(Trap(index: 1)).value == 2)
    await pool.shutdown()
  }
  @Test func `the executors share one interface`() async throws {
    for executor in [InlineExecutor(), ThreadPoolExecutor(maxWorkers: 2), ProcessPoolExecutor(maxWorkers: 1), HybridExecutor()]
      as [any JobExecutor]
    {
      #expect(try await executor.submit(Power(base: 2, exponent: 10)).value == 1024)
      await executor.shutdown(.finishAll)
    }
  }
}
