import Glibc
import Heddle
import HeddleSystem
import Synchronization
import Testing

extension Core {
  /// Everything at once for some seconds.
  @Suite struct SoakTests {
    @Test func `under random kills nothing is lost and nothing runs twice`() async throws {
      let seed = unsafe getenv("HEDDLE_TEST_SEED").flatMap { unsafe UInt64(String(cString: $0)) } ?? .random(in: 0...(.max))
      print("soak: HEDDLE_TEST_SEED=\(seed)")
      let scratch = Scratch()
      let marks = scratch.path("marks")
      let pool = ProcessPoolExecutor(maxWorkers: 2)
      let over = Flag()
      let killed = Arrivals()
      let killer = Task.detached {
        var random = Seeded(seed)
        while !over.isUp {
          try? await Task.sleep(for: .milliseconds(Int.random(in: 20...120, using: &random)))
          if let victim = Footprint.now().children.keys.sorted().randomElement(using: &random), kill(victim, SIGKILL) == 0 {
            killed.arrive()
          }
        }
      }
      var random = Seeded(seed &+ 1)
      let end = MonotonicTime.now + .seconds(5)
      let ends = Ends()
      var submitted = 0
      var outcomes = (right: 0, wrong: 0, died: 0, cancelled: 0, timedOut: 0, other: 0)
      while .now < end {
        var batch: [(Future<Int>, Int)] = []
        for _ in 0..<Int.random(in: 1...200, using: &random) {
          submitted += 1
          let number = submitted
          switch Int.random(in: 0..<20, using: &random) {
          case 0: batch.append((pool.submit(Consumes(bytes: pattern(Int.random(in: 0...2 << 20, using: &random), seed: number))), -1))
          case 1: batch.append((pool.submit(Naps(milliseconds: 2, value: number)), number))
          case 2: batch.append((pool.submit(Naps(milliseconds: 50, value: number), options: JobOptions(timeout: .milliseconds(5))), number))
          case 3: batch.append((pool.submit(Doubled(value: number), options: JobOptions(priority: .high)), 2 * number))
          case 4:
            let retry = RetryPolicy(crashes: 3, backoff: .immediate)
            batch.append((pool.submit(Doubled(value: number), options: JobOptions(retry: retry)), 2 * number))
          default: batch.append((pool.submit(MarksNumber(path: marks, value: number)), number))
          }
          ends.watch(batch.last!.0)
        }
        for (future, _) in batch where Int.random(in: 0..<15, using: &random) == 0 { future.cancel() }
        for (future, expected) in batch {
          let result = try await within("a future of the soak, seed \(seed)") { await future.result }
          switch result {
          case .success(let value): if value == expected || expected == -1 { outcomes.right += 1 } else { outcomes.wrong += 1 }
          case .failure(let error as JobError):
            switch error.code {
            case .workerDied: outcomes.died += error.exit == .signal(9) ? 1 : 0; outcomes.other += error.exit == .signal(9) ? 0 : 1
            case .cancelled: outcomes.cancelled += 1
            case .timedOut: outcomes.timedOut += 1
            default:
              outcomes.other += 1
              Issue.record("\(error)")
            }
          case .failure(let error): Issue.record("\(error)")
          }
        }
      }
      over.raise()
      await killer.value
      try await within("shutdown") { await pool.shutdown(.finishAll) }
      print("soak: \(submitted) jobs, \(killed.count) kills, \(outcomes)")
      #expect(outcomes.wrong == 0 && outcomes.other == 0)
      #expect(ends.counts.count == submitted && ends.counts.allSatisfy { $0 == 1 })
      // Each job that is not to be retried leaves one mark of eight bytes at most.
      let runs = unsafe (bytes(of: marks) ?? []).withUnsafeBytes { raw in
        (0..<raw.count / 8).map { unsafe raw.loadUnaligned(fromByteOffset: 8 * $0, as: Int.self) }
      }
      #expect(Set(runs).count == runs.count, "a job ran twice")
      #expect(killed.count > 20)
    }
  }
}

struct MarksNumber: Job {
  var path: String
  var value: Int
  func run() async throws -> Int {
    append(withUnsafeBytes(of: value) { unsafe Array($0) }, to: path)
    return value
  }
}
