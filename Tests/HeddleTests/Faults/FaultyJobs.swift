import Glibc
import Heddle
import HeddleSystem

/// Its worker meets its fate in one part of a job's life.
struct Fated: Job {
  var fault: Fault
  var stage: Stage
  init(_ fault: Fault, _ stage: Stage) {
    self.fault = fault
    self.stage = stage
  }
  private enum Keys: CodingKey { case fault, stage }
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Keys.self)
    fault = try container.decode(Fault.self, forKey: .fault)
    stage = try container.decode(Stage.self, forKey: .stage)
    if stage == .readingArguments { fault.happen() }
  }
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try container.encode(fault, forKey: .fault)
    try container.encode(stage, forKey: .stage)
  }
  func run() async throws -> Fate {
    if stage == .running { fault.happen() }
    return Fate(fault: fault, isFinal: stage == .writingResult)
  }
}
/// An answer that cannot be written by everybody.
struct Fate: Codable, Sendable {
  var fault: Fault
  var isFinal: Bool
  init(fault: Fault, isFinal: Bool) {
    self.fault = fault
    self.isFinal = isFinal
  }
  init(from decoder: any Decoder) throws {
    fault = .hang
    isFinal = false
  }
  func encode(to encoder: any Encoder) throws {
    if isFinal { fault.happen() }
    var container = encoder.singleValueContainer()
    try container.encode(1)
  }
}

/// Has a large result on the way when the worker meets its fate: the writing thread is held up in the middle of it.
struct FatedWhileWriting: Job {
  var fault: Fault
  func run() async throws -> [UInt8] {
    guard let memory = OwnMemory() else { return [] }
    let writer = pthread_self()
    let begin = memory.head
    // Not one of those that the table is about.
    signal(SIGWINCH) { _ in while true { pause() } }
    _ = try OSThread(name: "bomb", takesSignals: true) {
      // Two rings full of it have gone through.
      while unsafe UnsafeMutablePointer<UInt64>(bitPattern: UInt(bitPattern: memory.words))!.pointee &- begin < 2 << 20 { sched_yield() }
      pthread_kill(writer, SIGWINCH)
      fault.happen()
    }
    return [UInt8](repeating: 7, count: 64 << 20)
  }
}
extension OwnMemory: @unchecked Sendable {}

/// Ends well, and leaves a thread behind that waits for a file to appear; answers with its process.
struct PlantsBomb: Job {
  var fault: Fault
  var gate: String
  func run() async throws -> Int32 {
    _ = try OSThread(name: "bomb", takesSignals: true) { [fault, gate] in
      while access(gate, F_OK) != 0 { usleep(500) }
      fault.happen()
    }
    return getpid()
  }
}

/// What the handlers below do; a C function has no other way to know.
nonisolated(unsafe) private var planned = Fault.hang

/// Ends well; the worker meets its fate when it leaves.
struct FatedAtExit: Job {
  var fault: Fault
  func run() async throws -> Int32 {
    unsafe planned = fault
    atexit { unsafe planned.happen() }
    return getpid()
  }
}
/// Runs until it is stopped; meets its fate when it is told to stop.
struct FatedWhenCancelled: Job {
  var fault: Fault
  var started: String
  func run() async throws -> Int32 {
    unsafe planned = fault
    signal(SIGTERM) { _ in unsafe planned.happen() }
    if case .signal(15) = fault { signal(SIGTERM, SIG_DFL) }
    append([1], to: started)
    while true { pause() }
  }
}
