import Glibc
import Heddle
import HeddleSystem
import Testing

/// A way in which a worker process comes to its end, or to a standstill.
enum Fault: Codable, Hashable, Sendable, CustomTestStringConvertible {
  case signal(Int32)
  case trap, memory, exit0, exit3, killedFromOutside, suspended, closedChannel, corruptedChannel, garbageFrames, hang

  /// Every signal whose default is the end of the process, and all the rest.
  static let all: [Fault] =
    [1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 14, 15, 16, 24, 25, 26, 27, 29, 30, 31].map { .signal($0) } + [
      .trap, .exit0, .exit3, .killedFromOutside, .suspended, .closedChannel, .corruptedChannel, .garbageFrames, .hang,
    ] + (isSanitized ? [] : [.memory])
  /// A sanitizer (Scripts/sanitize.sh says so) that gets no memory ends the process in its own way, before the program can.
  static let isSanitized = unsafe getenv("HEDDLE_TEST_SANITIZED") != nil
  var testDescription: String {
    if case .signal(let number) = self { return "\(WorkerExit.signal(number))" }
    return "\(self)"
  }

  /// How the process ends by it; empty: it does not end by itself.
  var exits: Set<WorkerExit> {
    switch self {
    case .signal(let number): [.signal(number)]
    case .trap: [.signal(4), .signal(5)]
    case .memory: [.signal(4), .signal(5), .signal(6), .signal(11)]
    case .exit0: [.code(0)]
    case .exit3: [.code(3)]
    // Its lifeline sees the end of the channel, kills its group and, if it comes to that, exits.
    case .closedChannel: [.signal(9), .code(0)]
    case .killedFromOutside, .corruptedChannel, .garbageFrames: [.signal(9)]
    case .suspended, .hang: []
    }
  }

  /// Does it; returns only where the process lives on for a while.
  func happen() {
    switch self {
    case .signal(let number): raise(number)
    case .trap:
      let array = [1, 2, 3]
      _ = array[Int(getpid())]
    case .memory:
      var limit = rlimit(rlim_cur: 1, rlim_max: 1)
      // RLIMIT_AS, which Swift does not see as the type that the call wants.
      unsafe setrlimit(__rlimit_resource_t(9), &limit)
      var blocks: [[UInt8]] = []
      while true { blocks.append([UInt8](repeating: 1, count: 64 << 20)) }
    case .exit0: exit(0)
    case .exit3: exit(3)
    case .killedFromOutside: kill(getpid(), SIGKILL)
    case .suspended: kill(getpid(), SIGSTOP)
    case .closedChannel:
      shutdown(3, Int32(SHUT_RDWR))
      close(3)
    case .corruptedChannel: _ = Nonsense.headBeyondCapacity.spoil()
    case .garbageFrames: _ = Nonsense.unknownKind.spoil()
    case .hang: break
    }
    while true { pause() }
  }

  /// The same for a program that dies before it is a worker; nil: a shell cannot do it.
  var script: String? {
    switch self {
    case .signal(let number): "kill -\(number) $$"
    case .trap: "kill -ILL $$"
    case .memory: nil
    case .exit0: "exit 0"
    case .exit3: "exit 3"
    case .killedFromOutside: "kill -KILL $$"
    case .suspended: "kill -STOP $$"
    case .closedChannel: "exec 3>&-; exec sleep 60"
    // Everything in the shared memory, what the parent writes too; then the ring of answers only.
    case .corruptedChannel: "head -c 2228224 /dev/urandom >&4; echo >&3; exec sleep 60"
    case .garbageFrames: "head -c 1114112 /dev/zero >&4; head -c 1114112 /dev/urandom >&4; echo >&3; exec sleep 60"
    case .hang: "exec sleep 60"
    }
  }
}
