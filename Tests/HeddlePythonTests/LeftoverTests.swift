import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

extension CallTests {
  /// What is left when an executor or its program ends: nothing.
  @Suite(.timeLimit(.minutes(2)), .serialized)
  struct LeftoverTests: Sendable {
    let functions: Functions
    init() throws { functions = try Functions() }

    @Test(arguments: Setting.modes, [true, false])
    func `an executor that goes leaves no process`(setting: Setting, shutsDown: Bool) async throws {
      for end in [ShutdownMode.finishAll, .finishRunning, .kill(after: .zero)] {
        var python: PythonExecutor? = try setting.executor()
        let pid = try await python!.submit(PythonCall<Int32>(functions.target("pid"))).value
        let futures = (0..<100).map { python!.submit(PythonCall<Int>(functions.target("echo"), $0)) }
        if shutsDown {
          await python!.shutdown(end)
          #expect(!futures.contains { !$0.isDone })
          // At once, not some time later.
          #expect(kill(pid, 0) != 0)
          let late = await #expect(throws: JobError.self) { try await python!.submit(PythonCall<Int>("math:floor", 1.5)).value }
          #expect(late?.code == .executorShutDown)
        } else {
          python = nil
          for (number, future) in futures.enumerated() { #expect(try await future.value == number) }
          #expect(await isGone(pid))
        }
      }
    }

    @Test func `after shutdown no thread, descriptor or process is left`() async throws {
      let target = functions.target("echo")
      await #expect(processExitsWith: .success) { [target = target as String] in
        func names(_ folder: String) -> [String] { (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] }
        func threads() -> [String] {
          names("/proc/self/task").compactMap { try? String(contentsOfFile: "/proc/self/task/\($0)/comm", encoding: .utf8) }
            .filter { $0.hasPrefix("heddle-") }
        }
        // The first round opens what the libraries keep.
        var before = 0
        for round in 0..<4 {
          for setting in Setting.modes where setting.isHere {
            let python = try setting.executor()
            for future in (0..<10).map({ python.submit(PythonCall<Int>(target, $0)) }) { _ = try await future.value }
            precondition(!threads().isEmpty, "the threads of a pool that runs have names")
            await python.shutdown(round % 2 == 0 ? .finishAll : .kill(after: .zero))
          }
          let now = names("/proc/self/fd").count
          if round == 0 { before = now }
          precondition(now <= before, "descriptors: \(before) before, \(now) in round \(round)")
          // One that was joined may be listed a little longer.
          for _ in 0..<1000 where !threads().isEmpty { try await Task.sleep(for: .milliseconds(2)) }
          precondition(threads().isEmpty, "threads: \(threads())")
        }
        let children = (try? String(contentsOfFile: "/proc/self/task/\(getpid())/children", encoding: .utf8)) ?? ""
        precondition(children.isEmpty, "children: \(children)")
      }
    }

    @Test(arguments: Setting.modes)
    func `an interpreter that keeps the GIL for ever dies with its parent, and what has left its group`(setting: Setting) async throws {
      let gate = functions.gate()
      let (target, name, path, interpreter) = (functions.target("hold_gil"), setting.mode.rawValue, gate.path, try setting.python())
      let (pid, stray) = (Box(), Box())
      let reader = Future<Void>(in: nil)
      // On a thread of its own: an exit test blocks one of the cooperative pool's.
      Thread.detachNewThread { [path] in
        let file = FileHandle(forReadingAtPath: path)
        let text = String(decoding: (try? file?.readToEnd()) ?? Data(), as: UTF8.self)
        let numbers = text.split(separator: " ").map { Int32($0) ?? 0 }
        pid.value.withLock { $0 = numbers.first ?? 0 }
        stray.value.withLock { $0 = numbers.last ?? 0 }
        // Says to the process below that its function is past the gate.
        try? FileManager.default.removeItem(atPath: path)
        reader.succeed(())
      }
      await #expect(processExitsWith: .signal(SIGKILL)) {
        [
          target = target as String, path = path as String, name = name as String, interpreter = interpreter as String?
        ] in
        let python = PythonExecutor(maxWorkers: 1, mode: PythonMode(rawValue: name)!, python: interpreter)
        let call = python.submit(PythonCall<Int>(target, path))
        while FileManager.default.fileExists(atPath: path) && !call.isDone { try await Task.sleep(for: .milliseconds(5)) }
        kill(getpid(), SIGKILL)
      }
      try await reader.value
      let number = pid.value.withLock { $0 }
      #expect(number > 0)
      #expect(await isGone(number))
      let left = stray.value.withLock { $0 }
      #expect(left > 0 || setting.mode == .interpreters)
      if left > 0 { #expect(await isGone(left), "\(left) is in a session of its own") }
    }
  }
}
