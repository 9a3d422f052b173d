import Heddle
import Synchronization

// Outputs that hold references, awaited from a future that nobody keeps: in release builds that is compiled into the caller, where nothing but
// Heddle's own care keeps the output until it is a reference of its own.

/// Counts those that live in this process.
final class Thing: Codable, Sendable {
  static let living = Atomic<Int>(0)
  let number: Int
  init(_ number: Int) {
    self.number = number
    Self.living.add(1, ordering: .relaxed)
  }
  init(from decoder: any Decoder) throws {
    number = try decoder.singleValueContainer().decode(Int.self)
    Self.living.add(1, ordering: .relaxed)
  }
  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(number)
  }
  deinit { Self.living.subtract(1, ordering: .relaxed) }
}
struct Box<Value: Codable & Sendable>: Codable, Sendable { var value: Value }

private struct Make: Job {
  var number: Int
  func run() async throws -> Thing { Thing(number) }
}
private struct MakeBox: Job {
  var number: Int
  func run() async throws -> Box<Thing?> { Box(value: Thing(number)) }
}
private struct MakeMany: Job {
  var number: Int
  func run() async throws -> [Thing] { [Thing(number), Thing(number + 1)] }
}
private struct MakeLate: Job {
  var number: Int
  func run() async throws -> Thing {
    try await Task.sleep(for: .milliseconds(1))
    return Thing(number)
  }
}
private struct Count: Job {
  var text: String
  func run() async throws -> [String: Int] { [text: text.utf8.count] }
}
private struct Repeat: Job {
  var count: Int
  func run() async throws -> String { String(repeating: "x", count: count) }
}

func checkOutputs<Executor: JobExecutor>(_ name: String, on executor: Executor) async {
  await check("\(name): an output outlives its future") {
    for number in 0..<200 {
      let thing = try await executor.submit(Make(number: number)).value
      try expect(Thing.living.load(ordering: .relaxed) >= 1, "it went with its future")
      try expect(thing.number, number)
      let result = try await executor.submit(Make(number: number)).result.get()
      try expect(result.number, number)
      let box = try await executor.submit(MakeBox(number: number)).value
      try expect(box.value?.number, number)
      let many = try await executor.submit(MakeMany(number: number)).value
      try expect(many.map(\.number), [number, number + 1])
      let counts = try await executor.submit(Count(text: "number \(number) of many")).value
      try expect(counts, ["number \(number) of many": "number \(number) of many".utf8.count])
      let text = try await executor.submit(Repeat(count: 50 + number)).value
      try expect(text, String(repeating: "x", count: 50 + number))
    }
    for number in 0..<20 {
      let late = try await executor.submit(MakeLate(number: number)).value
      try expect(late.number, number)
    }
    var sum = 0
    for try await thing in executor.map((0..<500).lazy.map { Make(number: $0) }) { sum += thing.number }
    try expect(sum, 499 * 250)
  }
}
func checkClosureOutputs(_ pool: ThreadPoolExecutor) async {
  await check("threads: a closure's output outlives its future") {
    for number in 0..<200 {
      let thing = try await pool.submit { Thing(number) }.value
      try expect(Thing.living.load(ordering: .relaxed) >= 1, "it went with its future")
      try expect(thing.number, number)
      let counts = try await pool.submit { ["n": number] }.value
      try expect(counts, ["n": number])
      let late = try await pool.submit { () async throws -> [Thing] in
        await Task.yield()
        return [Thing(number)]
      }.value
      try expect(late.map(\.number), [number])
    }
  }
}
