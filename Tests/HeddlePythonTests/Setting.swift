import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// What starts many interpreters, one suite after another: beside each other on two processors they would be late for their limits.
@Suite(.serialized) struct CallTests {}

/// Every mode on every Python that has it; those that this machine lacks are skipped by name.
struct Setting: Sendable, CustomStringConvertible, CustomTestStringConvertible {
  var mode: PythonMode
  /// nil: the Python that is found without a name.
  var version: String?
  var description: String { "\(mode) on Python\(version.map { " \($0)" } ?? "")" }
  var testDescription: String { description }

  static let versions = ["3.8.18", "3.9.18", "3.10.13", "3.11.7", "3.12.1", "3.13.0", "3.14"]
  static let all =
    [PythonMode.processes, .threads].flatMap { mode in versions.map { Setting(mode: mode, version: $0) } }
    + [Setting(mode: .interpreters, version: "3.12.1"), Setting(mode: .interpreters, version: "3.13.0")]
    + [Setting(mode: .interpreters, version: "3.14"), freeThreaded]
    + [Setting(mode: .processes, version: "3.13t")]
  /// Each mode once.
  static let modes = [
    Setting(mode: .processes), Setting(mode: .threads), Setting(mode: .interpreters, version: "3.13.0"), freeThreaded,
  ]
  static let freeThreaded = Setting(mode: .freeThreaded, version: "3.13t")
  var isOneProcess: Bool { mode != .processes }

  /// The interpreter's path; the test is skipped where there is none.
  func python() throws -> String? {
    guard let version else { return nil }
    if let path = Pythons.path(version) { return path }
    try Test.cancel("no Python \(version) on this machine")
  }
  var isHere: Bool { version.map { Pythons.path($0) != nil } ?? true }
  func executor(maxWorkers: Int = 2, settings: PythonSettings = PythonSettings()) throws -> PythonExecutor {
    var settings = settings
    settings.python = try python()
    return PythonExecutor(maxWorkers: maxWorkers, mode: mode, settings: settings)
  }
}

/// Functions that the tests call, in a folder of their own.
struct Functions: Sendable {
  let folder: TemporaryFolder
  init() throws {
    folder = try TemporaryFolder()
    try folder.write("work.py", Self.text)
  }
  func target(_ function: String) -> String { "\(folder.path)/work.py:\(function)" }
  /// A place where a function and its test meet: `wait` in Python returns what the test writes.
  func gate() -> Gate {
    let path = "\(folder.path)/\(UUID().uuidString)"
    _ = unsafe mkfifo(path, 0o600)
    return Gate(path: path)
  }

  static let text = """
    import os, subprocess, sys, threading, time
    print("printed at import")
    def echo(x): return x
    def kind(x): return type(x).__name__
    def both(*args, **keywords): return [list(args), keywords]
    def power(n): return 2 ** n
    class Tool:
        scale = 3
        @classmethod
        def triple(cls, x): return cls.scale * x
    def fail():
        try:
            {}["k"]
        except KeyError as cause:
            error = ValueError("no good")
            error.__notes__ = ["a note"]
            raise error from cause
    def unsendable(): return {"inner": [object()]}
    def leave(): sys.exit(3)
    def die(code): os._exit(code)
    def segfault():
        import ctypes
        ctypes.string_at(0)
    def loop():
        while True: pass
    def pid(): return os.getpid()
    def wait(path):
        with open(path) as gate: return gate.read()
    def tell(path, text):
        with open(path, "w") as gate: gate.write(text)
    def hang(path):
        child = subprocess.Popen(["sleep", "600"])
        tell(path, "%d %d" % (os.getpid(), child.pid))
        while True: pass
    def hold_gil(path):
        import ctypes
        # A sub-interpreter of some versions starts no program.
        try: child = subprocess.Popen(["sleep", "600"], start_new_session=True).pid
        except RuntimeError: child = 0
        tell(path, "%d %d" % (os.getpid(), child))
        ctypes.PyDLL(None).sleep(600)
    def once(path, name, *arguments):
        "Does it the first time, and answers later ones."
        try:
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return "again"
        return globals()[name](*arguments)
    def loud(x):
        print("printed", x); os.write(1, b"raw\\n"); sys.stderr.write("err\\n"); subprocess.call(["echo", "from a child"]); return x
    def zeros(n): return bytes(n)
    def size(data): return len(data)
    def square(x): return x * x
    def forks():
        child = os.fork()
        if child == 0: return "the child's"
        return os.waitpid(child, 0)[1]
    def pool():
        import multiprocessing
        with multiprocessing.get_context("fork").Pool(2) as workers: return workers.map(square, range(4))
    def take(n): return len(bytearray(n))
    def prefix(): return sys.prefix
    def add(n): return sum(range(n))
    """
}

/// A pipe with a name: either side waits for the other.
struct Gate: Sendable {
  let path: String
  /// What a Python function writes; returns once it has.
  func read() async -> String {
    await withCheckedContinuation { [path] continuation in
      Thread.detachNewThread {
        let file = FileHandle(forReadingAtPath: path)
        let data = (try? file?.readToEnd()) ?? Data()
        try? file?.close()
        continuation.resume(returning: String(decoding: data, as: UTF8.self))
      }
    }
  }
  /// Lets the Python function that waits there go, after `whenItIsThere`; returns once it has come.
  func open(_ text: String = "", whenItIsThere: @escaping @Sendable () -> Void = {}) async {
    await withCheckedContinuation { [path] continuation in
      Thread.detachNewThread {
        let file = FileHandle(forWritingAtPath: path)
        whenItIsThere()
        file?.write(Data(text.utf8))
        try? file?.close()
        continuation.resume()
      }
    }
  }
}
/// Returns once a worker has started the call, or it has ended.
func isRunning(_ future: AnyFuture) async {
  while !future.isDone && future.state != .running { try? await Task.sleep(for: .milliseconds(2)) }
}
/// Whether a process goes within ten seconds.
///
/// A zombie of another parent counts as gone.
func isGone(_ pid: Int32) async -> Bool {
  for _ in 0..<1000 {
    let status = (try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8)) ?? ""
    if status.isEmpty || status.contains(") Z ") { return true }
    try? await Task.sleep(for: .milliseconds(10))
  }
  return false
}

/// What one thread tells another.
final class Box: Sendable {
  let value = Locked<Int32>(0)
}

struct Point: Codable, Hashable, Sendable {
  struct Label: Codable, Hashable, Sendable {
    var text: String?
    var sizes: [Int: Double] = [:]
  }
  var x: Int
  var labels: [Label]
}
