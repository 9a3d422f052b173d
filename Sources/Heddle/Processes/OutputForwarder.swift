import HeddleSystem

/// Passes the standard error of workers on to this process's, without ever waiting for it.
struct OutputForwarder {
  /// Takes the bytes instead of our standard error.
  private let sink: (@Sendable ([UInt8]) -> Void)?
  private var waiting: [UInt8] = []
  /// Takes what jobs print to a handler; nil: all of it is passed on here.
  let router: OutputRouter?
  private let isDiscarding: Bool

  init(sink: (@Sendable ([UInt8]) -> Void)?, output: WorkerOutput) {
    self.sink = sink
    router = OutputRouter(output)
    if case .discarded = output { isDiscarding = true } else { isDiscarding = false }
  }

  /// Our own standard error, or the handler, takes no more at the moment: workers' output is left in their pipes, and only they wait.
  var isBlocked: Bool { !waiting.isEmpty || router?.isFull == true }

  mutating func forward(_ bytes: [UInt8]) {
    if isDiscarding { return }
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
