import HeddleSystem
import HeddleWire
import Testing

@testable import Heddle

/// What is made of the traces that a death leaves.
@Suite struct DeathTests {
  @Test func `the last words of a runtime are found among what a job printed`() {
    let swift = LastWords("hello\nApp/Main.swift:17: Fatal error: the sky: it falls\nCurrent stack trace:\n0  libswiftCore.so")
    #expect(swift.reason == "Fatal error: the sky: it falls")
    #expect(LastWords("Fatal error").reason == "Fatal error")
    #expect(LastWords("Could not cast value of type 'A' to 'B'.").reason == "Could not cast value of type 'A' to 'B'.")
    #expect(LastWords("no Fatal error: here\nall is well").reason == nil)
    #expect(LastWords("").site == nil)
    let python = LastWords(
      """
      Fatal Python error: Segmentation fault

      Current thread 0x00007f (most recent call first):
        File "/usr/lib/python3.11/ctypes/__init__.py", line 519 in string_at
        File "work.py", line 3 in segfault
      """)
    #expect(
      python.site
        == CrashSite(
          reason: "Fatal Python error: Segmentation fault, in string_at at /usr/lib/python3.11/ctypes/__init__.py:519",
          function: "segfault", file: "work.py", line: 3, isCaller: true))
    #expect(python.site?.description.hasSuffix("ctypes/__init__.py:519, called from segfault at work.py:3") == true)
  }
  @Test func `of several threads of Python the one that died is named`() {
    let words = LastWords(
      """
      Fatal Python error: Segmentation fault

      Thread 0x00007e (most recent call first):
        File "<heddle>", line 991 in serve

      Current thread 0x00007f (most recent call first):
        File "work.py", line 9 in segfault

      Thread 0x00007d (most recent call first):
        File "<heddle>", line 12 in wait
      """)
    #expect(words.site?.function == "segfault" && words.site?.line == 9)
    let library = LastWords(
      """
      Fatal Python error: Segmentation fault

      Current thread 0x00007f (most recent call first):
        File "/venv/lib/python3.12/site-packages/fast/core.py", line 9 in sum

      Thread 0x00007d (most recent call first):
        File "other.py", line 12 in wait
      """)
    #expect(library.site?.function == "sum" && library.site?.isCaller == false)
  }
  @Test func `copies and parts of a function go by its name`() {
    let run = "$s7Outside8TrappingV3runSiyYaKF"
    let plain = CrashLocator.name(run)
    #expect(plain == "Outside.Trapping.run() async throws -> Swift.Int")
    #expect(CrashLocator.name(run + "TY0_") == plain)
    #expect(CrashLocator.name(run + "Tf4d_n") == plain)
    #expect(CrashLocator.name("$s7Outside4deep33_227B568D73C39587E4EA733FEABA3522LLyS2iF") == "Outside.deep(Swift.Int) -> Swift.Int")
    #expect(CrashLocator.name("main") == "main")
  }
  @Test func `kills for want of memory are counted where the kernel counts them`() {
    let mounts = """
      30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
      31 23 0:27 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
      """
    func kills(_ files: [String: String]) -> OutOfMemoryKills { .count { files[$0] } }
    let second = kills([
      "/proc/self/mountinfo": mounts, "/proc/self/cgroup": "0::/app\n", "/proc/vmstat": "nr_free 1\noom_kill 9\n",
      "/sys/fs/cgroup/app/memory.events": "low 0\noom 3\noom_kill 2\n",
    ])
    #expect(second.inGroup == 2 && second.onMachine == 9)
    let first = kills([
      "/proc/self/mountinfo": mounts, "/proc/self/cgroup": "4:memory:/box\n0::/\n",
      "/sys/fs/cgroup/memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
    ])
    #expect(first.inGroup == 1 && first.onMachine == nil)
    #expect(kills([:]) == OutOfMemoryKills())
    // Our own group's count decides; another's death on the machine is not ours.
    #expect(!OutOfMemoryKills(inGroup: 2, onMachine: 10).hasGrown(since: second))
    #expect(OutOfMemoryKills(inGroup: 3, onMachine: 10).hasGrown(since: second))
    #expect(OutOfMemoryKills(inGroup: nil, onMachine: 10).hasGrown(since: OutOfMemoryKills(inGroup: nil, onMachine: 9)))
    #expect(!OutOfMemoryKills().hasGrown(since: second))
  }
  @Test func `a death certificate says who killed and how much memory was held`() {
    let end = ChildProcess.End(exit: .signal(9), peakMemory: 300 << 20, processorTime: .zero)
    let killed = DeathCertificate(end: end, pid: 7, note: nil, isOutOfMemory: false, sharesWorker: false, standardErrorTail: "x")
      .error(attempt: 2, ran: .seconds(1))
    #expect(killed.code == .workerDied && killed.exit == .signal(9) && killed.attempt == 2 && killed.workerPID == 7)
    #expect(killed.ran == .seconds(1) && killed.peakMemory == 300 << 20 && killed.standardErrorTail == "x")
    #expect(killed.message.contains("SIGKILL") && killed.message.contains("300 MiB"))
    let starved = DeathCertificate(end: end, pid: 7, note: nil, isOutOfMemory: true, sharesWorker: false, standardErrorTail: "")
      .error(attempt: 1, ran: nil)
    #expect(starved.code == .memoryLimitExceeded && starved.message.contains("because memory ran out"))
    let fault = ChildProcess.End(exit: .signal(11), peakMemory: nil, processorTime: .zero)
    for sharesWorker in [false, true] {
      let error = DeathCertificate(end: fault, pid: 7, note: nil, isOutOfMemory: false, sharesWorker: sharesWorker, standardErrorTail: "")
        .error(attempt: 1, ran: nil)
      #expect(error.message.contains("any of them may be to blame") == sharesWorker)
      #expect(error.message.contains("not affected") != sharesWorker)
    }
  }
  @Test func `a death note of any content names no more than it may`() {
    var random = Seeded(9)
    for _ in 0..<200 {
      let bytes = (0..<DeathNote.byteCount).map { _ in UInt8.random(in: 0...255, using: &random) }
      var signed = bytes
      for index in 1..<8 { signed[index] = 0 }
      let note = unsafe signed.withUnsafeBytes { unsafe DeathNote(words: $0) }
      #expect((note?.frames.count ?? 0) <= 32)
      if let note { _ = CrashLocator.shared.site(of: note).description }
    }
    #expect(unsafe [UInt8](repeating: 0, count: DeathNote.byteCount).withUnsafeBytes { unsafe DeathNote(words: $0) } == nil)
    // A file that is not loaded here is not opened, whatever the worker wrote.
    #expect(LoadedFile.open("/etc/passwd") == nil && LoadedFile.open("/dev/zero") == nil)
    #expect(LoadedFile.open(LoadedFile.executable) != nil)
  }
}
