import Glibc
import HeddleSystem
import Testing

@testable import Heddle

/// Prints on both outputs, with and without a newline at the end.
private struct Prints: Job {
  var number: Int
  var dies = false
  func run() async throws -> Int {
    print("out \(number)")
    print("more \(number)", terminator: "")
    let line = "err \(number)\nlast \(number)\n"
    _ = unsafe write(2, line, line.utf8.count)
    if dies { abort() }
    return number
  }
}
private struct Pours: Job {
  var lines: Int
  func run() async throws -> Int {
    for number in 0..<lines { print("line \(number) of a flood that is long enough to fill a pipe soon") }
    return lines
  }
}

extension Core {
  /// What jobs print, taken apart.
  @Suite struct OutputTests {
    @Test func `each job's output is its own, whatever ran before and after it in its worker`() async throws {
      let got = Locked<[JobOutput]>([])
      try await withPool(2, ProcessPoolConfiguration(output: .jobs { output in got.withLock { $0.append(output) } })) { pool in
        let futures = (0..<100).map { pool.submit(Prints(number: $0), options: JobOptions(label: "job \($0)")) }
        for future in futures { _ = try await future.value }
      }
      let outputs = got.withLock { $0 }
      #expect(outputs.count == 100 && Set(outputs.map(\.label)).count == 100)
      for output in outputs {
        let number = output.label.dropFirst(4)
        #expect(output.standardOutput == "out \(number)\nmore \(number)" && output.standardError == "err \(number)\nlast \(number)\n")
        #expect(!output.isTruncated && output.attempt == 1 && output.workerPID > 1)
      }
    }
    @Test func `a job that dies leaves what it printed, and only that, in its error and with the handler`() async throws {
      let got = Locked<[JobOutput]>([])
      try await withPool(1, ProcessPoolConfiguration(output: .jobs { output in got.withLock { $0.append(output) } })) { pool in
        _ = try await pool.submit(Prints(number: 1)).value
        let error = await pool.submit(
          Prints(number: 2, dies: true), options: JobOptions(retry: RetryPolicy(crashes: 1, backoff: .immediate))
        ).result.jobError
        #expect(error?.code == .workerDied && error?.attempt == 2)
        #expect(error?.standardErrorTail == "err 2\nlast 2", "\(error?.standardErrorTail ?? "")")
      }
      let outputs = got.withLock { $0 }
      #expect(outputs.map(\.label) == ["Prints", "Prints", "Prints"] && outputs.map(\.attempt) == [1, 1, 2])
      #expect(outputs.map(\.standardError) == ["err 1\nlast 1\n", "err 2\nlast 2\n", "err 2\nlast 2\n"])
    }
    @Test func `lines come whole, in order, with their job`() async throws {
      let got = Locked<[OutputLine]>([])
      try await withPool(2, ProcessPoolConfiguration(output: .lines { line in got.withLock { $0.append(line) } })) { pool in
        let futures = (0..<50).map { pool.submit(Prints(number: $0), options: JobOptions(label: "\($0)")) }
        for future in futures { _ = try await future.value }
      }
      let lines = got.withLock { $0 }
      #expect(lines.count == 200)
      for number in 0..<50 {
        let own = lines.filter { $0.label == "\(number)" }
        #expect(own.filter { $0.stream == .standardOutput }.map(\.text) == ["out \(number)", "more \(number)"])
        #expect(own.filter { $0.stream == .standardError }.map(\.text) == ["err \(number)", "last \(number)"])
      }
    }
    @Test func `a flood does not hold up other jobs, and of it the last bytes are kept`() async throws {
      let got = Locked<[JobOutput]>([])
      try await withPool(2, ProcessPoolConfiguration(output: .jobs(limit: 1000) { output in got.withLock { $0.append(output) } })) { pool in
        let flood = pool.submit(Pours(lines: 50_000))
        for number in 0..<100 {
          let value = try await pool.submit(Doubled(value: number)).value
          #expect(value == 2 * number)
        }
        _ = try await flood.value
      }
      let flood = try #require(got.withLock { $0.first { $0.label == "Pours" } })
      #expect(flood.isTruncated && flood.standardOutput.utf8.count == 1000)
      #expect(flood.standardOutput.hasSuffix("line 49999 of a flood that is long enough to fill a pipe soon\n"))
    }
    @Test func `a handler that is slow slows down who prints, and nobody else`() async throws {
      let gate = ThreadGate()
      let pool = ProcessPoolExecutor(
        maxWorkers: 2, configuration: ProcessPoolConfiguration(output: .lines { _ in gate.wait() }))
      let flood = pool.submit(Pours(lines: 100_000))
      try await within("the other jobs") {
        for number in 0..<200 {
          let value = try await pool.submit(Doubled(value: number)).value
          #expect(value == 2 * number)
        }
      }
      #expect(!flood.isDone)
      gate.open()
      try await within("the flood") { _ = try await flood.value }
      try await within("shutdown") { await pool.shutdown(.finishAll) }
    }
    @Test func `what is discarded reaches nobody but the error`() async throws {
      try await withPool(1, ProcessPoolConfiguration(output: .discarded)) { pool in
        let error = await pool.submit(Prints(number: 3, dies: true)).result.jobError
        #expect(error?.standardErrorTail == "err 3\nlast 3")
      }
    }
    @Test func `marks are found wherever a read cuts them`() {
      let secret = OutputSplitter.makeSecret()
      func mark(_ position: UInt64, _ end: UInt8) -> [UInt8] {
        secret + (0..<8).map { UInt8(truncatingIfNeeded: position >> (8 * $0)) } + [end]
      }
      let bytes =
        Array("before".utf8) + mark(258, 0) + Array("in".utf8) + [1, 1] + secret.prefix(9) + Array("side".utf8) + mark(258, 1) + [1]
      for size in 1...bytes.count {
        var splitter = OutputSplitter(secret: secret)
        var pieces: [OutputSplitter.Piece] = []
        var start = 0
        while start < bytes.count {
          pieces += splitter.split(Array(bytes[start..<min(start + size, bytes.count)]))
          start += size
        }
        let rest = splitter.rest()
        if !rest.isEmpty { pieces.append(.text(rest)) }
        // Texts that follow each other are one.
        var joined: [OutputSplitter.Piece] = []
        for piece in pieces {
          if case .text(let more) = piece, case .text(let text)? = joined.last {
            joined[joined.count - 1] = .text(text + more)
          } else {
            joined.append(piece)
          }
        }
        let inside = Array("in".utf8) + [1, 1] + secret.prefix(9) + Array("side".utf8)
        #expect(joined == [.text(Array("before".utf8)), .begin(258), .text(inside), .end(258), .text([1])], "reads of \(size)")
      }
    }
  }
}
