import Glibc
import Heddle
import HeddlePython

/// Uses Heddle as its users do, and ends with status 1 where anything is not as it is documented.
@main
struct Outside {
  static func main() async {
    if getenv("HEDDLE_WORKER") != nil { fatalError("the program's own main ran in a worker") }
    let only = CommandLine.arguments.dropFirst().first
    func wants(_ name: String) -> Bool { only == nil || only == name }

    let inline = InlineExecutor()
    if wants("inline") {
      await checkShapes("inline", on: inline)
      await checkOutputs("inline", on: inline)
    }
    await inline.shutdown()

    let threads = ThreadPoolExecutor(maxWorkers: 4)
    if wants("threads") {
      await checkShapes("threads", on: threads)
      await checkOutputs("threads", on: threads)
      await checkThreads(threads)
      await checkClosureOutputs(threads)
    }
    await threads.shutdown()

    let processes = ProcessPoolExecutor(maxWorkers: 2)
    if wants("processes") {
      await checkShapes("processes", on: processes)
      await checkOutputs("processes", on: processes)
      await checkProcesses(processes)
    }
    if wants("processes") || wants("crashes") {
      await checkCrashes(processes)
      await checkCrashesInChunks(processes)
    }
    await processes.shutdown()
    if wants("pool") { await checkPool() }

    let hybrid = HybridExecutor(threads: 4, processes: 2)
    if wants("hybrid") {
      await checkShapes("hybrid", on: hybrid)
      await checkOutputs("hybrid", on: hybrid)
      await check("hybrid: the kind of a job places it") {
        try await expect(hybrid.submit(Waits()).value, getpid())
        try expect(try await hybrid.submit(Computes()).value != getpid())
      }
    }
    await hybrid.shutdown()
    if wants("python") { await checkPython() }

    await check("afterwards: no child process is left") {
      try expect(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD, "a child is left")
    }
    let failures = failureCount.load(ordering: .relaxed)
    report(failures == 0 ? "All is as documented." : "\(failures) checks failed.")
    exit(failures == 0 ? 0 : 1)
  }
}

func checkThreads(_ pool: ThreadPoolExecutor) async {
  await check("threads: closures, sync and async, and a task's preference") {
    try await expect(pool.submit { 1 + 1 }.value, 2)
    try await expect(
      pool.submit {
        try await Task.sleep(for: .milliseconds(1)); return "late"
      }.value, "late")
    await expectError(pool.submit { () throws -> Int in throw Opaque() }) { $0 is Opaque }
    let main = pthread_self()
    let task = Task(executorPreference: pool) { pthread_equal(main, pthread_self()) == 0 }
    try await expect(task.value, true)
  }
}
