import Heddle
import HeddleSystem
import Testing

/// A job inside a type.
enum Outer {
  struct Nested: Job {
    var value: Int
    func run() async throws -> Int { value + 1 }
  }
  struct Deep<Element: Codable & Sendable> {
    struct Wrapped: Job {
      var element: Element
      func run() async throws -> [Element] { [element, element] }
    }
  }
}
struct Echo<Value: Codable & Sendable>: Job {
  var value: Value
  func run() async throws -> Value { value }
}
private struct PrivateJob: Job {
  var value: Int
  func run() async throws -> Int { value + 2 }
}
private enum PrivateEnum: Job {
  case plain
  case loaded(Int, text: String)
  func run() async throws -> String {
    switch self {
    case .plain: "plain"
    case .loaded(let number, let text): "\(number) \(text)"
    }
  }
}
final class ClassJob: Job {
  let value: Int
  init(value: Int) { self.value = value }
  func run() async throws -> Int { value + 3 }
}
private final class PrivateClassJob: Job {
  let value: Int
  init(value: Int) { self.value = value }
  func run() async throws -> Int { value + 4 }
}
struct Empty: Job {
  func run() async throws -> Bool { true }
}
struct ReturnsNothing: Job {
  func run() async throws -> [Never] { [] }
}
private struct PrivateThing: Codable, Sendable, Equatable { var value = 9 }
private struct PrivateRefusal: Error, Codable, Equatable { var code: Int }
private struct RefusesPrivately: Job {
  func run() async throws -> Int { throw PrivateRefusal(code: 3) }
}
@MainActor private var mainCalls = 0
private actor Tally {
  static let shared = Tally()
  var count = 0
  func add() -> Int {
    count += 1
    return count
  }
}
private struct Hops: Job {
  var value: Int
  @MainActor private static func onMain(_ value: Int) -> Int {
    mainCalls += 1
    return value + 1
  }
  func run() async throws -> Int {
    var value = value
    for _ in 0..<20 {
      value = await Self.onMain(value)
      if await Tally.shared.add() == 0 { return -1 }
      try await Task.sleep(for: .microseconds(50))
      value = await Task.detached { [value] in value + 1 }.value
    }
    return value
  }
}
@MainActor private struct MainActorJob: Job {
  var value: Int
  nonisolated func run() async throws -> Int { await half() }
  func half() -> Int { value / 2 }
}

extension Core {
  /// Any type of job runs on every executor, and says the same.
  @Suite struct TypeLaws {
    @Test(arguments: Kind.allCases) func `nested, generic, private, local, enum and class jobs run`(kind: Kind) async throws {
      struct Local: Job {
        var value: Int
        func run() async throws -> Int { value + 5 }
      }
      try await withSubject(kind) { subject in
        let nested = try await subject.submit(Outer.Nested(value: 1)).value
        #expect(nested == 2)
        let deep = try await subject.submit(Outer.Deep<[String: Int]>.Wrapped(element: ["a": 1])).value
        #expect(deep == [["a": 1], ["a": 1]])
        let generic = try await subject.submit(Echo(value: Echo(value: ["x", nil]).value)).value
        #expect(generic == ["x", nil])
        let enumeration = try await subject.submit(PrivateEnum.loaded(7, text: "seven")).value
        #expect(enumeration == "7 seven")
        let plain = try await subject.submit(PrivateEnum.plain).value
        #expect(plain == "plain")
        let hidden = try await subject.submit(PrivateJob(value: 1)).value
        #expect(hidden == 3)
        let object = try await subject.submit(ClassJob(value: 1)).value
        #expect(object == 4)
        let hiddenObject = try await subject.submit(PrivateClassJob(value: 1)).value
        #expect(hiddenObject == 5)
        let local = try await subject.submit(Local(value: 1)).value
        #expect(local == 6)
        let empty = try await subject.submit(Empty()).value
        #expect(empty)
        let nothing = try await subject.submit(ReturnsNothing()).value
        #expect(nothing.isEmpty)
      }
    }
    @Test(arguments: Kind.allCases) func `a private Codable error arrives as that type`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let error = await subject.submit(RefusesPrivately()).result.error
        #expect(error as? PrivateRefusal == PrivateRefusal(code: 3))
      }
    }
    @Test(arguments: [Kind.processes, .hybridProcesses]) func `a job that no other process can find is refused at submit, with a sentence`(
      kind: Kind
    ) async throws {
      try await withSubject(kind) { subject in
        let future = subject.submit(Echo(value: PrivateThing()))
        #expect(future.isDone)
        let error = await future.result.jobError
        #expect(error?.code == .notEncodable)
        #expect(error?.message.contains("not private") == true)
        let good = try await subject.submit(Doubled(value: 1)).value
        #expect(good == 2)
      }
    }
    @Test(arguments: Kind.allCases) func `an async job hops between the main actor, other actors and its thread`(kind: Kind) async throws {
      try await withSubject(kind, workers: 4) { subject in
        let futures = (0..<16).map { subject.submit(Hops(value: $0)) }
        for (number, future) in futures.enumerated() {
          let value = try await future.value
          #expect(value == number + 40)
        }
        let half = try await subject.submit(MainActorJob(value: 8)).value
        #expect(half == 4)
      }
    }
    @Test(arguments: Kind.allCases) func `many types of job share one executor`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        for round in 0..<30 {
          async let a = subject.submit(Echo(value: round)).value
          async let b = subject.submit(Echo(value: "\(round)")).value
          async let c = subject.submit(Echo(value: [round: Double(round)])).value
          async let d = subject.submit(Outer.Nested(value: round)).value
          let (first, second, third, fourth) = try await (a, b, c, d)
          #expect(first == round && second == "\(round)" && third == [round: Double(round)] && fourth == round + 1)
        }
      }
    }
  }
}
