import CHeddle
import HeddleSystem
import HeddleWire

/// The main of a worker process.
///
/// Called by the program's entry (entry.c) instead of the program's own main.
///
/// Three threads: this one serves the main actor's jobs, one runs the loop, one waits for the parent's end.
@c(heddle_worker_main)
public func heddleWorkerMain() -> Int32 {
  heddle_tune_worker_malloc()
  heddle_prepare_output()
  guard let memory = WorkerMemory() else { return 125 }
  memory.leaveDeathNotes()
  heddle_use_alternate_stack()
  heddle_start_lifeline(WorkerRecipe.socketNumber)
  let started = try? OSThread(name: "heddle-worker", takesSignals: true) {
    heddle_use_alternate_stack()
    let lane = Lane()
    let loop = WorkerLoop(memory: memory.memory, socket: WorkerRecipe.socketNumber)
    Task(executorPreference: lane) { await loop.run() }
    lane.run()
  }
  guard started != nil else { return 125 }
  // The new thread is on this processor: it is what the parent waits for.
  heddle_yield()
  heddle_serve_main_queue()
}

/// The shared memory as the worker maps it; as long as the process lives.
private final class WorkerMemory: Sendable {
  let memory: ChannelMemory
  private let parts: Parts

  private struct Parts: ~Copyable, Sendable {
    let parentWords: SharedMemory.Mapping
    let workerWords: SharedMemory.Mapping
    let requests: SharedMemory.Mapping
    let responses: SharedMemory.Mapping
  }

  init?() {
    for number in [WorkerRecipe.socketNumber, WorkerRecipe.handoverNumber] { heddle_set_close_on_exec(number) }
    let shared = SharedMemory(adopting: Descriptor(owning: WorkerRecipe.memoryNumber), byteCount: RegionLayout.byteCount)
    // What the parent writes is read-only here: a worker that runs wild cannot spoil what another may have to run.
    guard let parentWords = try? shared.map(offset: 0, byteCount: RegionLayout.wordsByteCount, writable: false),
      let workerWords = try? shared.map(offset: RegionLayout.workerWordsOffset, byteCount: RegionLayout.wordsByteCount, writable: true),
      let requests = try? shared.mapTwice(offset: RegionLayout.requestOffset, byteCount: RegionLayout.ringByteCount, writable: false),
      let responses = try? shared.mapTwice(offset: RegionLayout.responseOffset, byteCount: RegionLayout.ringByteCount, writable: true)
    else { return nil }
    memory = unsafe ChannelMemory(
      own: workerWords.address, other: parentWords.address, outgoing: responses.address, incoming: requests.address)
    guard memory.identityMatches else { return nil }
    parts = Parts(parentWords: parentWords, workerWords: workerWords, requests: requests, responses: responses)
  }
  /// From here on a signal that ends this process leaves word of where it was.
  func leaveDeathNotes() { unsafe heddle_leave_death_notes(parts.workerWords.address + RegionLayout.deathNote) }
}
