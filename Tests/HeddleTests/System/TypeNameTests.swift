import Testing

@testable import Heddle

/// How a worker finds a job type.
@Suite struct TypeNameTests {
  private struct Hidden: Job { func run() async throws -> Int { 1 } }
  private struct Inside<Value: Codable & Sendable>: Job {
    var value: Value
    func run() async throws -> Value { value }
  }

  @Test func `every job type is found again by its name`() throws {
    let types: [any Job.Type] = [
      Hidden.self, Outer.Nested.self, ClassJob.self, Empty.self, Echo<Int>.self, Outer.Deep<String>.Wrapped.self,
    ]
    for type in types {
      let name = try #require(TypeName.name(ofJob: type))
      let found = try #require(TypeName.job(named: name), "\(type) as \(name)")
      #expect(ObjectIdentifier(found) == ObjectIdentifier(type))
      // Its conformance, too, is the right one.
      #expect(found.kind == .cpu && "\(outputType(found))" == "\(outputType(type))")
    }
    #expect(TypeName.name(ofJob: Inside<Hidden>.self) == nil)
  }
  #if os(Linux)
    @Test func `types of the executable are named by where they lie`() throws {
      for type in [Hidden.self, Outer.Nested.self, ClassJob.self] as [any Job.Type] {
        #expect(TypeName.name(ofJob: type)?.hasPrefix("=") == true)
      }
      #expect(TypeName.name(ofJob: Echo<Int>.self)?.hasPrefix("=") == false)
    }
  #endif
  @Test(arguments: ["", "=", "=,", "=0,0", "=1", "=zz,1", "=ffffffffffffffff,1", "=0,ffffffffffffffff", "@0:", "4Nope", "Si"])
  func `a name that names no job is refused`(_ name: String) { #expect(TypeName.job(named: name) == nil) }

  private func outputType<J: Job>(_: J.Type) -> Any.Type { J.Output.self }
}
