import HeddleSystem

/// Passes the standard error of workers on to this process's, without ever waiting for it.
struct OutputForwarder {
  /// Takes the bytes instead of our standard error.
  private let sink: (@Sendable ([UInt8]) -> Void)?
  private var waiting: [UInt8] = []

  init(sink: (@Sendable ([UInt8]) -> Void)?) { self.sink = sink }

  /// Our own standard error takes no more at the moment: workers' output is left in their pipes, and only they wait.
  var isBlocked: Bool { !waiting.isEmpty }

  mutating func forward(_ bytes: [UInt8]) {
    if let sink { return sink(bytes) }
    waiting += bytes
    flush()
  }
  mutating func flush() {
    if waiting.isEmpty { return }
    let written = StandardError.writeWithoutBlocking(waiting)
    waiting.removeFirst(min(written, waiting.count))
  }
}
