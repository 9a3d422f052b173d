import Glibc
import HeddleSystem
import Testing

@testable import Heddle

private func isReadable(_ descriptor: Int32) -> Bool {
  var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
  return poll(&entry, 1, 0) == 1
}

/// Whether a timer has rung, or was taken back.
private func isOver(_ timer: Int32) -> Bool { text(of: "/proc/self/fdinfo/\(timer)")?.contains("it_value: (0, 0)") ?? false }

extension Core {
  @Suite struct `the supervisor's timer` {
    /// Who sends a job sets the timer after it has given the lock back, and may be late: the supervisor has looked, and expects none.
    @Test func `set too late it wakes the supervisor once, and not for ever`() async throws {
      try await withPool(1) { pool in
        _ = try await pool.submit(Doubled(value: 1)).value
        let doorbell = pool.pool!.wakeUp
        try await eventually("quiet") { pool.pool!.core.withLock { $0.sleepsUnwatched && !$0.hasTimer && $0.sleepsUntil != nil } }
        for _ in 0..<3 {
          doorbell.setTimer(.milliseconds(1))
          try await eventually("the alarm") { isOver(doorbell.timerNumber) }
          // What stays readable would keep the supervisor from sleeping.
          try await eventually("the end of the alarm") { !isReadable(doorbell.timerNumber) }
        }
      }
    }
  }
}
