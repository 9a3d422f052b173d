import Glibc
import Heddle

// One job type of every shape that a user may declare.

struct Square: Job {
  var number: Int
  func run() async throws -> Int { number * number }
}
enum Shapes {
  struct Area: Job {
    var width: Double, height: Double
    func run() async throws -> Double { width * height }
  }
}
struct Echo<Value: Codable & Sendable>: Job {
  var value: Value
  func run() async throws -> Value { value }
}
private struct Hidden: Job {
  var text: String
  func run() async throws -> String { String(text.reversed()) }
}
final class Adder: Job {
  let first: Int, second: Int
  init(_ first: Int, _ second: Int) { (self.first, self.second) = (first, second) }
  func run() async throws -> Int { first + second }
}
enum Calculation: Job {
  case add(Int, Int)
  case negate(of: Int)
  case zero
  func run() async throws -> Int {
    switch self {
    case .add(let first, let second): first + second
    case .negate(let number): -number
    case .zero: 0
    }
  }
}
struct Sleeper: Job {
  var milliseconds: Int
  func run() async throws -> Int {
    try await Task.sleep(for: .milliseconds(milliseconds))
    return milliseconds
  }
}
struct Blocker: Job {
  var milliseconds: Int
  func run() async throws -> Int32 {
    usleep(UInt32(milliseconds) * 1000)
    return getpid()
  }
}
@MainActor var mainCounter = 0
struct OnMain: Job {
  @MainActor func run() async throws -> Int {
    MainActor.preconditionIsolated()
    mainCounter += 1
    return 42
  }
}
struct ThroughMain: Job {
  func run() async throws -> Int { await MainActor.run { 43 } }
}
/// Waits, so a hybrid executor runs it on a thread of this process.
struct Waits: Job {
  static var kind: JobKind { .io }
  func run() async throws -> Int32 { getpid() }
}
struct Computes: Job {
  func run() async throws -> Int32 { getpid() }
}
struct Bytes: Job {
  var count: Int
  var payload: [UInt8]
  func run() async throws -> [UInt8] { payload + [UInt8](repeating: 7, count: count) }
}

// MARK: Failures

struct Refusal: Error, Codable, Equatable {
  var reason: String
  var code: Int
}
struct Opaque: Error { var text = "opaque" }

enum Misfortune: String, Codable, Sendable, CaseIterable {
  case trap, segfault, exit0, exit3, codableError, otherError, cannotEncodeOutput, cannotDecodeOutput
}
struct Unlucky: Job {
  var misfortune: Misfortune?
  var number: Int
  func run() async throws -> Outcome {
    switch misfortune {
    case nil: return Outcome(number: number)
    case .trap: return Outcome(number: [1, 2, 3][number + 9])
    case .segfault:
      raise(SIGSEGV)
      return Outcome(number: 0)
    case .exit0: exit(0)
    case .exit3: exit(3)
    case .codableError: throw Refusal(reason: "no", code: number)
    case .otherError: throw Opaque()
    case .cannotEncodeOutput: return Outcome(number: number, trouble: .encoding)
    case .cannotDecodeOutput: return Outcome(number: number, trouble: .decoding)
    }
  }
}
/// An output that travels unless told otherwise.
struct Outcome: Codable, Sendable, Equatable {
  enum Trouble: String, Codable { case none, encoding, decoding }
  var number: Int
  var trouble = Trouble.none

  init(number: Int, trouble: Trouble = .none) { (self.number, self.trouble) = (number, trouble) }
  init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    number = try container.decode(Int.self)
    trouble = try container.decode(Trouble.self)
    if trouble == .decoding { throw DecodingError.dataCorruptedError(in: container, debugDescription: "made so") }
  }
  func encode(to encoder: any Encoder) throws {
    if trouble == .encoding { throw EncodingError.invalidValue(number, .init(codingPath: [], debugDescription: "made so")) }
    var container = encoder.unkeyedContainer()
    try container.encode(number)
    try container.encode(trouble)
  }
}
/// A job that cannot be sent.
struct Unsendable: Job {
  init() {}
  init(from decoder: any Decoder) throws {}
  func encode(to encoder: any Encoder) throws {
    throw EncodingError.invalidValue(0, .init(codingPath: [], debugDescription: "a socket cannot travel"))
  }
  func run() async throws -> Int { 1 }
}

// MARK: Every shape, on any executor

func checkShapes<E: JobExecutor>(_ name: String, on executor: E) async {
  await check("\(name): every shape of job type") {
    try await expect(executor.submit(Square(number: 12)).value, 144)
    try await expect(executor.submit(Shapes.Area(width: 2, height: 1.5)).value, 3)
    try await expect(executor.submit(Echo(value: ["a": [1, 2], "b": []])).value, ["a": [1, 2], "b": []])
    try await expect(executor.submit(Echo(value: Calculation.negate(of: 3) as Calculation?)).value.map { "\($0)" }, "negate(of: 3)")
    try await expect(executor.submit(Hidden(text: "loom")).value, "mool")
    try await checkLocalTypes(on: executor)
    try await expect(executor.submit(Adder(3, 4)).value, 7)
    try await expect(executor.submit(Calculation.add(3, 4)).value, 7)
    try await expect(executor.submit(Calculation.zero).value, 0)
    try await expect(executor.submit(Sleeper(milliseconds: 3)).value, 3)
    try await expect(executor.submit(OnMain()).value, 42)
    try await expect(executor.submit(ThroughMain()).value, 43)
    try await expect(executor.submit(Bytes(count: 5, payload: Array(repeating: 1, count: 3_000_000))).value.count, 3_000_005)
  }
  await check("\(name): errors arrive as what they are") {
    await expectError(executor.submit(Unlucky(misfortune: .codableError, number: 5))) { ($0 as? Refusal) == Refusal(reason: "no", code: 5) }
    await expectError(executor.submit(Unlucky(misfortune: .otherError, number: 5))) {
      $0 is Opaque || ($0 as? RemoteError)?.typeName == "Opaque"
    }
  }
  await check("\(name): a map yields in order, and results outlive failures") {
    var sum = 0
    var expected = 0
    for try await square in executor.map((0..<1000).map { Square(number: $0) }) {
      try expect(square, expected * expected)
      expected += 1
      sum += square
    }
    try expect(sum, (0..<1000).reduce(0) { $0 + $1 * $1 })
    var failures = 0
    let jobs = (0..<500).map { Unlucky(misfortune: $0 % 100 == 50 ? .codableError : nil, number: $0) }
    for await result in executor.map(jobs, order: .completion).results { if case .failure = result { failures += 1 } }
    try expect(failures, 5)
  }
  await check("\(name): waiting, completions, options and cancellation") {
    let futures = (1...20).map {
      executor.submit(Sleeper(milliseconds: $0), options: JobOptions(timeout: .seconds(20), priority: .high, label: "nap"))
    }
    try expect(await wait(for: futures, timeout: .seconds(20)).done.count, 20)
    var seen = 0
    for await future in completions(of: futures) { seen += try await future.value }
    try expect(seen, 210)
    let future = executor.submit(Square(number: 3))
    _ = await future.result
    try expect(future.cancel(), false)
    try expect(future.state, .succeeded)
  }
}
/// A generic function cannot declare types, so this one takes any executor.
private func checkLocalTypes(on executor: any JobExecutor) async throws {
  struct Local: Job {
    var number: Int
    func run() async throws -> Int { number + 1 }
  }
  enum LocalEnum: Job {
    case only(String)
    func run() async throws -> Int { if case .only(let text) = self { text.count } else { 0 } }
  }
  final class LocalClass: Job {
    let number: Int
    init(_ number: Int) { self.number = number }
    func run() async throws -> Int { number * 3 }
  }
  try await expect(executor.submit(Local(number: 1)).value, 2)
  try await expect(executor.submit(LocalEnum.only("four")).value, 4)
  try await expect(executor.submit(LocalClass(5)).value, 15)
}
