/// How a ``ThreadPoolExecutor`` behaves, beside how many threads it has.
public struct ThreadPoolConfiguration: Sendable {
  /// How many jobs and closures may wait, beside the `maxWorkers` that can run; nil: any number.
  ///
  /// Unit: jobs. A job counts from `submit` until its future ends. When so many are there, `submit` fails the next one with code
  /// `queueFull`, `submitWaiting` and `submitBlocking` wait until there is room, and `map` takes its next item later. Steps of tasks
  /// that prefer the pool do not count: a task cannot be refused.
  public var maxPending: Int?

  /// A configuration; what is left out is as in a pool that has none.
  public init(maxPending: Int? = nil) {
    self.maxPending = maxPending
  }
}
