import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// A way in which an interpreter comes to its end, or to a standstill; the same as `Fault` in HeddleTests.
enum PythonFault: Hashable, Sendable, CustomTestStringConvertible {
  case signal(Int32)
  case trap, memory, exit0, exit3, killedFromOutside, suspended, closedChannel, corruptedChannel, garbageFrames, hang

  static let others: [PythonFault] = [
    .trap, .memory, .exit0, .exit3, .killedFromOutside, .suspended, .closedChannel, .corruptedChannel, .garbageFrames, .hang,
  ]
  static let signals: [PythonFault] =
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31].map { .signal($0) }
  /// For stages where all signals are alike: one that Python reports, one that it does not.
  static let some: [PythonFault] = [.signal(11), .signal(15)] + others

  var testDescription: String {
    if case .signal(let number) = self { return "\(WorkerExit.signal(number))" }
    return "\(self)"
  }
  /// What the functions below call it.
  var name: String {
    if case .signal(let number) = self { return "\(number)" }
    return "\(self)"
  }
  /// How the interpreter ends; empty: it does not end by itself.
  var exits: Set<WorkerExit> {
    switch self {
    // Python ignores these two, and makes an exception of the third.
    case .signal(13), .signal(25), .signal(2): []
    case .signal(let number): [.signal(number)]
    case .trap: [.signal(11)]
    case .exit0: [.code(0)]
    case .exit3: [.code(3)]
    case .killedFromOutside, .closedChannel, .corruptedChannel, .garbageFrames: [.signal(9)]
    case .memory, .suspended, .hang: []
    }
  }
  /// The same for a program that dies before it is a worker; nil: a shell cannot do it.
  var script: String? {
    switch self {
    case .signal(let number): "kill -\(number) $$"
    case .trap: "kill -SEGV $$"
    case .memory: nil
    case .exit0: "exit 0"
    case .exit3: "exit 3"
    case .killedFromOutside: "kill -KILL $$"
    case .closedChannel: "exec 3>&-; exec sleep 60"
    case .suspended, .hang, .corruptedChannel, .garbageFrames: nil
    }
  }

  static let text = """
    import atexit, ctypes, os, resource, signal, socket, sys, threading, time
    sys.setswitchinterval(1e-5)
    def ours():
        for line in open("/proc/self/maps"):
            if "memfd:heddle" in line and "rw-s" in line:
                return int(line.split("-")[0], 16)
    def head(): return ctypes.c_uint64.from_address(ours())
    def bell():
        for name in os.listdir("/proc/self/fd"):
            try:
                if os.readlink("/proc/self/fd/" + name).startswith("socket"): os.write(int(name), b"x")
            except OSError: pass
    def happen(fault):
        if fault.isdigit(): os.kill(os.getpid(), int(fault))
        elif fault == "trap": ctypes.string_at(0)
        elif fault == "memory":
            resource.setrlimit(resource.RLIMIT_DATA, (1 << 28, 1 << 28))
            blocks = []
            while True: blocks.append(bytearray(1 << 26))
        elif fault == "exit0": os._exit(0)
        elif fault == "exit3": os._exit(3)
        elif fault == "killedFromOutside": os.kill(os.getpid(), signal.SIGKILL)
        elif fault == "suspended": os.kill(os.getpid(), signal.SIGSTOP)
        elif fault == "closedChannel":
            socket.socket(fileno=os.dup(3)).shutdown(socket.SHUT_RDWR)
        elif fault == "corruptedChannel":
            head().value += 2 << 20
            bell()
        elif fault == "garbageFrames":
            word = head()
            place = ours() + (1 << 16) + (word.value & ((1 << 20) - 1))
            ctypes.memmove(place, bytes([0, 0, 0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0]), 16)
            word.value += 16
            bell()
        while True: time.sleep(0.01)
    def run(fault): happen(fault)
    def writes(fault):
        word, begin = head(), head().value
        def freeze(*_):
            while True: time.sleep(1)
        signal.signal(signal.SIGWINCH, freeze)
        def bomb():
            while word.value - begin < 2 << 20: time.sleep(0)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGWINCH)
            if fault != "hang": happen(fault)
        threading.Thread(target=bomb, daemon=True).start()
        return bytes(128 << 20)
    def plants(fault, gate):
        def bomb():
            while not os.path.exists(gate): time.sleep(0.001)
            happen(fault)
        threading.Thread(target=bomb, daemon=True).start()
        return os.getpid()
    def at_exit(fault):
        atexit.register(happen, fault)
        return os.getpid()
    def when_cancelled(fault, started):
        signal.signal(signal.SIGTERM, signal.SIG_DFL if fault == "15" else lambda *_: happen(fault))
        open(started, "w").close()
        while True: time.sleep(0.01)
    def pid(): return os.getpid()
    def double(x): return 2 * x
    """
}

/// Stage by way of dying, for workers in Python.
@Suite(.timeLimit(.minutes(3)), .serialized)
struct PythonFaultTable: Sendable {
  let folder: TemporaryFolder
  init() throws {
    folder = try TemporaryFolder()
    try folder.write("faults.py", PythonFault.text)
  }
  private func target(_ function: String) -> String { "\(folder.path)/faults.py:\(function)" }
  private func options(_ fault: PythonFault) -> JobOptions { JobOptions(timeout: fault.exits.isEmpty ? .milliseconds(400) : nil) }

  /// Runs it among good calls, which must not notice.
  private func among(_ fault: PythonFault, _ call: PythonCall<PythonValue>) async throws -> any Error {
    let python = PythonExecutor(maxWorkers: 1)
    let before = (0..<5).map { python.submit(PythonCall<Int>(target("double"), $0)) }
    let bad = python.submit(call, options: options(fault))
    let after = (5..<10).map { python.submit(PythonCall<Int>(target("double"), $0)) }
    for (number, future) in (before + after).enumerated() { #expect(try await future.value == 2 * number) }
    let result = await bad.result
    await python.shutdown()
    return try #require({ if case .failure(let error) = result { error } else { nil } }(), "it succeeded")
  }
  private func check(_ error: any Error, _ fault: PythonFault) {
    if fault == .signal(2), let failure = error as? PythonFailure { return #expect(failure.type == "KeyboardInterrupt") }
    if fault == .memory, let failure = error as? PythonFailure { return #expect(failure.type == "MemoryError") }
    guard let error = error as? JobError else {
      Issue.record("\(error)")
      return
    }
    guard !fault.exits.isEmpty else { return #expect(error.code == .timedOut, "\(error)") }
    #expect(error.code == .workerDied && error.attempt == 1, "\(error)")
    #expect(error.exit.map(fault.exits.contains) == true, "\(error)")
    #expect(error.workerPID ?? 0 > 1 && error.peakMemory ?? 0 > 1 << 20 && error.ran != nil, "\(error)")
    switch fault {
    case .trap: #expect(error.message.contains("Fatal Python error: Segmentation fault") && error.crashSite?.line != nil, "\(error)")
    case .closedChannel, .corruptedChannel, .garbageFrames: #expect(error.message.contains("stopped because"), "\(error)")
    case .signal: #expect(error.message.contains("\(fault.exits.first!)"), "\(error)")
    default: break
    }
  }

  @Test(arguments: PythonFault.signals + PythonFault.others) func `an interpreter that dies in a call costs that call`(
    fault: PythonFault
  ) async throws {
    check(try await among(fault, PythonCall<PythonValue>(target("run"), fault.name)), fault)
  }
  @Test(arguments: PythonFault.some) func `an interpreter that dies in an import costs the call that asked for it`(
    fault: PythonFault
  ) async throws {
    try folder.write("importing_\(fault.name).py", "from faults import happen\nhappen('\(fault.name)')\ndef f(): pass\n")
    let error = try await among(fault, PythonCall<PythonValue>("\(folder.path)/importing_\(fault.name).py:f"))
    if fault == .memory, let error = error as? PythonTargetError { return #expect("\(error)".contains("MemoryError")) }
    check(error, fault)
  }
  @Test(arguments: PythonFault.some.filter { $0 != .memory })
  func `an interpreter that dies with half a result written costs that call`(fault: PythonFault) async throws {
    check(try await among(fault, PythonCall<PythonValue>(target("writes"), fault.name)), fault)
  }
  @Test(arguments: PythonFault.some.filter { $0.script != nil })
  func `a program that is no interpreter fails what waits, and says how it ended`(fault: PythonFault) async throws {
    let path = "\(folder.path)/python-\(fault.name)"
    try folder.write("python-\(fault.name)", "#!/bin/sh\n\(fault.script!)\n")
    chmod(path, 0o755)
    var settings = PythonSettings()
    settings.interpreter = PythonInterpreter(executable: path, version: [3, 11, 0])
    let python = PythonExecutor(maxWorkers: 1, mode: .processes, settings: settings)
    let result = await python.submit(PythonCall<Int>(target("double"), 1)).result
    guard case .failure(let error as JobError) = result else {
      Issue.record("\(result)")
      return
    }
    #expect(error.code == .workerNotStarted)
    if fault != .closedChannel, fault != .trap { #expect(error.message.contains(fault.exits.first.map { "\($0)" } ?? ""), "\(error)") }
    await python.shutdown()
  }
  @Test(arguments: PythonFault.some.filter { $0 != .memory }) func `an interpreter that dies without a call is replaced`(
    fault: PythonFault
  ) async throws {
    let python = PythonExecutor(maxWorkers: 1)
    let gate = "\(folder.path)/gate"
    let first = try await python.submit(PythonCall<Int32>(target("plants"), fault.name, gate)).value
    try folder.write("gate", "")
    switch fault {
    case .hang: break
    case .suspended: while !((try? String(contentsOfFile: "/proc/\(first)/stat", encoding: .utf8)) ?? ") T").contains(") T") { usleep(500) }
    default: #expect(await isGone(first))
    }
    let next = try await python.submit(PythonCall<Int32>(target("pid"))).value
    #expect((next == first) == (fault == .hang))
    await python.shutdown()
  }
  /// All at once, since some have to be waited for.
  @Test func `an interpreter that dies while it leaves does not hold up the shutdown`() async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
      for fault in PythonFault.some {
        group.addTask {
          let python = PythonExecutor(maxWorkers: 1)
          let pid = try await python.submit(PythonCall<Int32>(target("at_exit"), fault.name)).value
          let begin = ContinuousClock.now
          await python.shutdown()
          #expect(ContinuousClock.now - begin < .seconds(10), "\(fault)")
          #expect(await isGone(pid), "\(fault)")
        }
      }
      try await group.waitForAll()
    }
  }
  @Test(arguments: PythonFault.some.filter { $0 != .memory }) func `an interpreter that dies while it is stopped holds up nobody`(
    fault: PythonFault
  ) async throws {
    let python = PythonExecutor(maxWorkers: 1)
    let started = "\(folder.path)/started"
    let future = python.submit(PythonCall<PythonValue>(target("when_cancelled"), fault.name, started))
    while access(started, F_OK) != 0 { usleep(500) }
    #expect(future.cancel())
    guard case .failure(let error as JobError) = await future.result, error.code == .cancelled else {
      Issue.record("\(await future.result)")
      return
    }
    #expect(try await python.submit(PythonCall<Int>(target("double"), 4)).value == 8)
    await python.shutdown()
  }
}
