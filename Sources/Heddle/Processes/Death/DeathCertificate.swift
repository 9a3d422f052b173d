import HeddleSystem
import HeddleWire

/// Why a worker's job ended with it.
struct DeathCertificate {
  var doom: WorkerChannel.Doom?
  let exit: WorkerExit?
  private let end: ChildProcess.End
  private let pid: Int32
  private let isOutOfMemory: Bool
  /// Whether the worker ran several jobs at once.
  private let sharesWorker: Bool
  private let standardErrorTail: String
  private let crashSite: CrashSite?

  /// Looks up where it crashed, so not under a lock.
  init(end: ChildProcess.End, pid: Int32, note: DeathNote?, isOutOfMemory: Bool, sharesWorker: Bool, standardErrorTail: String) {
    self.end = end
    self.pid = pid
    self.isOutOfMemory = isOutOfMemory
    self.sharesWorker = sharesWorker
    self.standardErrorTail = standardErrorTail
    exit =
      switch end.exit {
      case .code(let code): .code(code)
      case .signal(let number): .signal(number)
      case nil: nil
      }
    guard case .signal(let signal) = exit else {
      crashSite = nil
      return
    }
    let last = LastWords(standardErrorTail)
    // A handler of the job's own may have gone on after the note was written, and another signal have ended it.
    if let note, note.signal == signal, note.pid == pid {
      var site = CrashLocator.shared.site(of: note)
      site.reason = note.signal == 11 || note.signal == 7 ? site.reason : last.reason ?? site.reason
      crashSite = site
    } else {
      crashSite = last.site
    }
  }

  /// The error of a job that the worker had started.
  func error(attempt: Int, ran: Duration?) -> JobError {
    JobError(
      code: doom?.code ?? (isOutOfMemory ? .memoryLimitExceeded : .workerDied), message: doom?.message ?? message, exit: exit,
      attempt: attempt, workerPID: pid, ran: ran, peakMemory: end.peakMemory.map { max($0, doom?.memory ?? 0) },
      crashSite: doom == nil ? crashSite : nil, standardErrorTail: standardErrorTail)
  }
  private var message: String {
    switch exit {
    case .signal(9) where isOutOfMemory:
      "The kernel killed the worker (SIGKILL) while it ran this job, because memory ran out\(peak). Use fewer workers or smaller jobs."
    case .signal(9):
      "The worker was killed (SIGKILL) while it ran this job, by somebody else than Heddle\(peak). "
        + "If that was for want of memory, use fewer workers or smaller jobs."
    case .signal:
      if let crashSite, !crashSite.description.isEmpty {
        "The worker died of \(exit!) while it ran this job: \(crashSite). \(others)"
      } else {
        "The worker died of \(exit!) while it ran this job: the job trapped, or its code did something that is not allowed. "
          + others
      }
    case .code(let code):
      "The worker exited with code \(code) while it ran this job: something that the job called ended the process. A job must return or throw."
        + (sharesWorker ? " \(others)" : "")
    case nil: "The worker ended while it ran this job; how is unknown, because something in this process waited for our child."
    }
  }
  private var others: String {
    sharesWorker
      ? "Others that ran in the same process at that moment failed with it, and any of them may be to blame: allow retries after crashes, "
        + "or give each a process of its own."
      : "The other jobs are not affected."
  }
  private var peak: String {
    guard let bytes = end.peakMemory else { return "" }
    return "; it had held \(bytes >> 20) MiB"
  }
  /// Why a worker that never greeted is no worker.
  var startFailure: String {
    let how = [exit.map { "\($0)" } ?? "an unknown end", crashSite.map { "\($0)" } ?? ""].filter { !$0.isEmpty }.joined(separator: ": ")
    let said = standardErrorTail.isEmpty ? "It printed nothing." : "It printed: \(standardErrorTail)"
    return doom.map { "\($0.message) \(said)" } ?? "a worker started and ended at once (\(how)). \(said)"
  }
}
