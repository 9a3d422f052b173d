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
  ///
  /// Such a pool has a guard (`FamilyGuard`).
  package var hasLifelinePipe = false
  /// Whether a worker takes shared memory from the socket that it finds for it.
  package var takesMemory = false
  /// Whether a worker says of every job when it starts, and not only of those that have a time limit.
  package var tellsStarts = false
  /// Whether a worker sleeps on a word of the shared memory instead of its socket.
  var wakesByWord = false
  /// A worker that has not greeted by then is killed, and counts as one that could not be started.
  ///
  /// Long, since a machine may be busy and a file system far away.
  package var startLimit = Duration.seconds(30)

  /// The descriptors that a worker finds: its input, output and error, then the socket and the shared memory.
  package static let socketNumber: Int32 = 3
  package static let memoryNumber: Int32 = 4
  package static let lifelineNumber: Int32 = 5
  /// What the worker is to run, where the recipe has a `program`.
  package static let programNumber: Int32 = 6
  /// Where shared memory comes and goes, as messages of descriptors (`HandoverSocket`).
  package static let handoverNumber: Int32 = 7
  /// A file without a name that every worker may read: what it is to run.
  package var program: PrivateFile?

  package init(path: String, arguments: [String], environment: [String]) {
    self.path = path
    self.arguments = arguments
    self.environment = environment
  }
}

/// A file without a name that holds some bytes, for as long as somebody holds this.
package final class PrivateFile: Sendable {
  let memory: SharedMemory

  /// A file with those bytes.
  package init(_ bytes: [UInt8]) throws {
    memory = try SharedMemory(byteCount: bytes.count)
    let mapping = try memory.map(offset: 0, byteCount: bytes.count, writable: true)
    unsafe UnsafeMutableRawBufferPointer(start: mapping.address, count: bytes.count).copyBytes(from: bytes)
  }
}
