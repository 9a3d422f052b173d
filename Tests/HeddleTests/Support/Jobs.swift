import Glibc
import Heddle

/// Twice its argument.
struct Doubled: Job {
  var value: Int
  func run() async throws -> Int { value * 2 }
}
/// Throws an error that can travel.
struct Refuses: Job {
  var code: Int
  func run() async throws -> Int { throw Refusal(code: code, reason: "no") }
}
struct Refusal: Error, Codable, Equatable {
  var code: Int
  var reason: String
}
/// Throws an error that cannot travel.
struct Fails: Job {
  func run() async throws -> Int { throw Opaque(detail: "deep trouble") }
}
struct Opaque: Error, CustomStringConvertible {
  var detail: String
  var description: String { "opaque: \(detail)" }
}
/// Leaves a mark and returns.
struct Marks: Job {
  var path: String
  var mark: UInt8 = 1
  var value = 0
  func run() async throws -> Int {
    append([mark], to: path)
    return value
  }
}
/// Marks `started` and goes on until the file `gate` exists; heeds cancellation.
struct Holds: Job {
  var started: String
  var gate: String
  var value = 0
  func run() async throws -> Int {
    append([1], to: started)
    while access(gate, F_OK) != 0 { try await Task.sleep(for: .milliseconds(1)) }
    return value
  }
}
/// Blocks its thread and heeds nothing.
struct Blocks: Job {
  var milliseconds: Int
  var value = 0
  func run() async throws -> Int {
    block(milliseconds)
    return value
  }
}
func block(_ milliseconds: Int) { usleep(UInt32(milliseconds) * 1000) }

/// Leaves a mark at each run and throws until there are `runs` of them.
struct FailsUntil: Job {
  var runs: Int
  var path: String
  func run() async throws -> Int {
    append([1], to: path)
    let count = bytes(of: path)?.count ?? 0
    if count < runs { throw Refusal(code: count, reason: "too early") }
    return count
  }
}

/// The same job as I/O, for the threads of a hybrid executor.
struct OnThreads<J: Job>: Job {
  static var kind: JobKind { .io }
  var job: J
  func run() async throws -> J.Output { try await job.run() }
}
