import Heddle
import HeddleSystem
import Testing

extension Core {
  /// Law 4: shutdown returns, and leaves nothing.
  ///
  /// The leak guard counts; here the executor and its futures are still held meanwhile.
  @Suite struct ShutdownLaws {
    enum Stage: CaseIterable { case new, starting, idle, busy }
    static let modes: [ShutdownMode] = [.finishAll, .finishRunning, .kill(after: .zero), .kill(after: .milliseconds(100))]

    @Test(arguments: Kind.allCases, Stage.allCases) func `shutdown in each mode returns and leaves nothing`(kind: Kind, stage: Stage)
      async throws
    {
      for mode in Self.modes {
        let before = Footprint.now()
        let scratch = Scratch()
        let subject = kind.make()
        var held: [Future<Int>] = []
        switch stage {
        case .new: break
        case .starting: held = (0..<6).map { subject.submit(Doubled(value: $0)) }
        case .idle: _ = try await within("a first job") { try await subject.submit(Doubled(value: 1)).value }
        case .busy:
          held = (0..<6).map { subject.submit(Holds(started: scratch.path("started"), gate: scratch.path("gate"), value: $0)) }
          try await eventually("two started jobs") { scratch.count("started") >= 2 }
        }
        let shutdown = Task { await subject.shutdown(mode) }
        if stage == .busy, case .kill = mode {
        } else {
          // Those that wait are dropped before those that run can end.
          if mode == .finishRunning && kind.queues {
            try await eventually("cancelled ones") { held.count { $0.state == .cancelled } >= 4 || stage != .busy }
          }
          append([1], to: scratch.path("gate"))
        }
        try await within("shutdown \(mode) of \(kind), \(stage)", limit: .seconds(10)) { await shutdown.value }
        #expect(held.allSatisfy { $0.isDone }, "\(mode): \(held.map(\.state))")
        if stage == .busy {
          switch mode {
          case .finishAll: #expect(held.allSatisfy { $0.state == .succeeded })
          case .finishRunning: #expect(held.count { $0.state == .succeeded } == (kind.queues ? 2 : 6), "\(held.map(\.state))")
          case .kill: #expect(held.allSatisfy { $0.state == .cancelled }, "\(held.map(\.state))")
          }
        } else if mode == .finishAll {
          #expect(held.allSatisfy { $0.state == .succeeded })
        }
        for future in held {
          if let error = await future.result.error { #expect((error as? JobError)?.code == .cancelled, "\(error)") }
        }
        // The executor and the futures are still here; nothing else may be.
        try await eventually("nothing of \(kind) after \(mode): \(Footprint.now().excess(over: before))", limit: .seconds(2)) {
          Footprint.now().excess(over: before).isEmpty
        }
        await subject.shutdown(.finishAll)  // again, in another mode
        withExtendedLifetime((subject, held)) {}
      }
    }
    @Test(arguments: Kind.allCases) func `shutdown from several tasks at once returns to each`(kind: Kind) async throws {
      for _ in 0..<5 {
        let subject = kind.make()
        let futures = (0..<50).map { subject.submit(Doubled(value: $0)) }
        try await within("five shutdowns") {
          await withTaskGroup(of: Void.self) { group in
            for mode in Self.modes + [.finishAll] { group.addTask { await subject.shutdown(mode) } }
          }
        }
        #expect(futures.allSatisfy { $0.isDone })
      }
    }
    @Test(arguments: Kind.allCases) func `an executor that nobody holds any more finishes its jobs and goes`(kind: Kind) async throws {
      let scratch = Scratch()
      var futures: [Future<Int>] = []
      do {
        let subject = kind.make()
        futures = (0..<20).map { subject.submit(Marks(path: scratch.path("marks"), value: $0)) }
        futures.append(subject.submit(Naps(milliseconds: 20, value: 20), options: JobOptions(timeout: .seconds(60))))
      }
      for (number, future) in futures.enumerated() {
        let value = try await within("future \(number)") { try await future.value }
        #expect(value == number)
      }
      #expect(scratch.count("marks") == 20)
    }
    @Test(arguments: Kind.allCases) func `an executor that nobody holds any more still keeps time limits`(kind: Kind) async throws {
      let scratch = Scratch()
      let future = kind.make().submit(
        Holds(started: scratch.path("started"), gate: scratch.path("gate")), options: JobOptions(timeout: .milliseconds(50)))
      let error = try await within("the time limit", limit: .seconds(5)) { await future.result.jobError }
      #expect(error?.code == .timedOut)
      append([1], to: scratch.path("gate"))
    }
    @Test(arguments: Kind.allCases) func `what is submitted after shutdown fails with executorShutDown and does not run`(kind: Kind)
      async throws
    {
      let scratch = Scratch()
      let subject = kind.make()
      _ = try await within("a first job") { try await subject.submit(Doubled(value: 1)).value }
      await subject.shutdown(.finishAll)
      for options in [JobOptions.standard, JobOptions(timeout: .seconds(1), priority: .high)] {
        let future = subject.submit(Marks(path: scratch.path("marks")), options: options)
        let error = try await within("a future of a closed executor") { await future.result.jobError }
        #expect(error?.code == .executorShutDown)
        #expect(future.state == .failed)
      }
      #expect(scratch.count("marks") == 0)
    }
    @Test(arguments: Kind.allCases) func `withExecutor shuts down when its body returns, and drops what waits when it throws`(kind: Kind)
      async throws
    {
      let scratch = Scratch()
      let futures = try await within("withExecutor") {
        await withExecutor(kind.make()) { pool in (0..<20).map { pool.submit(Doubled(value: $0)) } }
      }
      #expect(futures.allSatisfy { $0.state == .succeeded })
      let thrown = try await within("withExecutor that throws") {
        await #expect(throws: Refusal.self) {
          try await withExecutor(kind.make()) { pool in
            for _ in 0..<8 { _ = pool.submit(Marks(path: scratch.path("marks"))) }
            throw Refusal(code: 1, reason: "body")
          }
        }
      }
      #expect(thrown == Refusal(code: 1, reason: "body"))
    }
    @Test(arguments: Kind.allCases) func `kill ends the futures in the time that was given`(kind: Kind) async throws {
      let subject = kind.make()
      // A job that heeds nothing: it keeps its thread, and a process is killed. Inline it would run inside submit.
      guard kind.queues else { return await subject.shutdown(.finishAll) }
      let scratch = Scratch()
      let futures = (0..<2).map { _ in subject.submit(MarksAndBlocks(path: scratch.path("started"), milliseconds: 1500)) }
      try await eventually("two started jobs") { scratch.count("started") == 2 }
      let begin = MonotonicTime.now
      await subject.shutdown(.kill(after: .milliseconds(100)))
      #expect(MonotonicTime.now - begin < .milliseconds(1200))
      #expect(futures.allSatisfy { $0.state == .cancelled })
    }
  }
}

struct MarksAndBlocks: Job {
  var path: String
  var milliseconds: Int
  func run() async throws -> Int {
    append([1], to: path)
    block(milliseconds)
    return 0
  }
}
