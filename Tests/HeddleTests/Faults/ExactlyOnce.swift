import Glibc
import Heddle
import HeddleSystem
import Testing

/// Leaves its number, and may then end its worker.
private struct Numbered: Job {
  var path: String
  var number: Int
  var fault: Fault?
  func run() async throws -> Int {
    append(withUnsafeBytes(of: number) { unsafe Array($0) }, to: path)
    fault?.happen()
    return number
  }
}
/// Leaves its number and answers with so many bytes; may end its worker in the middle of them.
private struct Bulky: Job {
  var path: String
  var number: Int
  var byteCount: Int
  var fault: Fault?
  func run() async throws -> [UInt8] {
    append(withUnsafeBytes(of: number) { unsafe Array($0) }, to: path)
    if let fault { return try await FatedWhileWriting(fault: fault).run() }
    return pattern(byteCount, seed: number)
  }
}
/// Which numbers were left, and how often.
private func marks(_ path: String) -> [Int: Int] {
  unsafe (bytes(of: path) ?? []).withUnsafeBytes { raw in
    (0..<raw.count / 8).reduce(into: [:]) { unsafe $0[raw.loadUnaligned(fromByteOffset: 8 * $1, as: Int.self), default: 0] += 1 }
  }
}

extension Core {
  /// Around a crash every job runs once, what had finished is delivered, and only who killed its worker is blamed.
  @Suite struct ExactlyOnce {
    private static let faults: [Fault] = [.trap, .signal(11), .killedFromOutside, .exit0, .exit3, .signal(6)]

    @Test func `of thousands of jobs each runs once, although every fortieth kills its worker`() async throws {
      let scratch = Scratch()
      let path = scratch.path("marks")
      let count = 6000
      @Sendable func fault(_ number: Int) -> Fault? { number % 40 == 39 ? Self.faults[number / 40 % Self.faults.count] : nil }
      try await withSubject(.processes, limit: .seconds(50)) { pool in
        let futures = (0..<count).map { pool.submit(Numbered(path: path, number: $0, fault: fault($0))) }
        for (number, future) in futures.enumerated() {
          let result = await future.result
          if let fault = fault(number) {
            let error = result.jobError
            #expect(error?.code == .workerDied && error?.exit.map(fault.exits.contains) == true, "\(number): \(result)")
          } else {
            #expect((try? result.get()) == number, "\(number): \(result)")
          }
        }
      }
      let left = marks(path)
      #expect(left.count == count && left.values.allSatisfy { $0 == 1 })
    }
    @Test(arguments: [MapOrder.input, .completion], [nil, 50])
    func `of jobs that travel together each runs once, although every fortieth kills its worker`(order: MapOrder, chunk: Int?) async throws
    {
      let scratch = Scratch()
      let path = scratch.path("marks")
      let count = 3000
      @Sendable func fault(_ number: Int) -> Fault? { number % 40 == 39 ? Self.faults[number / 40 % Self.faults.count] : nil }
      let results = try await withSubject(.processes, limit: .seconds(50)) { pool in
        let jobs = (0..<count).lazy.map { Numbered(path: path, number: $0, fault: fault($0)) }
        var results: [Result<Int, any Error>] = []
        for await result in pool.map(jobs, order: order, chunk: chunk).results { results.append(result) }
        return results
      }
      #expect(results.count == count)
      let values = results.compactMap { try? $0.get() }
      let good = (0..<count).filter { fault($0) == nil }
      #expect(order == .input ? values == good : values.sorted() == good)
      for (number, result) in results.enumerated() where order == .input && fault(number) != nil {
        #expect(result.jobError?.exit.map(fault(number)!.exits.contains) == true, "\(number): \(result)")
      }
      #expect(results.allSatisfy { $0.jobError == nil || $0.jobError?.code == .workerDied })
      let left = marks(path)
      #expect(left.count == count && left.values.allSatisfy { $0 == 1 }, "\(left.filter { $0.value != 1 })")
    }
    @Test func `of jobs that travel together, killed from outside, each runs once and one a death is blamed`() async throws {
      let scratch = Scratch()
      let path = scratch.path("marks")
      let over = Flag()
      let victims = Victims()
      let killer = Task.detached {
        var firstSeen: [Int32: MonotonicTime] = [:]
        while !over.isUp {
          try? await Task.sleep(for: .milliseconds(Int.random(in: 5...40)))
          let workers = Footprint.now().children.keys
          for worker in workers where firstSeen[worker] == nil { firstSeen[worker] = .now }
          // Most have time to greet: thirty in a row that had not would fail what waits, and on a loaded machine a start takes longer than this.
          let candidates = workers.filter { MonotonicTime.now - firstSeen[$0]! > .milliseconds(100) || Int.random(in: 0..<10) == 0 }
          if let victim = candidates.randomElement(), kill(victim, SIGKILL) == 0 { victims.add(victim) }
        }
      }
      let share = Fault.isSanitized ? 4_000 : 40_000
      // Also where the test fails, so that it kills no worker of the next one.
      defer { over.raise() }
      let (count, errors) = try await withSubject(.processes, limit: .seconds(50)) { pool in
        var errors: [Int: JobError?] = [:]
        var number = 0
        // Where nothing else runs they may all be done before the first worker is killed while it runs one.
        for _ in 0..<20 where errors.isEmpty {
          let first = number
          for await result in pool.map((first..<first + share).lazy.map { Numbered(path: path, number: $0) }, chunk: 200).results {
            if (try? result.get()) != number { errors[number] = result.jobError }
            number += 1
          }
          #expect(number == first + share)
        }
        over.raise()
        await killer.value
        return (number, errors)
      }
      #expect(errors.values.allSatisfy { $0?.code == .workerDied && $0?.exit == .signal(9) })
      // One that was killed before it said that it began did not run.
      let left = marks(path)
      #expect(left.values.allSatisfy { $0 == 1 } && (0..<count).allSatisfy { left[$0] == 1 || errors[$0] != nil })
      let blamed = errors.values.reduce(into: [Int32: Int]()) { $0[$1?.workerPID ?? 0, default: 0] += 1 }
      #expect(blamed.values.allSatisfy { $0 == 1 }, "\(blamed)")
      #expect(errors.count > 0, "nobody was killed in time")
    }
    @Test func `each runs once with large results on the way, some of them cut off by a death`() async throws {
      let scratch = Scratch()
      let path = scratch.path("marks")
      let count = 240
      @Sendable func fault(_ number: Int) -> Fault? { number % 12 == 7 ? Self.faults[number / 12 % Self.faults.count] : nil }
      @Sendable func size(_ number: Int) -> Int { number % 3 == 0 ? 100 : number % 3 == 1 ? 300_000 : 3_000_000 }
      try await withSubject(.processes, limit: .seconds(50)) { pool in
        let futures = (0..<count).map { pool.submit(Bulky(path: path, number: $0, byteCount: size($0), fault: fault($0))) }
        for (number, future) in futures.enumerated() {
          let result = await future.result
          if let fault = fault(number) {
            #expect(result.jobError?.exit.map(fault.exits.contains) == true, "\(number): \(result.jobError as Any)")
          } else {
            let value = try? result.get()
            #expect(value == pattern(size(number), seed: number), "\(number): \(result.jobError as Any)")
          }
        }
      }
      let left = marks(path)
      #expect(left.count == count && left.values.allSatisfy { $0 == 1 })
    }
    @Test func `killed from outside at random moments, each runs once and one job a death is blamed`() async throws {
      let seed = unsafe getenv("HEDDLE_TEST_SEED").flatMap { unsafe UInt64(String(cString: $0)) } ?? .random(in: 0...(.max))
      let scratch = Scratch()
      let path = scratch.path("marks")
      let over = Flag()
      let victims = Victims()
      let killer = Task.detached {
        var random = Seeded(seed)
        while !over.isUp {
          try? await Task.sleep(for: .milliseconds(Int.random(in: 5...60, using: &random)))
          if let victim = Footprint.now().children.keys.sorted().randomElement(using: &random), kill(victim, SIGKILL) == 0 {
            victims.add(victim)
          }
        }
      }
      let count = Fault.isSanitized ? 2000 : 8000
      // Also where the test fails, so that it kills no worker of the next one.
      defer { over.raise() }
      let (blamed, failed) = try await withSubject(.processes, limit: .seconds(50)) { pool in
        let small = (0..<count).map { pool.submit(Numbered(path: path, number: $0)) }
        let large = (count..<count + 100).map { pool.submit(Bulky(path: path, number: $0, byteCount: 1_000_000)) }
        var pids: [Int32: Int] = [:]
        var numbers: Set<Int> = []
        func note(_ number: Int, _ error: JobError?) {
          #expect(error?.code == .workerDied && error?.exit == .signal(9), "\(number): \(error as Any), seed \(seed)")
          pids[error?.workerPID ?? 0, default: 0] += 1
          numbers.insert(number)
        }
        for (number, future) in small.enumerated() {
          let result = await future.result
          if (try? result.get()) != number { note(number, result.jobError) }
        }
        for (index, future) in large.enumerated() {
          let result = await future.result
          if (try? result.get()) != pattern(1_000_000, seed: count + index) { note(count + index, result.jobError) }
        }
        return (pids, numbers)
      }
      over.raise()
      await killer.value
      let left = marks(path)
      #expect(left.values.allSatisfy { $0 == 1 }, "a job ran twice, seed \(seed)")
      #expect(Set(0..<count + 100).subtracting(left.keys).isSubset(of: failed), "a job was lost, seed \(seed)")
      #expect(blamed.values.allSatisfy { $0 == 1 }, "one death, one job; seed \(seed)")
      #expect(Set(blamed.keys).isSubset(of: victims.all), "only who was killed is said to be; seed \(seed)")
      #expect(victims.all.count > 2, "too few to show anything")
    }
  }
}

/// Whom the test killed.
private final class Victims: Sendable {
  private let pids = Locked(Set<Int32>())
  var all: Set<Int32> { pids.withLock { $0 } }
  func add(_ pid: Int32) { pids.withLock { _ = $0.insert(pid) } }
}
