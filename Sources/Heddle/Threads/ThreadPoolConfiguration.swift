/// How a ``ThreadPoolExecutor`` behaves, beside how many threads it has.
public struct ThreadPoolConfiguration: Sendable {
  /// How many jobs and closures may wait, beside the `maxWorkers` that can run; nil: any number.
  ///
  /// Unit: jobs. A job counts from `submit` until its future ends. When so many are there, `submit` fails the next one with code
  /// `queueFull`, `submitWaiting` and `submitBlocking` wait until there is room, and `map` takes its next item later. Steps of tasks
  /// that prefer the pool do not count: a task cannot be refused.
  public var maxPending: Int?
  /// A thread that has had no work for so long ends; nil: never.
  ///
  /// The next job that needs one starts one, which takes some tens of microseconds.
  public var idleTimeout: Duration?

  /// A configuration; what is left out is as in a pool that has none.
  public init(maxPending: Int? = nil, idleTimeout: Duration? = .seconds(60)) {
    self.maxPending = maxPending
    self.idleTimeout = idleTimeout
  }
}
