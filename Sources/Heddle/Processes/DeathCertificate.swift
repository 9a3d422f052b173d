import HeddleSystem

/// Why a worker's job ended with it.
struct DeathCertificate {
  var end: ChildProcess.End
  var doom: WorkerChannel.Doom?
  /// Of memory, for which the kernel killed it.
  var shortage: Shortage?
  var pid: Int32
  var standardErrorTail: String

  enum Shortage {
    /// Its control group had used up what it may have.
    case group
    /// The machine had none left.
    case machine
  }
  var exit: WorkerExit? {
    switch end.exit {
    case .code(let code): .code(code)
    case .signal(let number): .signal(number)
    case nil: nil
    }
  }
  /// The error of a job that the worker had started.
  func error(attempt: Int, ran: Duration?) -> JobError {
    JobError(
      code: doom?.code ?? (shortage == nil ? .workerDied : .memoryLimitExceeded), message: doom?.message ?? message, exit: exit,
      attempt: attempt, workerPID: pid, ran: ran, peakMemory: end.peakMemory.map { max($0, doom?.memory ?? 0) },
      standardErrorTail: standardErrorTail)
  }
  private var message: String {
    switch exit {
    case .signal(9) where shortage == .group:
      "The kernel killed the worker while it ran this job, because its control group (container) had used up its "
        + "memory. Give the container more, use fewer workers, or set memoryLimit so that a worker fails by itself."
    case .signal(9) where shortage == .machine:
      "The kernel killed the worker while it ran this job, most likely because the machine had no memory left: its count of "
        + "such kills has just risen. Use fewer workers or smaller jobs, or set memoryLimit so that a worker fails by itself."
    case .signal(9):
      "The worker was killed (SIGKILL) while it ran this job, by neither Heddle nor, as far as its counters tell, the kernel for want of memory: "
        + "somebody sent the signal."
    case .signal:
      "The worker died of \(exit!) while it ran this job: the job trapped, or its code did something that is not allowed. "
        + "The other jobs are not affected."
    case .code(let code):
      "The worker exited with code \(code) while it ran this job: something that the job called ended the process. A job must return or throw."
    case nil: "The worker ended while it ran this job; how is unknown, because something in this process waited for our child."
    }
  }
  /// Why a worker that never greeted is no worker.
  var startFailure: String {
    let how = exit.map { "\($0)" } ?? "an unknown end"
    let said = standardErrorTail.isEmpty ? "It printed nothing." : "It printed: \(standardErrorTail)"
    return "a worker started and ended at once (\(how)). \(said)"
  }
}
