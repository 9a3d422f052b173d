import Heddle
import Testing

extension Core {
  /// Law 1: a job that throws fails its own future with that error.
  @Suite struct ErrorLaws {
    @Test(arguments: Kind.allCases) func `a Codable error arrives as that type`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let futures = (0..<40).map { subject.submit(Refuses(code: $0)) }
        for (code, future) in futures.enumerated() {
          let error = await future.result.error
          #expect(error as? Refusal == Refusal(code: code, reason: "no"))
          #expect(future.state == .failed)
        }
      }
    }
    @Test(arguments: Kind.allCases) func `another error arrives as itself here and as a RemoteError from another process`(kind: Kind)
      async throws
    {
      try await withSubject(kind) { subject in
        let error = await subject.submit(Fails()).result.error
        if kind.isRemote {
          #expect(error as? RemoteError == RemoteError(typeName: "Opaque", description: "opaque: deep trouble"))
        } else {
          #expect((error as? Opaque)?.detail == "deep trouble")
        }
      }
    }
    @Test(arguments: Kind.allCases) func `an error costs its own job only`(kind: Kind) async throws {
      try await withSubject(kind) { subject in
        let futures = (0..<200).map { $0 % 7 == 3 ? subject.submit(Refuses(code: $0)) : subject.submit(Doubled(value: $0)) }
        for (index, future) in futures.enumerated() {
          switch await future.result {
          case .success(let value): #expect(index % 7 != 3 && value == index * 2)
          case .failure(let error): #expect(index % 7 == 3 && (error as? Refusal)?.code == index)
          }
        }
      }
    }
    @Test(arguments: Kind.allCases) func `a CancellationError of a job that nobody cancelled is an error like any other`(kind: Kind)
      async throws
    {
      struct GivesUp: Job {
        func run() async throws -> Int { throw CancellationError() }
      }
      try await withSubject(kind) { subject in
        let future = subject.submit(GivesUp())
        let error = await future.result.error
        #expect(kind.isRemote ? error is RemoteError : error is CancellationError)
        #expect(future.state == .failed)
      }
    }
  }
}
