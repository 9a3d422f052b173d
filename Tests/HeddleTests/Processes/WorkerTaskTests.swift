import Glibc
import HeddleSystem
import HeddleWire
import Testing

@testable import Heddle

/// What an initializer leaves for the jobs of its worker.
private struct Prepared: Sendable {
  var number: Int
  var jobs = 0
}
private struct Prepares: Job {
  var path: String
  var number = 7
  var bytes: [UInt8] = []
  func run() async throws -> Bool {
    append([1], to: path)
    WorkerState.set(Prepared(number: number + bytes.count))
    return true
  }
}
private struct UsesState: Job {
  func run() async throws -> [Int] {
    guard var state = WorkerState.get(Prepared.self) else { throw Refusal(code: 404, reason: "no state") }
    state.jobs += 1
    WorkerState.set(state)
    return [state.number, state.jobs, Int(getpid())]
  }
}
private struct Finishes: Job {
  var path: String
  func run() async throws -> Int {
    let jobs = WorkerState.get(Prepared.self)?.jobs ?? -1
    append([UInt8(jobs)], to: path)
    return jobs
  }
}
private struct Spoils: Job {
  enum How: String, Codable, CaseIterable { case throwing, trapping, exiting, hanging }
  var how: How
  var path: String
  /// From which start on it succeeds.
  var until = Int.max
  func run() async throws -> Bool {
    append([1], to: path)
    if bytes(of: path)!.count >= until { return true }
    switch how {
    case .throwing: throw Refusal(code: 9, reason: "no model")
    case .trapping: abort()
    case .exiting: exit(4)
    case .hanging: while true { pause() }
    }
  }
}

extension Core {
  /// Initializers and finalizers of workers.
  @Suite struct WorkerTaskTests {
    @Test(arguments: [0, 100_000, 5_000_000]) func `each worker runs the initializer once before its first job, and keeps the state`(
      byteCount: Int
    ) async throws {
      let scratch = Scratch()
      let initializer = Prepares(path: scratch.path("starts"), bytes: Array(repeating: 1, count: byteCount))
      try await withPool(2, ProcessPoolConfiguration(jobsPerWorker: 40, initializer: initializer)) { pool in
        let futures = (0..<200).map { _ in pool.submit(UsesState()) }
        var all: [[Int]] = []
        for future in futures { all.append(try await future.value) }
        #expect(all.allSatisfy { $0[0] == 7 + byteCount })
        let jobs = Dictionary(all.map { ($0[2], $0[1]) }, uniquingKeysWith: max)
        #expect(jobs.values.reduce(0, +) == 200, "the state lasts: \(jobs)")
        #expect(jobs.count >= 5 && scratch.count("starts") >= jobs.count && scratch.count("starts") <= jobs.count + 2)
      }
    }
    @Test func `the finalizer runs when a worker makes room, idles, or is shut down, and not when it is killed`() async throws {
      let scratch = Scratch()
      func configuration(_ name: String) -> ProcessPoolConfiguration {
        ProcessPoolConfiguration(
          jobsPerWorker: 10, idleTimeout: .milliseconds(50), initializer: Prepares(path: scratch.path("starts")),
          finalizer: Finishes(path: scratch.path(name)))
      }
      try await withPool(1, configuration("ends")) { pool in
        for _ in 0..<10 { _ = try await pool.submit(UsesState()).value }
        try await eventually("the first end") { scratch.count("ends") == 1 }
        _ = try await pool.submit(UsesState()).value
        try await eventually("the end by idling") { scratch.count("ends") == 2 }
        _ = try await pool.submit(UsesState()).value
      }
      #expect(bytes(of: scratch.path("ends")) == [10, 1, 1])
      let killed = ProcessPoolExecutor(maxWorkers: 1, configuration: configuration("none"))
      _ = try await killed.submit(UsesState()).value
      await killed.shutdown(.kill(after: .zero))
      #expect(scratch.count("none") == 0)
    }
    @Test(arguments: Spoils.How.allCases)
    fileprivate func `an initializer that fails fails the jobs with its reason after three tries, and the next job tries again`(
      how: Spoils.How
    )
      async throws
    {
      let scratch = Scratch()
      let initializer = Spoils(how: how, path: scratch.path("starts"), until: 4)
      let configuration = ProcessPoolConfiguration(initializer: initializer, initializerTimeout: how == .hanging ? .milliseconds(50) : nil)
      try await withPool(1, configuration) { pool in
        let futures = (0..<20).map { pool.submit(Doubled(value: $0)) }
        for future in futures {
          let error = await future.result.jobError
          #expect(error?.code == .workerNotStarted, "\(error as Any)")
          let message = error?.message ?? ""
          #expect(message.contains("the initializer Spoils"), "\(message)")
          switch how {
          case .throwing: #expect(message.contains("no model"), "\(message)")
          case .trapping: #expect(message.contains("SIGABRT"), "\(message)")
          case .exiting: #expect(message.contains("exited with code 4"), "\(message)")
          case .hanging: #expect(message.contains("time limit"), "\(message)")
          }
        }
        #expect(scratch.count("starts") == 3, "it stops after a bounded number of tries")
        let value = try await pool.submit(Doubled(value: 4)).value
        #expect(value == 8 && scratch.count("starts") == 4)
      }
    }
    @Test func `a worker of many whose initializer fails now and then costs nothing`() async throws {
      struct FailsOften: Job {
        var path: String
        func run() async throws -> Bool {
          append([1], to: path)
          if bytes(of: path)!.count % 3 == 0 { abort() }
          return true
        }
      }
      let scratch = Scratch()
      try await withPool(2, ProcessPoolConfiguration(jobsPerWorker: 5, initializer: FailsOften(path: scratch.path("starts")))) { pool in
        let futures = (0..<100).map { pool.submit(Marks(path: scratch.path("marks"), value: $0)) }
        for (number, future) in futures.enumerated() {
          let value = try await future.value
          #expect(value == number)
        }
      }
      #expect(scratch.count("marks") == 100)
    }
    /// The first worker starts, the next three do not, all later ones do.
    private struct FailsThrice: Job {
      var path: String
      func run() async throws -> Bool {
        guard (2...4).contains(takeNumber()) else { return true }
        // Not before the first one has said that it is ready.
        usleep(50_000)
        throw Refusal(code: 9, reason: "no room")
      }
      /// From 1; each start has its own, however many begin at once.
      private func takeNumber() -> Int {
        append([1], to: path)
        for number in 1... {
          let file = open("\(path).\(number)", O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
          if file < 0 { continue }
          close(file)
          return number
        }
        return 0
      }
    }
    @Test func `starts that failed while nothing waited leave a pool that works when the last worker has gone`() async throws {
      let scratch = Scratch()
      let path = scratch.path("starts")
      let configuration = ProcessPoolConfiguration(jobsPerWorker: 4, initializer: FailsThrice(path: path))
      try await withPool(4, configuration) { pool in
        // The first worker takes all four, and goes after them.
        let futures = (0..<4).map { pool.submit(Naps(milliseconds: 20, value: $0)) }
        for future in futures { _ = try await future.value }
        #expect(scratch.count("starts") == 4)
        try await within("a job after that", limit: .seconds(10)) {
          let value = try? await pool.submit(Doubled(value: 4)).value
          #expect(value == 8)
        }
        #expect(scratch.count("starts") == 5)
      }
    }
    @Test func `workers that could not be started are tried again while another works`() async throws {
      let scratch = Scratch()
      let configuration = ProcessPoolConfiguration(initializer: FailsThrice(path: scratch.path("starts")))
      try await withPool(2, configuration) { pool in
        struct NapsAndTells: Job {
          func run() async throws -> Int32 {
            usleep(20_000)
            return getpid()
          }
        }
        let first = try await pool.submit(NapsAndTells()).value
        let futures = (0..<150).map { _ in pool.submit(NapsAndTells()) }
        var workers = [first] as Set
        for future in futures { workers.insert(try await future.value) }
        #expect(scratch.count("starts") == 5 && workers.count == 2, "\(scratch.count("starts")) starts, \(workers.count) workers")
      }
    }
    @Test(arguments: [ShutdownMode.finishAll, .finishRunning, .kill(after: .zero)])
    func `shutdown while an initializer hangs returns and leaves nothing`(mode: ShutdownMode) async throws {
      let scratch = Scratch()
      let pool = ProcessPoolExecutor(
        maxWorkers: 1, configuration: ProcessPoolConfiguration(initializer: Spoils(how: .hanging, path: scratch.path("starts"))))
      let future = pool.submit(Doubled(value: 1))
      try await eventually("the initializer") { scratch.count("starts") == 1 }
      if mode == .finishAll { #expect(future.cancel()) }
      try await within("shutdown \(mode)", limit: .seconds(4)) { await pool.shutdown(mode) }
      #expect(future.state == .cancelled)
    }
    @Test func `a finalizer for which there is no room in the ring keeps neither worker nor pool`() async throws {
      try await withPool(1, ProcessPoolConfiguration(finalizer: Doubled(value: 1))) { pool in
        let number = try await pool.submit(ProcessNumber()).value
        #expect(kill(number, SIGSTOP) == 0)
        try await eventually("the stop") { isSuspended(number) }
        // Frames that the worker never sees: it is suspended, and they are not published.
        pool.pool!.core.withLock { core in
          let channel = core.live[0]
          for byteCount in [Frame.payloadLimit, 64, 0] {
            let bytes = [UInt8](repeating: 0, count: byteCount)
            unsafe bytes.withUnsafeBytes { bytes in
              while channel.room(for: Frame.headerByteCount + byteCount + 16) == true {
                _ = unsafe channel.request.write(FrameHeader(kind: RequestKind.stop, byteCount: byteCount), bytes)
              }
            }
          }
        }
        try await within("shutdown", limit: .seconds(8)) { await pool.shutdown(.finishAll) }
      }
    }
    @Test func `an initializer that cannot travel is said of every job`() async throws {
      let pool = ProcessPoolExecutor(maxWorkers: 1, configuration: ProcessPoolConfiguration(initializer: Unwritable()))
      let error = await pool.submit(Doubled(value: 1)).result.jobError
      #expect(error?.code == .notEncodable && error?.message.contains("Unwritable") == true)
      await pool.shutdown(.finishAll)
    }
  }
}
private struct Unwritable: Job {
  init() {}
  init(from decoder: any Decoder) throws {}
  func encode(to encoder: any Encoder) throws { throw Refusal(code: 1, reason: "no") }
  func run() async throws -> Bool { true }
}
