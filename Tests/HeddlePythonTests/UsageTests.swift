import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// What calls and workers have used.
@Suite(.timeLimit(.minutes(2)), .serialized)
struct UsageTests: Sendable {
  let functions: Functions
  init() throws {
    functions = try Functions()
    try functions.folder.write(
      "use.py",
      """
      import os, subprocess, sys, time
      def burn(seconds):
          start = time.thread_time()
          while time.thread_time() - start < seconds: pass
          return os.getpid()
      def nap(seconds): time.sleep(seconds); return os.getpid()
      def take(size): return len(bytearray(size))
      def fail(size):
          bytearray(size)
          raise ValueError("no")
      def child(seconds): subprocess.check_call([sys.executable, "-c", "import time\\nwhile time.process_time() < %f: pass" % seconds])
      """)
  }
  func target(_ function: String) -> String { "\(functions.folder.path)/use.py:\(function)" }

  @Test(arguments: Setting.modes)
  func `a call is measured in time and memory`(setting: Setting) async throws {
    try await withExecutor(setting.executor(maxWorkers: 1)) { (python) async throws in
      let busy = try await python.measure(PythonCall<Int32>(target("burn"), 0.2)).value
      #expect(busy.processorTime >= .milliseconds(150) && busy.processorTime <= busy.wallTime && busy.coresUsed <= 1)
      let idle = try await python.measure(PythonCall<Int32>(target("nap"), 0.2)).value
      #expect(idle.wallTime >= .milliseconds(200) && idle.processorTime < .milliseconds(150) && idle.coresUsed < 0.75)
      #expect(try idle.value == busy.value && idle.attempt == 1)
      // The large one first: a mark that is not reset would stay.
      let large = try await python.measure(PythonCall<Int>(target("take"), 400 << 20)).value
      let small = try await python.measure(PythonCall<Int>(target("take"), 1 << 20)).value
      #expect(large.peakMemory > 400 << 20 && small.peakMemory > 1 << 20)
      // The allocator of a free-threaded build gives nothing back.
      if setting.mode != .freeThreaded { #expect(small.peakMemory < 300 << 20) }
      let failed = try await python.measure(PythonCall<Int>(target("fail"), 200 << 20)).value
      #expect(failed.peakMemory > 200 << 20)
      #expect(throws: PythonFailure.self) { try failed.value }
      let wrong = try await python.measure(PythonCall<String>(target("take"), 1)).value
      #expect(throws: JobError.self) { try wrong.value }
      await #expect(throws: JobError.self) { try await python.measure(PythonCall<Int>(functions.target("die"), 3)).value }
      #expect(python.usage().peakMemory > 400 << 20)
    }
  }

  /// Processor seconds of the one process against seconds on the clock.
  ///
  /// On a busy machine no second core may be free; so what nobody used is looked at too, and the test is skipped where that was never one.
  @Test(arguments: [Setting(mode: .threads, version: "3.13.0")] + ModeTests.sideBySide)
  func `interpreters and free threads use more than one core, and threads under one GIL never do`(setting: Setting) async throws {
    try await withExecutor(setting.executor(maxWorkers: 2)) { (python) async throws in
      func burn(_ seconds: Double) async throws -> (used: Double, idle: Double) {
        let (before, idle) = (python.usage(), try idleSeconds())
        let calls = (0..<2).map { _ in python.submit(PythonCall<Int32>(target("burn"), seconds)) }
        for call in calls { _ = try await call.value }
        let span = python.usage() - before
        return (span.coresUsed, (try idleSeconds() - idle) / (span.wallTime / .seconds(1)))
      }
      // Loads what is to be loaded.
      for _ in 0..<5 { _ = try await burn(0.01) }
      for _ in 0..<10 {
        let cores = try await burn(0.5)
        if setting.mode == .threads {
          #expect(cores.used < 1.3)
        } else if cores.used > 1.4 {
          return
        } else {
          #expect(cores.idle < 0.5, "\(cores.used) cores used while \(cores.idle) were free")
        }
      }
      if setting.mode != .threads { try Test.cancel("this machine is busy: no second core was free") }
    }
  }
  /// Seconds of all processors together in which nothing ran.
  private func idleSeconds() throws -> Double {
    let line = try String(contentsOfFile: "/proc/stat", encoding: .utf8).split(separator: "\n")[0]
    return Double(line.split(separator: " ")[4])! / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  @Test(arguments: [Setting(mode: .processes), Setting(mode: .threads), Setting.freeThreaded])
  func `a coroutine is measured on the loop that it shares with others`(setting: Setting) async throws {
    try functions.folder.write(
      "loops.py",
      """
      import asyncio
      async def loop(seconds):
          await asyncio.sleep(seconds)
          return id(asyncio.get_running_loop())
      async def fail():
          await asyncio.sleep(0)
          raise ValueError("no")
      """)
    var settings = PythonSettings()
    settings.concurrency = 4
    try await withExecutor(setting.executor(maxWorkers: 1, settings: settings)) { (python) async throws in
      let target = "\(functions.folder.path)/loops.py:loop"
      let plain = try await python.submit(PythonCall<Int>(target, 0)).value
      let both = (0..<2).map { _ in python.measure(PythonCall<Int>(target, 0.2)) }
      for future in both {
        let measured = try await future.value
        #expect(try measured.value == plain)
        #expect(measured.wallTime >= .milliseconds(200) && measured.coresUsed < 0.75 && measured.peakMemory > 1 << 20)
      }
      let failed = try await python.measure(PythonCall<Int>("\(functions.folder.path)/loops.py:fail")).value
      #expect(throws: PythonFailure.self) { try failed.value }
    }
  }

  @Test(arguments: Setting.modes)
  func `an executor tells what its workers have used`(setting: Setting) async throws {
    let python = try setting.executor(maxWorkers: 2)
    #expect(python.usage() == PythonUsage())
    let pid = try await python.submit(PythonCall<Int32>(target("burn"), 0.2)).value
    let first = python.usage()
    #expect(first.workers.map(\.pid).contains(pid) && first.processorTime >= .milliseconds(200) && first.wallTime >= .milliseconds(200))
    #expect(first.workers.allSatisfy { $0.peakMemory > 1 << 20 } && first.peakMemory == first.workers.map(\.peakMemory).max())
    _ = try await python.submit(PythonCall<Int32>(target("nap"), 0.3)).value
    let idle = python.usage() - first
    #expect(idle.wallTime >= .milliseconds(300) && idle.coresUsed < 0.5)
    _ = try await python.submit(PythonCall<Int?>(target("child"), 0.3)).value
    #expect((python.usage() - first).processorTime >= .milliseconds(290))
    // Of workers that have gone nothing is lost.
    await #expect(throws: JobError.self) { try await python.submit(PythonCall<Int>(functions.target("die"), 3)).value }
    #expect(python.usage().processorTime >= .milliseconds(490))
    await python.shutdown()
    let last = python.usage()
    #expect(last.workers.isEmpty && last.processorTime >= .milliseconds(490) && last.peakMemory > 1 << 20)
  }
}
