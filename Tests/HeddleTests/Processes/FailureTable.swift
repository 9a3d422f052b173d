import Glibc
import Heddle
import HeddleSystem
import Testing

/// The ways in which one job among good ones goes wrong.
enum Misfortune: String, Codable, CaseIterable, Sendable, CustomTestStringConvertible {
  /// All, but for the one whose stack a sanitizer's own frames would need (Scripts/sanitize.sh).
  static let some = allCases.filter { $0 != .stackOverflow || !Fault.isSanitized }
  case arrayIndex, overflow, fatalError, segmentationFault, abort, illegal, exit0, exit3, killed, terminated, stackOverflow
  case argumentNotEncodable, jobNotDecodable, resultNotEncodable, resultNotDecodable, throwsCodable, throwsOther, privateGeneric,
    closesChannel
  var testDescription: String { rawValue }

  /// How the error must read; nil: not a `JobError`.
  var code: JobError.Code? {
    switch self {
    case .argumentNotEncodable, .resultNotEncodable, .privateGeneric: .notEncodable
    case .jobNotDecodable, .resultNotDecodable: .notDecodable
    case .throwsCodable, .throwsOther: nil
    default: .workerDied
    }
  }
  /// How the worker must have ended; several where the platform has a choice.
  var exits: Set<WorkerExit?> {
    switch self {
    case .arrayIndex, .overflow: [.signal(4), .signal(5)]
    case .fatalError: [.signal(4), .signal(5), .signal(6)]
    case .segmentationFault: [.signal(11)]
    case .stackOverflow: [.signal(11), .signal(7)]
    case .abort: [.signal(6)]
    case .illegal: [.signal(4)]
    case .exit0: [.code(0)]
    case .exit3: [.code(3)]
    case .killed: [.signal(9)]
    case .terminated: [.signal(15)]
    // Its lifeline sees the end of the channel and kills its group.
    case .closesChannel: [.code(0), .signal(9)]
    default: [nil]
    }
  }
  var killsWorker: Bool { code == .workerDied }
}

/// Leaves a mark, and may then do what must not be done.
struct Risky: Job {
  var path: String
  var value: Int
  var misfortune: Misfortune?
  func run() async throws -> Int {
    append([1], to: path)
    if let misfortune { try misfortune.happen() }
    return value
  }
}
private struct Picky: Job {
  var path: String
  var failsToEncode = false
  var failsToDecode = false
  init(path: String, failsToEncode: Bool = false, failsToDecode: Bool = false) {
    self.path = path
    self.failsToEncode = failsToEncode
    self.failsToDecode = failsToDecode
  }
  private enum CodingKeys: CodingKey { case path, failsToDecode }
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    path = try container.decode(String.self, forKey: .path)
    if try container.decode(Bool.self, forKey: .failsToDecode) { throw Refusal(code: 2, reason: "unreadable job") }
  }
  func encode(to encoder: any Encoder) throws {
    if failsToEncode { throw Refusal(code: 1, reason: "unwritable job") }
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(path, forKey: .path)
    try container.encode(failsToDecode, forKey: .failsToDecode)
  }
  func run() async throws -> Int {
    append([1], to: path)
    return 0
  }
}
private struct Answer: Codable, Sendable {
  var failsToEncode: Bool
  init(failsToEncode: Bool) { self.failsToEncode = failsToEncode }
  init(from decoder: any Decoder) throws { throw Refusal(code: 4, reason: "unreadable answer") }
  func encode(to encoder: any Encoder) throws {
    if failsToEncode { throw Refusal(code: 3, reason: "unwritable answer") }
    var container = encoder.singleValueContainer()
    try container.encode(1)
  }
}
private struct Answers: Job {
  var path: String
  var failsToEncode: Bool
  func run() async throws -> Answer {
    append([1], to: path)
    return Answer(failsToEncode: failsToEncode)
  }
}
private struct Hidden: Codable, Sendable {}

extension Misfortune {
  func happen() throws {
    switch self {
    case .arrayIndex:
      let array = [1, 2, 3]
      _ = array[opaque(9)]
    case .overflow: _ = opaque(Int.max) + opaque(1)
    case .fatalError: Swift.fatalError("the sky is falling")
    case .segmentationFault: raise(SIGSEGV)
    case .abort: Glibc.abort()
    case .illegal: raise(SIGILL)
    case .exit0: exit(0)
    case .exit3: exit(3)
    case .killed: kill(getpid(), SIGKILL)
    case .terminated: raise(SIGTERM)
    case .stackOverflow: _ = deep(1)
    case .throwsCodable: throw Refusal(code: 5, reason: "no")
    case .throwsOther: throw Opaque(detail: "odd")
    case .closesChannel:
      shutdown(3, Int32(SHUT_RDWR))
      close(3)
      while true { pause() }
    default: break
    }
  }
  @inline(never) private func deep(_ depth: Int) -> Int {
    var room: (Int, Int, Int, Int, Int, Int, Int, Int) = (depth, depth, depth, depth, depth, depth, depth, depth)
    // Never so; but that it has no end is not to be seen by the compiler, which would warn.
    if depth < 0 { return 0 }
    room.0 = deep(room.7 &+ 1)
    return room.0 &+ room.1
  }
}
@inline(never) private func opaque(_ value: Int) -> Int { value }

extension Core {
  /// One job of a thousand goes wrong: it costs its own future and nothing else.
  @Suite struct FailureTable {
    @Test(arguments: Misfortune.some) func `a misfortune in the middle of 1000 good jobs costs its own future only`(
      misfortune: Misfortune
    ) async throws {
      let scratch = Scratch()
      let marks = scratch.path("marks")
      let bad = scratch.path("bad")
      try await withSubject(.processes) { pool in
        let before = (0..<500).map { pool.submit(Risky(path: marks, value: $0)) }
        let failing = submit(misfortune, bad, pool)
        let after = (500..<1000).map { pool.submit(Risky(path: marks, value: $0)) }
        for (number, future) in (before + after).enumerated() {
          let result = await future.result
          #expect((try? result.get()) == number, "job \(number): \(result)")
        }
        let error = try #require(await failing.error)
        check(error, misfortune)
        // The pool goes on.
        let next = try await pool.submit(Risky(path: marks, value: 7)).value
        #expect(next == 7)
      }
      #expect(scratch.count("marks") == 1001, "each good job runs exactly once")
      switch misfortune {
      case .argumentNotEncodable, .jobNotDecodable, .privateGeneric: #expect(scratch.count("bad") == 0, "it must not run")
      default: #expect(scratch.count("bad") == 1)
      }
    }
    private func submit(_ misfortune: Misfortune, _ bad: String, _ pool: Subject) -> Failing {
      switch misfortune {
      case .argumentNotEncodable: Failing(pool.submit(Picky(path: bad, failsToEncode: true)))
      case .jobNotDecodable: Failing(pool.submit(Picky(path: bad, failsToDecode: true)))
      case .resultNotEncodable: Failing(pool.submit(Answers(path: bad, failsToEncode: true)))
      case .resultNotDecodable: Failing(pool.submit(Answers(path: bad, failsToEncode: false)))
      case .privateGeneric: Failing(pool.submit(Echo(value: Hidden())))
      default: Failing(pool.submit(Risky(path: bad, value: -1, misfortune: misfortune)))
      }
    }
    private func check(_ error: any Error, _ misfortune: Misfortune) {
      guard let code = misfortune.code else {
        if misfortune == .throwsCodable {
          #expect(error as? Refusal == Refusal(code: 5, reason: "no"))
        } else {
          #expect(error as? RemoteError == RemoteError(typeName: "Opaque", description: "opaque: odd"))
        }
        return
      }
      guard let error = error as? JobError else {
        Issue.record("no JobError: \(error)")
        return
      }
      #expect(error.code == code)
      #expect(misfortune.exits.contains(error.exit), "\(error)")
      #expect(error.attempt == 1)
      #expect(error.message.count > 30, "a sentence")
      if misfortune.killsWorker {
        #expect(error.workerPID ?? 0 > 1)
        #expect(error.peakMemory ?? 0 > 1 << 20)
      }
      if misfortune == .fatalError { #expect(error.standardErrorTail.contains("the sky is falling"), "\(error)") }
    }
    @Test func `every second job kills its worker, and nothing is lost or run twice`() async throws {
      let scratch = Scratch()
      let marks = scratch.path("marks")
      try await withSubject(.processes) { pool in
        let futures = (0..<120).map { pool.submit(Risky(path: marks, value: $0, misfortune: $0 % 2 == 1 ? .exit3 : nil)) }
        for (number, future) in futures.enumerated() {
          let result = await future.result
          if number % 2 == 0 { #expect((try? result.get()) == number) } else { #expect(result.jobError?.exit == .code(3)) }
        }
      }
      #expect(scratch.count("marks") == 120)
    }
    @Test func `a crash is tried again where that was allowed, a timeout too`() async throws {
      struct CrashesUntil: Job {
        var runs: Int
        var path: String
        var hangs = false
        func run() async throws -> Int {
          append([1], to: path)
          let count = bytes(of: path)?.count ?? 0
          if count < runs {
            if hangs { while true { pause() } }
            Glibc.abort()
          }
          return count
        }
      }
      let scratch = Scratch()
      try await withSubject(.processes) { pool in
        let retry = RetryPolicy(crashes: 2, timeouts: 1, backoff: .immediate)
        let enough = await pool.submit(CrashesUntil(runs: 3, path: scratch.path("a")), options: JobOptions(retry: retry)).result
        #expect((try? enough.get()) == 3)
        let tooFew = await pool.submit(CrashesUntil(runs: 9, path: scratch.path("b")), options: JobOptions(retry: retry)).result
        #expect(tooFew.jobError?.code == .workerDied && tooFew.jobError?.attempt == 3)
        let hung = await pool.submit(
          CrashesUntil(runs: 2, path: scratch.path("c"), hangs: true), options: JobOptions(timeout: .milliseconds(100), retry: retry)
        ).result
        #expect((try? hung.get()) == 2, "\(hung)")
        let stuck = await pool.submit(
          CrashesUntil(runs: 9, path: scratch.path("d"), hangs: true), options: JobOptions(timeout: .milliseconds(100), retry: retry)
        ).result
        #expect(stuck.jobError?.code == .timedOut && stuck.jobError?.attempt == 2, "\(stuck)")
      }
      #expect(["a", "b", "c", "d"].map { scratch.count($0) } == [3, 3, 2, 2])
    }
    @Test func `cancelling a running job kills what it started, and nobody else`() async throws {
      struct Parent: Job {
        var started: String
        func run() async throws -> Int {
          let child = startSleeper()
          append(Array("\(child)".utf8), to: started)
          while true { pause() }
        }
      }
      let scratch = Scratch()
      try await withSubject(.processes) { pool in
        let other = pool.submit(Naps(milliseconds: 200, value: 4))
        let parent = pool.submit(Parent(started: scratch.path("child")))
        try await eventually("a grandchild") { scratch.count("child") > 0 }
        let child = try #require(Int32(text(of: scratch.path("child")) ?? ""))
        #expect(kill(child, 0) == 0)
        #expect(parent.cancel())
        try await eventually("the end of the grandchild \(child)") { !isAlive(child) }
        let value = try await other.value
        #expect(value == 4)
      }
    }
    /// As Foundation's `Process` does with each program, and Python's `subprocess` with `start_new_session`.
    @Test(arguments: ["cancelled", "out of time", "killed", "exits", "returns"], [true, false])
    func `what a job has put into a group or session of its own goes with its worker`(end: String, isSession: Bool) async throws {
      struct Parent: Job {
        var end: String
        var isSession: Bool
        var started: String
        func run() async throws -> Int {
          let child = startSleeper(inGroupOfItsOwn: true, inSessionOfItsOwn: isSession)
          append(Array("\(child)".utf8), to: started)
          switch end {
          case "killed": raise(SIGKILL)
          case "exits": exit(3)
          case "returns": break
          default: while true { pause() }
          }
          return 1
        }
      }
      let scratch = Scratch()
      let child = try await withSubject(.processes) { pool in
        let options = JobOptions(timeout: end == "out of time" ? .milliseconds(300) : nil)
        let parent = pool.submit(Parent(end: end, isSession: isSession, started: scratch.path("child")), options: options)
        try await eventually("a grandchild") { scratch.count("child") > 0 }
        let child = try #require(Int32(text(of: scratch.path("child")) ?? ""))
        if end == "cancelled" { #expect(parent.cancel()) }
        let result = await parent.result
        if end == "returns" {
          // Until its worker is retired: the next job may want it.
          #expect((try? result.get()) == 1 && isAlive(child))
        } else {
          #expect(result.jobError != nil)
          try await eventually("the end of the grandchild \(child)") { !isAlive(child) }
        }
        return child
      }
      try await eventually("the end of the grandchild \(child) after its pool") { !isAlive(child) }
    }
    @Test func `a job that closes its standard error does not keep the supervisor busy`() async throws {
      struct Closes: Job {
        var started: String
        func run() async throws -> Int {
          close(1)
          close(2)
          append([1], to: started)
          block(600)
          return 1
        }
      }
      let scratch = Scratch()
      try await withSubject(.processes) { pool in
        let future = pool.submit(Closes(started: scratch.path("started")))
        try await eventually("the job") { scratch.count("started") == 1 }
        let before = processorTime()
        try await Task.sleep(for: .milliseconds(400))
        let spent = processorTime() - before
        #expect(spent < .milliseconds(200), "\(spent) in 400 ms")
        _ = try await future.value
      }
    }
    @Test func `a flood on standard error blocks nobody and leaves its last lines`() async throws {
      struct Floods: Job {
        func run() async throws -> Int {
          for number in 0..<20000 {
            let line = "line \(number) of many\n"
            _ = unsafe write(2, line, line.utf8.count)
          }
          Glibc.abort()
        }
      }
      try await withSubject(.processes) { pool in
        // What workers print goes on to our standard error: not into the log of the tests.
        let saved = dup(2)
        let null = open("/dev/null", O_WRONLY)
        dup2(null, 2)
        close(null)
        let error = await pool.submit(Floods()).result.jobError
        dup2(saved, 2)
        close(saved)
        #expect(error?.exit == .signal(6))
        #expect(error?.standardErrorTail.hasSuffix("line 19999 of many") == true)
        #expect(error?.standardErrorTail.hasPrefix("line ") == true && (error?.standardErrorTail.utf8.count ?? 0) <= 4096)
      }
    }
    @Test func `a worker that was stopped from outside is killed with the job that is cancelled`() async throws {
      let scratch = Scratch()
      try await withSubject(.processes) { pool in
        struct Stops: Job {
          var started: String
          func run() async throws -> Int {
            append([1], to: started)
            kill(getpid(), SIGSTOP)
            while true { pause() }
          }
        }
        let future = pool.submit(Stops(started: scratch.path("started")))
        try await eventually("the job") { scratch.count("started") == 1 }
        #expect(future.cancel())
        let next = try await pool.submit(Doubled(value: 4)).value
        #expect(next == 8)
      }
    }
  }
}

/// A future whatever its output.
private struct Failing: Sendable {
  private let read: @Sendable () async -> (any Error)?
  init<R: Sendable>(_ future: Future<R>) { read = { await future.result.error } }
  var error: (any Error)? { get async { await read() } }
}
func processorTime() -> Duration {
  var time = timespec()
  unsafe clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
  return .seconds(time.tv_sec) + .nanoseconds(Int64(time.tv_nsec))
}
