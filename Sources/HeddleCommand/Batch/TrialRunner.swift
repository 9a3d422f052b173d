import HeddleSystem

/// Finds out by the first call whether a target can be called at all, so that no process has to be started only to look.
///
/// Until the first call has ended it is not known; the tool writes no row before.
final class TrialRunner: CallRunner {
  enum Verdict: Sendable, Equatable {
    /// A call was made, whatever came of it.
    case callable
    /// A worker could not start, or could not load the target.
    case refused
    /// There was no call, or the run is to end.
    case unknown
  }
  private let inner: any CallRunner
  private let verdict = Locked<Verdict?>(nil)
  private let isKnown = ThreadGate()

  init(_ inner: any CallRunner) { self.inner = inner }

  var window: Int { inner.window }
  var processorTime: Duration? { inner.processorTime }
  func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
    if verdict.withLock({ $0 != nil }) { return inner.submit(input, completion: completion) }
    return inner.submit(input) { [self] outcome in
      switch outcome.ending {
      case .failed("workerNotStarted", _, _): decide(.refused)
      case .notRun: break
      default: decide(.callable)
      }
      completion(outcome)
    }
  }
  func shutdown(grace: Duration?) { inner.shutdown(grace: grace) }

  /// Says what is known by now; the first word counts.
  func decide(_ new: Verdict) {
    verdict.withLock { if $0 == nil { $0 = new } }
    isKnown.open()
  }
  /// Blocks until it is known.
  func await() -> Verdict {
    isKnown.wait()
    return verdict.withLock { $0 ?? .unknown }
  }
}
