import Glibc
import HeddleSystem
import HeddleWire
import Testing

@testable import Heddle

/// When in a worker's life.
enum Stage: String, Codable, CaseIterable, Sendable, CustomTestStringConvertible {
  case starting, idle, readingArguments, running, writingResult, writingLargeResult, shuttingDown, beingCancelled, beingRecycled
  var testDescription: String { rawValue }
}

/// What a cell of the table says of the job that was there.
enum Outcome: Equatable {
  /// It has its result: the death costs nobody anything.
  case succeeds
  /// It fails so; its worker ended in one of these ways.
  case fails(JobError.Code, Set<WorkerExit>)
}
/// The table: what becomes of the job, by when and how its worker dies.
func outcome(_ stage: Stage, _ fault: Fault) -> Outcome {
  switch (stage, fault) {
  // No worker, so no end of it; the message tells how it went.
  case (.starting, _): .fails(.workerNotStarted, [])
  // The job has ended before.
  case (.idle, _), (.shuttingDown, _), (.beingRecycled, _): .succeeds
  // Its end is what was asked for, however the worker takes it.
  case (.beingCancelled, _): .fails(.cancelled, [])
  // Only its time limit ends it.
  case (_, .suspended), (_, .hang): .fails(.timedOut, [])
  case (_, let fault): .fails(.workerDied, fault.exits)
  }
}

extension Core {
  /// Stage by way of dying, for workers in Swift.
  @Suite struct FaultTable {
    @Test(arguments: [Stage.readingArguments, .running, .writingResult], Fault.all)
    func `a worker that dies with a job costs that job`(stage: Stage, fault: Fault) async throws {
      let result = try await among(fault) { pool, options in
        await pool.submit(Fated(fault, stage), options: options).result.map { _ in () }
      }
      result.check(outcome(stage, fault), fault)
    }
    @Test(arguments: Fault.all) func `a worker that dies with half a result written costs that job`(fault: Fault) async throws {
      let result = try await among(fault) { pool, options in
        await pool.submit(FatedWhileWriting(fault: fault), options: options).result.map { _ in () }
      }
      result.check(outcome(.writingLargeResult, fault), fault)
    }
    /// Runs it among good jobs, which must not notice.
    private func among(
      _ fault: Fault, _ body: @escaping @Sendable (Subject, JobOptions) async -> Result<Void, any Error>
    ) async throws -> Result<Void, any Error> {
      try await withSubject(.processes, workers: 1) { pool in
        let before = (0..<5).map { pool.submit(Doubled(value: $0)) }
        // Where the end of its results is overwritten, those that nobody has read yet go with it.
        if fault == .corruptedChannel { for future in before { _ = await future.result } }
        let result = await body(pool, JobOptions(timeout: fault.exits.isEmpty ? .milliseconds(150) : nil))
        let after = (5..<10).map { pool.submit(Doubled(value: $0)) }
        for (number, future) in (before + after).enumerated() {
          let value = try await future.value
          #expect(value == 2 * number)
        }
        return result
      }
    }

    @Test(arguments: Fault.all.filter { $0.script != nil }) func `a worker that dies before it greets fails what waits, and says how`(
      fault: Fault
    ) async throws {
      var recipe = WorkerRecipe(path: "/bin/sh", arguments: ["heddle-worker", "-c", fault.script!], environment: ChildProcess.environment)
      recipe.startLimit = .milliseconds(fault.exits.isEmpty ? 100 : 5000)
      let pool = try ProcessPool(recipe: recipe, maxWorkers: 1)
      let future = Future<Int>(in: pool)
      let nothing = UnsafeRawBufferPointer(start: nil, count: 0)
      unsafe pool.submit(future, bytes: nothing, segments: [], type: ObjectIdentifier(Int.self), options: .standard) { NoReceiver() }
      let error = try await within("an answer") { await future.result.jobError }
      switch fault {
      // What it wrote may look like a greeting: then the job that it was sent counts as its.
      case .corruptedChannel, .garbageFrames: #expect([.workerNotStarted, .workerDied].contains(error?.code), "\(error as Any)")
      default: #expect(error.map { .fails($0.code, []) } == outcome(.starting, fault), "\(error as Any)")
      }
      let name = fault == .trap ? "SIGILL" : fault == .killedFromOutside ? "SIGKILL" : fault.exits.count == 1 ? "\(fault.exits.first!)" : ""
      if error?.code == .workerNotStarted, ![.corruptedChannel, .garbageFrames].contains(fault) {
        #expect(error?.message.contains(name) == true, "\(error as Any)")
      }
      try await within("shutdown") { await pool.shutdown(.kill(after: .zero)) }
    }

    @Test(arguments: Fault.all) func `a worker that dies without a job is replaced`(fault: Fault) async throws {
      let scratch = Scratch()
      try await withSubject(.processes, workers: 1) { pool in
        let pid = try await pool.submit(PlantsBomb(fault: fault, gate: scratch.path("gate"))).value
        append([1], to: scratch.path("gate"))
        switch fault {
        case .hang: break
        case .suspended: try await eventually("its suspension") { isSuspended(pid) }
        default: try await eventually("the end of \(pid)") { kill(pid, 0) != 0 }
        }
        let next = try await pool.submit(WhoAmI()).value
        #expect((next == pid) == (fault == .hang), "\(next) after \(pid)")
      }
    }
    /// All at once, since some have to be waited for.
    @Test func `a worker that dies while it leaves does not hold up the shutdown`() async throws {
      try await within("all shutdowns") {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for fault in Fault.all {
            group.addTask {
              let pool = ProcessPoolExecutor(maxWorkers: 1)
              _ = try await pool.submit(FatedAtExit(fault: fault)).value
              let begin = MonotonicTime.now
              await pool.shutdown(.finishAll)
              #expect(MonotonicTime.now - begin < .seconds(10), "\(fault)")
            }
          }
          try await group.waitForAll()
        }
      }
    }
    @Test func `a worker that dies while it makes room for another is replaced`() async throws {
      try await within("all replacements") {
        try await withThrowingTaskGroup(of: Void.self) { group in
          for fault in Fault.all {
            group.addTask {
              let pool = ProcessPoolExecutor(maxWorkers: 1, configuration: ProcessPoolConfiguration(jobsPerWorker: 1))
              let first = try await pool.submit(FatedAtExit(fault: fault)).value
              let next = try await pool.submit(WhoAmI()).value
              #expect(first != next, "\(fault)")
              await pool.shutdown(.finishAll)
            }
          }
          try await group.waitForAll()
        }
      }
    }
    @Test(arguments: Fault.all) func `a worker that dies while it is stopped holds up nobody`(fault: Fault) async throws {
      let scratch = Scratch()
      try await withSubject(.processes, workers: 1) { pool in
        let future = pool.submit(FatedWhenCancelled(fault: fault, started: scratch.path("started")))
        try await eventually("its start") { scratch.count("started") == 1 }
        #expect(future.cancel())
        await future.result.map { _ in () }.check(outcome(.beingCancelled, fault), fault)
        let value = try await pool.submit(Doubled(value: 4)).value
        #expect(value == 8)
      }
    }
  }
}

extension Result<Void, any Error> {
  /// Holds what became of a job against its cell.
  func check(_ outcome: Outcome, _ fault: Fault, sourceLocation: SourceLocation = #_sourceLocation) {
    switch (self, outcome) {
    case (.success, .succeeds): break
    case (.failure(let error as JobError), .fails(let code, let exits)):
      #expect(error.code == code, "\(error)", sourceLocation: sourceLocation)
      #expect(error.attempt == 1, sourceLocation: sourceLocation)
      guard code == .workerDied else { return }
      #expect(error.exit.map(exits.contains) == true, "\(error)", sourceLocation: sourceLocation)
      #expect(error.workerPID ?? 0 > 1 && error.peakMemory ?? 0 > 1 << 20, "\(error)", sourceLocation: sourceLocation)
      #expect(error.ran != nil, "\(error)", sourceLocation: sourceLocation)
      switch fault {
      case .corruptedChannel, .garbageFrames: #expect(error.message.contains("stopped because"), "\(error)", sourceLocation: sourceLocation)
      case .signal, .exit0, .exit3, .killedFromOutside:
        let name = exits.first.map { $0 == .code(0) || $0 == .code(3) ? "code" : "\($0)" } ?? ""
        #expect(error.message.contains(name), "\(error)", sourceLocation: sourceLocation)
      case .trap:
        #expect(error.message.contains("Index out of range"), "\(error)", sourceLocation: sourceLocation)
        // A sanitizer's own frames lie between the trap and the line that is to be named.
        if !Fault.isSanitized {
          let isNamed = error.crashSite?.file?.hasSuffix("Faults/Fault.swift") == true
          #expect(isNamed, "\(error.crashSite as Any)", sourceLocation: sourceLocation)
        }
      default: break
      }
    default: Issue.record("\(self) instead of \(outcome)", sourceLocation: sourceLocation)
    }
  }
}
struct WhoAmI: Job {
  func run() async throws -> Int32 { getpid() }
}
private final class NoReceiver: ResultReceiver {
  var definition: [UInt8] { [] }
  func receive(_ future: AnyFuture, _ answer: WorkerAnswer, decoder: MessageDecoder) {
    future.fail(JobError(code: .notDecodable, message: "nobody can have answered"))
  }
}
