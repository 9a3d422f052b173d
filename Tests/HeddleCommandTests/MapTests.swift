import Foundation
import HeddlePython
import HeddleSystem
import Synchronization
import Testing

@testable import HeddleCommand

/// Doubles numbers; "bad" raises, "dead" dies.
private func double(_ call: PythonValue) -> CallOutcome.Ending {
  switch call[0]?[0] {
  case .string("bad"): .raised(PythonFailure(type: "ValueError", message: "no good"))
  case .string("dead"): .failed(code: "workerDied", message: "the worker died", exit: "SIGSEGV")
  case .string(let text): .value(.string(text + text))
  default: .value(nil)
  }
}

struct MapTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func map(_ arguments: String..., runner: (any CallRunner)? = nil) throws -> ToolRun {
    try ToolRun(["t.py:f"] + arguments, in: folder, runner: runner ?? FakeRunner(double))
  }

  @Test func `results go to standard output and the summary to standard error`() throws {
    let run = try map("a", "bad", "b", "dead")
    #expect(try ToolRun.rows(run.output) == ["a=aa", "bad!", "b=bb", "dead!"])
    #expect(run.status == .failures)
    for part in ["2 succeeded, 2 failed", "ValueError: 1", "bad: no good", "workerDied (SIGSEGV): 1", "dead: the worker died"] {
      #expect(run.console.contains(part), "\(part) in \(run.console)")
    }
    #expect(!run.console.contains("\r"))
    #expect(try map("a").status == .success)
  }

  @Test func `an empty file of inputs is no error`() throws {
    try folder.write("none", "\n\n")
    let run = try map("--inputs", folder.file("none"))
    #expect(run.status == .success && run.output.isEmpty)
  }

  @Test func `a long file of inputs is run to its end`() throws {
    try folder.write("many", (0..<20_000).map { "\($0)\n" }.joined())
    let run = try map("--inputs", folder.file("many"))
    #expect(run.status == .success)
    #expect(run.output.split(separator: "\n").count == 20_000)
  }

  @Test func `no more inputs are out than the window lets through`() throws {
    // Every 4 calls are ended together; were more let through, the runner would hold a fifth and never be full again.
    let runner = HoldingRunner(window: 4) { runner in runner.finish { $0.reversed() } }
    let run = try map("a", "b", "c", "d", "e", "f", "g", "h", runner: runner)
    #expect(try ToolRun.rows(run.output) == ["d=d", "c=c", "b=b", "a=a", "h=h", "g=g", "f=f", "e=e"])
  }

  @Test func `rows keep the order of the inputs where that is wished`() throws {
    let names = (0..<8).map { "\($0)" }
    let ordering = ReversingRunner(count: 8)
    let run = try ToolRun(["t.py:f", "--keep-order"] + names, in: folder, runner: ordering)
    #expect(try ToolRun.rows(run.output) == names.map { "\($0)=\($0)" })
  }
  /// Ends all calls in reverse once the last has come.
  private final class ReversingRunner: CallRunner {
    private let inner = HoldingRunner(window: 100) { _ in }
    private let count: Int
    private let seen = Mutex(0)
    init(count: Int) { self.count = count }
    var window: Int { 1 }
    var processorTime: Duration? { nil }
    func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
      _ = inner.submit(input, completion: completion)
      let number = seen.withLock { seen in
        seen += 1
        return seen
      }
      if number == count { inner.finish { $0.reversed() } }
      return { _ in false }
    }
    func shutdown(grace: Duration?) { inner.shutdown(grace: grace) }
  }

  @Test func `too many failures start nothing more`() throws {
    try folder.write("many", (0..<10_000).map { _ in "bad\n" }.joined())
    let run = try map("--inputs", folder.file("many"), "--max-failures", "3")
    let rows = run.output.split(separator: "\n").count
    #expect(run.status == .failures && (3..<100).contains(rows))
    #expect(run.console.contains("stopped after"))
  }

  @Test func `an interrupted run keeps what ended and says what did not`() throws {
    let box = Mutex<Batch?>(nil)
    let runner = HoldingRunner(window: 4) { _ in box.withLock { $0 }?.stop(.interrupted) }
    let batch = Batch(runner: runner, keepsOrder: false)
    box.withLock { $0 = batch }
    let reader = InputReader(arguments: (0..<100).map(String.init), format: .lines)
    batch.feed(reader) { _ in .run(replaces: false) }
    var rows = 0
    let result = batch.run(.init(progress: ProgressLine(isShown: false, width: { 80 }, write: { _ in }))) { ended in
      rows += ended.count
      return RowsWritten(count: ended.count)
    }
    #expect(result.stop == .interrupted && result.notRun == 4 && rows == 0)
    box.withLock { $0 = nil }
  }

  @Test func `a row that cannot be written ends the run`() throws {
    for (code, expected) in [
      (EPIPE, Batch.Stop.brokenPipe), (ENOSPC, .cannotWrite("a result could not be written: No space left on device")),
    ] {
      let batch = Batch(runner: FakeRunner(window: 1000, double), keepsOrder: false)
      batch.feed(InputReader(arguments: (0..<100).map(String.init), format: .lines)) { _ in .run(replaces: false) }
      var rows = 0
      let result = batch.run(.init(progress: ProgressLine(isShown: false, width: { 80 }, write: { _ in }))) { ended in
        RowsWritten(of: ended) { _ throws(SystemError) in
          if rows == 10 { throw SystemError("write", code: code) }
          rows += 1
        }
      }
      #expect(rows == 10 && result.summary.succeeded == 10 && result.notRun == 90)
      #expect(result.stop == expected)
    }
  }

  @Test func `progress is a line that gives way`() {
    var text = ""
    var line = ProgressLine(isShown: true, width: { 80 }, write: { text += String(decoding: $0, as: UTF8.self) })
    line.clear()
    line.draw(RunProgress(done: 37, skipped: 0, failed: 2, total: 120, elapsed: .seconds(3)))
    line.pass(Array("printed\n".utf8))
    line.clear()
    #expect(text == "\r37/120 30% · 2 failed · 12.3/s · 0:07 left\u{1b}[K\r\u{1b}[Kprinted\n")
    let table: [(RunProgress, String)] = [
      (RunProgress(), "0 · 0:00"), (RunProgress(done: 5, elapsed: .seconds(65)), "5 · 0.08/s · 1:05"),
      (RunProgress(done: 10, skipped: 5, total: 10, elapsed: .seconds(5)), "10/10 100% · 1.00/s · 0:05"),
      (RunProgress(done: 5, skipped: 5, total: 10, elapsed: .seconds(1)), "5/10 50% · 0:01"),
      (RunProgress(done: 50_000, total: 36_050_000, elapsed: .seconds(5)), "50000/36050000 0% · 10000/s · 1:00:00 left"),
    ]
    for (progress, expected) in table { #expect(progress.text(width: 80) == expected) }
    #expect(RunProgress(done: 37, total: 120, elapsed: .seconds(3)).text(width: 10) == "37/120 30")
  }
}

struct ResumeTests {
  private let folder: TemporaryFolder
  init() throws { folder = try TemporaryFolder() }

  private func map(_ inputs: [String], _ options: String..., fails: Set<String> = [], calls: Int? = nil) throws -> ToolRun {
    try folder.write("in", inputs.map { $0 + "\n" }.joined())
    let runner = FakeRunner { call in
      guard case .string(let text)? = call[0]?[0] else { return .value(nil) }
      return fails.contains(text) ? .raised(PythonFailure(type: "E", message: "")) : .value(.string(text))
    }
    let run = try ToolRun(
      ["t.py:f", "--inputs", folder.file("in"), "--output", folder.file("out")] + options, in: folder, runner: runner)
    let count = runner.calls.withLock { $0.count }
    if let calls { #expect(count == calls, "calls with \(options)") }
    return run
  }
  private var rows: [String] { get throws { try ToolRun.rows(folder.read("out")) } }

  @Test func `a file that exists is refused unless it is said what to do with it`() throws {
    #expect(try map(["a", "b"]).status == .success)
    let refused = try map(["a", "c"])
    #expect(refused.status == .usage && refused.console.contains("--resume"))
    #expect(try rows == ["a=a", "b=b"])
    #expect(try map(["c"], "--overwrite").status == .success)
    #expect(try rows == ["c=c"])
    #expect(try map(["a"], "--retry-failed", calls: 0).status == .success)
  }

  @Test func `resuming runs what has no successful row and leaves one row an input`() throws {
    #expect(try map(["a", "b", "c"], fails: ["b"]).status == .failures)
    #expect(try map(["c", "d", "b", "a"], "--resume", calls: 2).status == .success)
    #expect(try rows == ["a=a", "c=c", "d=d", "b=b"])
    #expect(try map(["a", "b", "c", "d"], "--resume", fails: ["e"], calls: 0).status == .success)
    #expect(try !folder.read("out").contains("replaces"))
  }

  @Test func `retrying runs the failed ones and nothing else`() throws {
    #expect(try map(["a", "b", "c"], fails: ["a", "b"]).status == .failures)
    #expect(try map(["a", "b", "c", "new"], "--retry-failed", fails: ["b"], calls: 2).status == .failures)
    #expect(try rows.sorted() == ["a=a", "b!", "c=c"])
    #expect(try map(["a", "b", "c", "new"], "--retry-failed", calls: 1).status == .success)
    #expect(try rows.sorted() == ["a=a", "b=b", "c=c"])
    let run = try ToolRun(["t.py:f", "a", "--output", folder.file("none"), "--retry-failed"], in: folder, runner: FakeRunner(double))
    #expect(run.status == .usage)
  }

  @Test func `an input that is named twice has two rows`() throws {
    #expect(try map(["a", "a", "b"], fails: ["a"]).status == .failures)
    #expect(try rows == ["a!", "a!", "b=b"])
    #expect(try map(["a", "a", "b", "a"], "--resume", calls: 3).status == .success)
    #expect(try rows == ["b=b", "a=a", "a=a", "a=a"])
  }

  @Test func `a failure elsewhere in the file still counts for the status`() throws {
    _ = try map(["a", "b"], fails: ["b"])
    #expect(try map(["a"], "--resume").status == .failures)
  }

  @Test func `rows are in the order of the inputs where that is wished`() throws {
    _ = try map(["a", "b", "c"], fails: ["a"])
    #expect(try map(["a", "b", "c"], "--resume", "--keep-order").status == .success)
    #expect(try rows == ["a=a", "b=b", "c=c"])
  }

  @Test func `something else than results is refused and left alone`() throws {
    try folder.write("out", "precious\nnotes\n")
    #expect(try map(["a"], "--resume").status == .usage)
    #expect(try folder.read("out") == "precious\nnotes\n")
    try folder.write("out", "{\"index\": 0}\n{}\n")
    #expect(try map(["a"], "--resume").status == .usage)
  }

  @Test func `a run that could not begin leaves no file behind`() throws {
    struct Broken: Error {}
    let command = try MapCommand.parse(["t.py:f", "a", "--output", folder.file("new")])
    let console = try Descriptor.open(folder.file("console"), for: .creating)
    let run = MapRun(
      command, console: console.number, listensToSignals: false, check: { _, _ in throw Broken() }, locate: { _, _ in nil },
      makeRunner: { _ in throw Broken() })
    #expect(run.run() == .usage)
    #expect(!Files.exists(folder.file("new")))
  }

  @Test func `a second run on the same file is refused`() throws {
    _ = try map(["a"])
    let holder = try ResultFile(path: folder.file("out"), mode: .goOn)
    let refused = try map(["a"], "--resume")
    #expect(refused.status == .usage && refused.console.contains("another run"))
    withExtendedLifetime(holder) {}
  }

  @Test func `a run that was killed anywhere is resumed to a whole file`() throws {
    let inputs = (0..<20).map { "input \($0 % 17)" }
    _ = try map(inputs, fails: ["input 3", "input 16"])
    _ = try Data(contentsOf: URL(filePath: folder.file("out")))
    // What a resumed run has appended before it is killed, at every byte.
    let before = try ResultFile(path: folder.file("out"), mode: .goOn)
    let marshaled = MarshaledValue(bytes: try MarshalEncoder().encode("input 3"))
    let input = Input(index: 3, content: .value(marshaled), format: .lines)
    let row = Row(input, CallOutcome(ending: .value("input 3"), seconds: 0, attempts: 1), replaces: true)
    try before.append(row.line, replaces: true)
    let whole = try Data(contentsOf: URL(filePath: folder.file("out")))
    _ = consume before
    for length in stride(from: 0, through: whole.count, by: 53) + [whole.count - 1, whole.count] {
      try whole.prefix(length).write(to: URL(filePath: folder.file("out")))
      #expect(try map(inputs, "--resume").status == .success)
      #expect(try rows.sorted() == inputs.map { "\($0)=\($0)" }.sorted(), "cut at \(length)")
    }
  }

}

private func + (strides: StrideThrough<Int>, more: [Int]) -> [Int] { Array(strides) + more }
