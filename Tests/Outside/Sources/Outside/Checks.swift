import Glibc
import Synchronization

/// What went wrong in a check.
struct Mismatch: Error, CustomStringConvertible { var description: String }

let failureCount = Atomic<Int>(0)

/// Runs a check and says how it went.
///
/// One that takes too long ends the program: it hangs.
nonisolated(nonsending) func check(_ name: String, limit: Int = 60, _ body: nonisolated(nonsending) () async throws -> Void) async {
  let clock = ContinuousClock()
  let start = clock.now
  let watch = Task.detached {
    try await Task.sleep(for: .seconds(limit))
    report("HANGS  \(name) (more than \(limit) s)")
    exit(9)
  }
  do {
    try await body()
    report("ok     \(name) (\(clock.now - start))")
  } catch {
    failureCount.add(1, ordering: .relaxed)
    report("FAILED \(name): \(error)")
  }
  watch.cancel()
}
func report(_ line: String) {
  print(line)
  fflush(nil)
}
func expect<Value: Equatable>(_ value: Value, _ expected: Value, line: UInt = #line) throws {
  if value != expected { throw Mismatch(description: "line \(line): \(value) instead of \(expected)") }
}
func expect(_ condition: Bool, _ what: String = "", line: UInt = #line) throws {
  if !condition { throw Mismatch(description: "line \(line): \(what)") }
}
