/// What the workers of a ``PythonExecutor`` have used since its first call, measured from outside of the interpreters.
///
/// Take it before and after, and subtract:
///
/// ```swift
/// let before = python.usage()
/// …
/// print((python.usage() - before).coresUsed)     // Python threads that compute show 1.0, whatever their number
/// ```
public struct PythonUsage: Sendable, Hashable {
  /// One worker process that lives.
  public struct Worker: Sendable, Hashable {
    /// Its process identifier.
    public var pid: Int32
    /// Of its threads, and of the processes that it started and waited for.
    public var processorTime: Duration
    /// The most memory that it had at once.
    ///
    /// Unit: bytes.
    public var peakMemory: Int
  }
  /// Of all workers, those that have gone too.
  public var processorTime = Duration.zero
  /// Since the first call.
  public var wallTime = Duration.zero
  /// The most memory that one worker had at once.
  ///
  /// Unit: bytes. Of a worker that has gone it is what the kernel keeps, which is no less than what this process had when it started that worker.
  public var peakMemory = 0
  /// Those that live.
  public var workers: [Worker] = []

  /// How many processors were at work, on average.
  public var coresUsed: Double { wallTime > .zero ? processorTime / wallTime : 0 }

  /// What was used between two moments; memory and workers are those of the later one.
  public static func - (later: PythonUsage, earlier: PythonUsage) -> PythonUsage {
    var difference = later
    difference.processorTime -= earlier.processorTime
    difference.wallTime -= earlier.wallTime
    return difference
  }
}

/// How one call ended, and what it used; see ``PythonExecutor/measure(_:options:)``.
public struct PythonMeasurement<Output: Decodable & Sendable>: Sendable {
  /// What the call gave: what `submit` would have given or thrown.
  public let result: Result<Output, any Error>
  /// Processor time of the thread that the call ran on; not of threads and processes that it started.
  public let processorTime: Duration
  /// From its start to its end.
  public let wallTime: Duration
  /// The most memory that its process had at once while it ran, with all that was there before.
  ///
  /// Unit: bytes. Where other calls run in the same process, theirs is in it.
  public let peakMemory: Int
  /// Which run of the call it was, from 1.
  public let attempt: Int

  /// How many processors it kept at work.
  public var coresUsed: Double { wallTime > .zero ? processorTime / wallTime : 0 }
  /// What the call returned.
  ///
  /// - Throws: What it raised, or why its result cannot be had.
  public var value: Output { get throws { try result.get() } }
}
