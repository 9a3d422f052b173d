import HeddleSystem

/// Why a worker's job ended with it.
struct DeathCertificate {
  var end: ChildProcess.End
  var doom: WorkerChannel.Doom?
  var pid: Int32
  var standardErrorTail: String

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
      code: doom?.code ?? .workerDied, message: doom?.message ?? message, exit: exit, attempt: attempt, workerPID: pid, ran: ran,
      peakMemory: end.peakMemory, standardErrorTail: standardErrorTail)
  }
  private var message: String {
    switch exit {
    case .signal(9):
      "The worker was killed (SIGKILL) while it ran this job, and not by Heddle: by the kernel for want of memory, or by somebody else. "
        + "If memory is short, use fewer workers or smaller jobs."
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
