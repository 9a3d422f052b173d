/// How a ``ProcessPoolExecutor`` behaves, beside how many workers it has.
///
/// ```swift
/// ProcessPoolExecutor(maxWorkers: 4, configuration: ProcessPoolConfiguration(maxPending: 1000))
/// ```
public struct ProcessPoolConfiguration: Sendable {
  /// How many jobs may wait, beside the `maxWorkers` that can run; nil: any number.
  ///
  /// Unit: jobs. A job counts from `submit` until its future ends. When so many are there, `submit` fails the next one with code
  /// `queueFull`, `submitWaiting` and `submitBlocking` wait until there is room, and `map` takes its next item later.
  public var maxPending: Int?

  /// A configuration; what is left out is as in a pool that has none.
  public init(maxPending: Int? = nil) {
    self.maxPending = maxPending
  }
}
