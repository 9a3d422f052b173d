import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

extension CallTests {
  /// Calls out of time, calls that are cancelled, and calls that are tried again.
  @Suite(.timeLimit(.minutes(2)), .serialized)
  struct StoppingTests: Sendable {
    let functions: Functions
    init() throws { functions = try Functions() }

    @Test func `a call that never ends is killed on time with what it started`() async throws {
      try await withExecutor(PythonExecutor(maxWorkers: 2)) { (python) async throws in
        let gate = functions.gate()
        let start = ContinuousClock.now
        let call = python.submit(PythonCall<Int>(functions.target("hang"), gate.path), options: JobOptions(timeout: .seconds(1)))
        let pids = await gate.read().split(separator: " ").compactMap { Int32($0) }
        let others = (0..<100).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
        let error = await #expect(throws: JobError.self) { try await call.value }
        let elapsed = ContinuousClock.now - start
        #expect(error?.code == .timedOut && elapsed >= .seconds(1) && elapsed < .seconds(3), "\(elapsed)")
        for (number, future) in others.enumerated() { #expect(try await future.value == number) }
        #expect(pids.count == 2)
        for pid in pids { #expect(await isGone(pid)) }
      }
    }
    @Test func `on threads a call that never ends loses its future on time and holds up nobody`() async throws {
      try await withExecutor(PythonExecutor(maxWorkers: 2, mode: .threads)) { (python) async throws in
        let limit = JobOptions(timeout: .milliseconds(300))
        // One of two threads; then both, so that the process is replaced; then one that keeps the GIL.
        for function in [["loop"], ["loop", "loop"], ["hold_gil"]] {
          let lost = function.map { name in
            let call = name == "loop" ? PythonCall<Int>(functions.target(name)) : PythonCall(functions.target(name), "/dev/null")
            return python.submit(call, options: limit)
          }
          for future in lost {
            let error = await #expect(throws: JobError.self) { try await future.value }
            #expect(error?.code == .timedOut)
          }
          let others = (0..<20).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
          for (number, future) in others.enumerated() { #expect(try await future.value == number) }
        }
      }
    }
    @Test func `on threads one long call does not hold up more than its thread`() async throws {
      try await withExecutor(PythonExecutor(maxWorkers: 2, mode: .threads)) { (python) async throws in
        let gate = functions.gate()
        let long = python.submit(PythonCall<String>(functions.target("wait"), gate.path))
        // More than the window of a worker, in count and in bytes.
        let outputs = try await python.map((0..<1000).map { PythonCall<Int>(functions.target("size"), Data(count: 8 * $0)) }, inFlight: 900)
          .reduce(into: []) { $0.append($1) }
        #expect(outputs == (0..<1000).map { 8 * $0 })
        #expect(!long.isDone)
        await gate.open("at last")
        #expect(try await long.value == "at last")
      }
    }

    @Test(arguments: Setting.modes)
    func `a waiting call is cancelled and a running one where that can be`(setting: Setting) async throws {
      // One thread that nobody shares is stopped like a process.
      try await withExecutor(setting.executor(maxWorkers: setting.isOneProcess ? 2 : 1)) { (python) async throws in
        let gate = functions.gate()
        let other = functions.gate()
        let beside = setting.isOneProcess ? python.submit(PythonCall<String>(functions.target("wait"), other.path)) : nil
        let running = python.submit(PythonCall<String>(functions.target("wait"), gate.path))
        await isRunning(running)
        let waiting = (0..<10).map { python.submit(PythonCall<Int>(functions.target("echo"), $0)) }
        for future in waiting[..<5] {
          #expect(future.cancel())
          #expect(future.state == .cancelled)
        }
        if !setting.isOneProcess {
          #expect(running.cancel())
          let error = await #expect(throws: JobError.self) { try await running.value }
          #expect(error?.code == .cancelled && running.state == .cancelled)
        } else {
          #expect(!running.cancel())
          await gate.open("done")
          #expect(try await running.value == "done")
          await other.open()
          #expect(try await beside?.value == "")
        }
        for number in 5..<10 { #expect(try await waiting[number].value == number) }
      }
    }

    @Test(arguments: Setting.modes)
    func `each cause of failure is tried again as often as its policy says`(setting: Setting) async throws {
      // A worker that takes a stuck one's place loads the file within the limit: four times what that takes at this moment, on this machine.
      let limit = try await withExecutor(setting.executor()) { (python) async throws in
        let start = MonotonicTime.now
        _ = try await python.submit(PythonCall<Int>(functions.target("echo"), 1)).value
        return max(.milliseconds(500), (MonotonicTime.now - start) * 4)
      }
      try await withExecutor(setting.executor()) { (python) async throws in
        func options(_ policy: RetryPolicy, timeout: Duration? = nil) -> JobOptions {
          var policy = policy
          policy.backoff = .immediate
          return JobOptions(timeout: timeout, retry: policy)
        }
        func once(_ function: String, _ policy: RetryPolicy) -> Future<String> {
          let flag = "\(functions.folder.path)/\(UUID().uuidString)"
          let call =
            function == "die"
            ? PythonCall<String>(functions.target("once"), flag, function, 9) : PythonCall<String>(functions.target("once"), flag, function)
          return python.submit(call, options: options(policy, timeout: function == "loop" ? limit : nil))
        }
        for (function, policy) in [
          ("die", RetryPolicy(crashes: 1)), ("fail", RetryPolicy(errors: 1)), ("loop", RetryPolicy(timeouts: 1)),
        ] {
          #expect(try await once(function, policy).value == "again", "\(function)")
          await #expect(throws: (any Error).self, "\(function)") { try await once(function, .none).value }
        }
        let error = await #expect(throws: JobError.self) {
          try await python.submit(PythonCall<Int>(functions.target("die"), 9), options: options(RetryPolicy(crashes: 2))).value
        }
        #expect(error?.attempt == 3)
      }
    }

    @Test func `a storm of calls and kills loses nothing and does nothing twice`() async throws {
      let python = PythonExecutor(maxWorkers: 2)
      let count = 20_000
      let options = JobOptions(retry: RetryPolicy(crashes: 100, backoff: .immediate))
      let pids = Locked(Set<Int32>())
      let ended = Locked(Array(repeating: 0, count: count))
      let killer = Task {
        while !Task.isCancelled {
          let pid = try? await python.submit(PythonCall<Int32>(functions.target("pid")), options: options).value
          if let pid {
            pids.withLock { _ = $0.insert(pid) }
            kill(pid, SIGKILL)
          }
          try? await Task.sleep(for: .milliseconds(250))
        }
      }
      var next = 0
      for try await output in python.map((0..<count).lazy.map { PythonCall<Int>(functions.target("square"), $0) }, options: options) {
        #expect(output == next * next)
        ended.withLock { $0[next] += 1 }
        next += 1
      }
      killer.cancel()
      await killer.value
      await python.shutdown()
      #expect(next == count && ended.withLock { $0.allSatisfy { $0 == 1 } })
      for pid in pids.withLock({ $0 }) { #expect(await isGone(pid)) }
    }
  }
}
