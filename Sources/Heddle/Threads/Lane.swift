import HeddleSystem
import Synchronization

/// The executor of one thread: what tasks on it enqueue runs on that thread and nowhere else.
///
/// A `Task` a job costs more than a microsecond. So a thread has one long-lived task, which awaits job after job on the thread's
/// own executor; where a job suspends, the thread sleeps here until the job is enqueued again.
final class Lane: TaskExecutor {
  private struct State {
    var jobs: [UnownedJob] = []
    var isClosed = false
  }
  private let state = Locked(State())
  private let parker = Parker()

  func enqueue(_ job: consuming ExecutorJob) {
    let job = UnownedJob(job)
    state.withLock { $0.jobs.append(job) }
    parker.unpark(1)
  }
  /// Ends `run` once nothing is left to run.
  func close() {
    state.withLock { $0.isClosed = true }
    parker.unpark(1)
  }
  /// Lets `run` be called again.
  func reopen() { state.withLock { $0.isClosed = false } }
  /// Runs what is enqueued, on the calling thread, until `close`.
  ///
  /// Blocks.
  func run() {
    while true {
      let ticket = parker.ticket
      let (jobs, isClosed) = state.withLock { state in
        defer { state.jobs.removeAll() }
        return (state.jobs, state.isClosed)
      }
      for job in jobs { unsafe job.runSynchronously(on: asUnownedTaskExecutor()) }
      if jobs.isEmpty {
        if isClosed { return }
        parker.park(ticket: ticket)
      }
    }
  }
}
