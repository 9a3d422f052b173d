/// Runs calls on Heddle's `PythonExecutor`.
///
/// Not joined yet: the executor is being written. `init` says so, and nothing is run.
struct PythonRunner: CallRunner {
  init(_ settings: RunnerSettings) throws {
    throw UsageError("this build of heddle has no Python executor yet")
  }
  var window: Int { 1 }
  var processorTime: Duration? { nil }
  func submit(_ call: [UInt8], completion: @escaping @Sendable (CallOutcome) -> Void) {
    completion(CallOutcome(ending: .notRun, seconds: 0, attempts: 0))
  }
  func shutdown(grace: Duration?) {}
}
