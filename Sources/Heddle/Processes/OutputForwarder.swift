import HeddleSystem

/// Passes the standard error of workers on to this process's, without ever waiting for it.
struct OutputForwarder {
  private var waiting: [UInt8] = []

  /// Our own standard error takes no more at the moment: workers' output is left in their pipes, and only they wait.
  var isBlocked: Bool { !waiting.isEmpty }

  mutating func forward(_ bytes: [UInt8]) {
    waiting += bytes
    flush()
  }
  mutating func flush() {
    if waiting.isEmpty { return }
    let written = StandardError.writeWithoutBlocking(waiting)
    waiting.removeFirst(min(written, waiting.count))
  }
}
