import HeddlePython
import HeddleSystem
import Synchronization
import Testing

@testable import HeddleCommand

/// So long the tests wait for what has to come.
private let waitLimit = Duration.seconds(30)

struct PaceTests {
  /// A runner that keeps calls until the test ends them, and counts what is cancelled.
  private final class Stage: CallRunner {
    struct Part {
      let text: String
      let completion: @Sendable (CallOutcome) -> Void
    }
    let parts = Mutex<[Part]>([])
    let cancelled = Mutex<[String]>([])
    /// So many cancellations answer that they cannot.
    let refuses = Mutex(0)
    private let news = Parker()
    var window: Int { 100 }
    var processorTime: Duration? { nil }
    func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
      let text = input.text
      parts.withLock { $0.append(Part(text: text, completion: completion)) }
      news.unpark()
      return { [self] _ in
        let isRefused = refuses.withLock { left in
          left -= 1
          return left >= 0
        }
        if isRefused {
          news.unpark()
          return false
        }
        cancelled.withLock { $0.append(text) }
        end(text, .notRun)
        return true
      }
    }
    func end(_ text: String, _ ending: CallOutcome.Ending, seconds: Double = 0) {
      let part = parts.withLock { parts in parts.firstIndex { $0.text == text }.map { parts.remove(at: $0) } }
      part?.completion(CallOutcome(ending: ending, seconds: seconds, attempts: 1))
      news.unpark()
    }
    func shutdown(grace: Duration?) {}
    func waitForRefusal() { wait { _ in refuses.withLock { $0 <= 0 } } }
    /// Waits until that is so.
    func wait(_ isTrue: ([String]) -> Bool) {
      let end = MonotonicTime.now + waitLimit
      while true {
        let ticket = news.ticket
        let texts = parts.withLock { $0.map(\.text) }
        if isTrue(texts) { return }
        guard MonotonicTime.now < end else {
          Issue.record("in vain; what runs is \(texts)")
          return
        }
        news.park(ticket: ticket, until: end)
      }
    }
  }
  private func input(_ text: String) throws -> Input {
    Input(index: 0, content: .value(MarshaledValue(bytes: try MarshalEncoder().encode(text))), format: .lines)
  }
  private struct Outcomes: Sendable {
    private let list = Box()
    private final class Box: Sendable {
      let all = Mutex<[String: CallOutcome]>([:])
      let news = Parker()
    }
    func note(_ name: String) -> @Sendable (CallOutcome) -> Void {
      { [list] outcome in
        list.all.withLock { $0[name] = outcome }
        list.news.unpark()
      }
    }
    func await(_ name: String) -> CallOutcome {
      let end = MonotonicTime.now + waitLimit
      while true {
        let ticket = list.news.ticket
        if let outcome = list.all.withLock({ $0[name] }) { return outcome }
        guard MonotonicTime.now < end else {
          Issue.record("\(name) has not ended")
          return CallOutcome(ending: .notRun, seconds: 0, attempts: -1)
        }
        list.news.park(ticket: ticket, until: end)
      }
    }
  }

  @Test func `no more calls run than there are places, in the order in which they came`() throws {
    let stage = Stage()
    let paced = try PacedRunner(stage, pace: .init(places: 2))
    let outcomes = Outcomes()
    for name in ["a", "b", "c", "d"] { _ = paced.submit(try input(name), completion: outcomes.note(name)) }
    stage.wait { $0 == ["a", "b"] }
    stage.end("a", .value("x"))
    stage.wait { $0 == ["b", "c"] }
    stage.end("c", .value("x"))
    stage.end("b", .value("x"))
    stage.wait { $0 == ["d"] }
    stage.end("d", .value("x"))
    _ = outcomes.await("d")
    paced.shutdown(grace: nil)
  }

  @Test func `a call that fails is tried again and its tries are counted`() throws {
    let stage = Stage()
    let paced = try PacedRunner(stage, pace: .init(places: 1, retries: 2))
    let outcomes = Outcomes()
    _ = paced.submit(try input("a"), completion: outcomes.note("a"))
    for _ in 0..<3 {
      stage.wait { $0 == ["a"] }
      stage.end("a", .failed(code: "workerDied", message: "", exit: "exit 1"))
    }
    let outcome = outcomes.await("a")
    #expect(outcome.attempts == 3)
    guard case .failed = outcome.ending else { return #expect(Bool(false), "\(outcome)") }
    paced.shutdown(grace: nil)
  }

  @Test func `a limit from the median holds for calls that run when it becomes known`() throws {
    let stage = Stage()
    let paced = try PacedRunner(stage, pace: .init(places: 4, timeout: .percent(300)))
    let outcomes = Outcomes()
    for name in ["slow", "a", "b", "c"] { _ = paced.submit(try input(name), completion: outcomes.note(name)) }
    stage.wait { $0.count == 4 }
    #expect(stage.cancelled.withLock { $0.isEmpty })
    for name in ["a", "b", "c"] { stage.end(name, .value("x"), seconds: 0.01) }
    let outcome = outcomes.await("slow")
    guard case .failed("timedOut", let message, nil) = outcome.ending else { return #expect(Bool(false), "\(outcome)") }
    #expect(message.contains("300% of the median") && outcome.seconds >= 0.1)
    paced.shutdown(grace: nil)
  }

  @Test func `with little memory nothing starts, and with very little the youngest waits again`() throws {
    let stage = Stage()
    let memory = Mutex(1000)
    let paced = try PacedRunner(stage, pace: .init(places: 3, freeMemory: 500)) { memory.withLock { $0 } }
    let outcomes = Outcomes()
    _ = paced.submit(try input("a"), completion: outcomes.note("a"))
    _ = paced.submit(try input("b"), completion: outcomes.note("b"))
    stage.wait { $0 == ["a", "b"] }
    memory.withLock { $0 = 100 }
    stage.wait { $0 == ["a"] }
    #expect(stage.cancelled.withLock { $0 } == ["b"])
    memory.withLock { $0 = 1000 }
    stage.wait { $0 == ["a", "b"] }
    stage.end("b", .value("x"))
    #expect(outcomes.await("b").attempts == 1)
    // The last one may have all there is.
    memory.withLock { $0 = 0 }
    stage.end("a", .value("x"))
    _ = paced.submit(try input("c"), completion: outcomes.note("c"))
    stage.wait { $0 == ["c"] }
    stage.end("c", .value("x"))
    _ = outcomes.await("c")
    paced.shutdown(grace: nil)
  }

  @Test func `a call that cannot be put back keeps its time limit`() throws {
    let stage = Stage()
    stage.refuses.withLock { $0 = 1 }
    let memory = Mutex(1000)
    let pace = PacedRunner.Pace(places: 2, freeMemory: 500, timeout: .span(.milliseconds(300)))
    let paced = try PacedRunner(stage, pace: pace) { memory.withLock { $0 } }
    let outcomes = Outcomes()
    for name in ["a", "b"] { _ = paced.submit(try input(name), completion: outcomes.note(name)) }
    stage.wait { $0 == ["a", "b"] }
    // Too little for two: the youngest is to be put back, which is refused once.
    memory.withLock { $0 = 100 }
    stage.waitForRefusal()
    memory.withLock { $0 = 1000 }
    guard case .failed("timedOut", _, _) = outcomes.await("b").ending else { return #expect(Bool(false)) }
    guard case .failed("timedOut", _, _) = outcomes.await("a").ending else { return #expect(Bool(false)) }
    paced.shutdown(grace: nil)
  }

  @Test func `what waits at the end has not run`() throws {
    let stage = Stage()
    let paced = try PacedRunner(stage, pace: .init(places: 1))
    let outcomes = Outcomes()
    for name in ["a", "b"] { _ = paced.submit(try input(name), completion: outcomes.note(name)) }
    stage.wait { $0 == ["a"] }
    paced.shutdown(grace: nil)
    guard case .notRun = outcomes.await("b").ending else { return #expect(Bool(false)) }
    _ = paced.submit(try input("c"), completion: outcomes.note("c"))
    guard case .notRun = outcomes.await("c").ending else { return #expect(Bool(false)) }
  }

  @Test func `the median is that of the last values`() {
    var median = RecentMedian()
    for (value, expected) in [(5.0, nil), (1, nil), (3, 3), (9, 5), (9, 5)] as [(Double, Double?)] {
      median.add(value)
      #expect(median.value == expected)
    }
    for _ in 0..<RecentMedian.count { median.add(7) }
    #expect(median.value == 7)
  }
}

struct TemplateTests {
  private func words(_ template: [String], _ value: PythonValue, shell: Bool = false) throws -> [String] {
    let input = try CommandInput(MarshaledValue(bytes: try MarshalEncoder().encode(value)))
    return try CommandTemplate(words: template, isShell: shell).words(for: input, sequence: 7, place: 2).map {
      String(decoding: $0, as: UTF8.self)
    }
  }

  @Test(arguments: [
    ("d/a.b.c", "{}|{.}|{/}|{//}|{/.}|{#}|{%}", "d/a.b.c|d/a.b|a.b.c|d|a.b|7|2"), ("x", "{}|{.}|{/}|{//}|{/.}", "x|x|x|.|x"),
    ("/x", "{//}|{/}", "/|x"), ("d.e/f", "{.}|{/.}", "d.e/f|f"), (".hidden", "{.}", ".hidden"), ("a b'c", "<{}>", "<a b'c>"),
    ("x", "{a b}{{}}{", "{a b}{x}{"), ("", "{}|{/}|{.}", "||"),
  ])
  func `replacement strings are GNU parallel's`(input: String, template: String, expected: String) throws {
    #expect(try words(["run", template], .string(input)) == ["run", expected])
  }

  @Test func `a command without a place for the input gets it at its end`() throws {
    #expect(try words(["cat"], "a b") == ["cat", "a b"])
    #expect(try words(["echo", "{#}"], "a") == ["echo", "7", "a"])
    #expect(try words(["cat -n"], "a b", shell: true) == ["/bin/sh", "-c", "cat -n 'a b'"])
    #expect(try words(["echo {} | wc"], "a'b; rm x", shell: true) == ["/bin/sh", "-c", "echo 'a'\\''b; rm x' | wc"])
  }

  @Test func `columns and members have their names`() throws {
    #expect(try words(["run", "{user}-{n}"], ["user": "me", "n": 5]) == ["run", "me-5"])
    #expect(throws: UsageError.self) { try words(["run", "{nobody}"], ["user": "me"]) }
    #expect(try words(["run"], ["a": 1]) == ["run", "{\"a\": 1}"])
  }

  @Test func `bytes that are no text reach the command as they were`() throws {
    var writer = MarshalWriter()
    let bytes: [UInt8] = [0x61, 0xff, 0xc3, 0xa9, 0x80, 0xed, 0xa0, 0x80]
    writer.write(fileSystemText: bytes[...])
    #expect(try CommandInput(MarshaledValue(bytes: writer.bytes)).text == bytes)
  }

  @Test func `what is named beside the options is sorted`() {
    func sort(_ words: String...) -> String {
      let named = NamedInputs(NamedInputs.marked(words).filter { $0 != "--" })
      return "\(named.target ?? "-") \(named.template) \(named.inputs) \(named.file ?? "-")\(named.isTooMany ? " twice" : "")"
    }
    #expect(sort("t:f", "a", "b") == #"t:f [] ["a", "b"] -"#)
    #expect(sort("t:f", ":::", "a") == #"t:f [] ["a"] -"#)
    #expect(sort("t:f", "--", "-a") == #"t:f [] ["-a"] -"#)
    #expect(sort("--", "ls", "-l", ":::", "a", "b") == #"- ["ls", "-l"] ["a", "b"] -"#)
    #expect(sort("--", "ls", "::::", "list") == #"- ["ls"] [] list"#)
    #expect(sort("--", "ls") == #"- ["ls"] [] -"#)
    #expect(sort("--", "ls", ":::", "a", ":::", "b").hasSuffix("twice"))
  }

  @Test func `halt conditions are GNU parallel's`() throws {
    let met: [(String, failed: Int, succeeded: Int, total: Int?, Bool)] = [
      ("now,fail=1", 1, 0, nil, true), ("now,fail=2", 1, 9, nil, false), ("soon,success=3", 0, 3, nil, true),
      ("soon,done=4", 2, 2, nil, true), ("soon,fail=10%", 1, 0, 10, true), ("soon,fail=10%", 1, 0, 11, false),
      ("soon,fail=10%", 9, 0, nil, false), ("1", 1, 0, nil, true),
    ]
    for (text, failed, succeeded, total, expected) in met {
      let condition = try #require(try HaltCondition.parse(text))
      #expect(condition.isMet(failed: failed, succeeded: succeeded, total: total) == expected, "\(text)")
    }
    #expect(try HaltCondition.parse("never") == nil)
    for text in ["", "now", "now,fail", "later,fail=1", "now,fail=0", "now,fail=1.5", "now,fail=101%", "now,win=1", "now,fail=-1", "3"] {
      #expect(throws: (any Error).self) { try HaltCondition.parse(text) }
    }
  }

  @Test func `numbers of workers may depend on the cores`() throws {
    for (text, expected) in [("3", 3), ("+2", 6), ("50%", 2), ("10%", 1), ("200%", 8)] {
      #expect(try JobCount(option: text).resolved(cores: 4) == expected)
    }
    for text in ["0", "-1", "x", "", "0%", "%", "1.5"] { #expect(throws: (any Error).self) { try JobCount(option: text) } }
  }
}
