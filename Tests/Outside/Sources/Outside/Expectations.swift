import Heddle

/// The future must fail with an error that `isRight` accepts.
func expectError<Output>(_ future: Future<Output>, line: UInt = #line, _ isRight: (any Error) -> Bool) async {
  switch await future.result {
  case .success(let value):
    failureCount.add(1, ordering: .relaxed)
    report("FAILED line \(line): \(value) instead of an error")
  case .failure(let error):
    if !isRight(error) {
      failureCount.add(1, ordering: .relaxed)
      report("FAILED line \(line): another error: \(error)")
    }
  }
}
