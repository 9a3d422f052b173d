import HeddleSystem

/// How a worker process is started, and what it is: all in which workers in Swift and in Python differ on this side.
package struct WorkerRecipe: Sendable {
  package var path: String
  package var arguments: [String]
  /// `NAME=value`, in full.
  package var environment: [String]
  /// How many jobs one worker runs at once.
  package var width = 1
  /// Where a worker's standard output goes.
  package var standardOutput = StandardOutput.inherited

  package enum StandardOutput: Sendable {
    /// Where this process's goes.
    case inherited
    /// To this process's standard error, so that standard output is free for results.
    case standardError
    /// To the pool, for a handler.
    case taken
    /// Nowhere.
    case discarded
  }

  /// What takes the workers' standard error, on the pool's own thread; nil: this process's standard error.
  package var printed: (@Sendable ([UInt8]) -> Void)?
  /// Where what workers print goes, where `printed` does not say it.
  ///
  /// A handler's lines are told apart by marks that the worker sets: only Swift workers do.
  var output = WorkerOutput.passedThrough
  /// What those marks begin with; empty: the worker sets none.
  var outputSecret: [UInt8] = []
  /// Whether a worker finds the reading end of a pipe that nobody writes: its kernel tells it of our end where no thread of its can.
  package var hasLifelinePipe = false
  /// Whether a worker says of every job when it starts, and not only of those that have a time limit.
  package var tellsStarts = false

  /// The descriptors that a worker finds: its input, output and error, then the socket and the shared memory.
  package static let socketNumber: Int32 = 3
  package static let memoryNumber: Int32 = 4
  package static let lifelineNumber: Int32 = 5

  package init(path: String, arguments: [String], environment: [String]) {
    self.path = path
    self.arguments = arguments
    self.environment = environment
  }
}
