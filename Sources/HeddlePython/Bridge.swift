import Heddle
import HeddleSystem

/// The Python side, as a program to start.
///
/// Its parts lie in the folder of the same name.
enum Bridge {
  /// The program as one text.
  static let source: String = {
    let parts = [
      PackageResources.bridge_py, PackageResources.transport_py, PackageResources.targets_py, PackageResources.shared_py,
      PackageResources.values_py, PackageResources.worker_py, PackageResources.loop_py, PackageResources.interpreters_py,
      PackageResources.entry_py,
    ]
    return parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n\n")
  }()

  /// The program compiled, by the interpreter's path: compiling takes longer than all else that a worker does before it greets.
  ///
  /// An interpreter that is asked what it is hands it over. The bytes begin with that version's own number, which a worker compares.
  private static let compiled = Locked<[String: Compiled]>([:])
  struct Compiled: Sendable {
    var magic: [UInt8]
    var code: [UInt8]
  }
  static func keep(_ code: Compiled, for executable: String) { compiled.withLock { $0[executable] = code } }

  /// Arguments of an interpreter that serve a pool, on the descriptors that a recipe gives a worker.
  static func workerArguments(way: String, threads: Int, memoryLimit: Int?, takesMemory: Bool) -> [String] {
    let numbers = [
      WorkerRecipe.socketNumber, WorkerRecipe.memoryNumber, WorkerRecipe.lifelineNumber, WorkerRecipe.programNumber,
    ]
    return ["-c", workerStart, "serve", way] + numbers.map { "\($0)" } + [
      "\(threads)", "\(memoryLimit ?? 0)", "\(takesMemory ? WorkerRecipe.handoverNumber : -1)", cachePath,
    ]
  }
  /// What a worker finds on its descriptor `programNumber`: this version's number, the code, the text in case that is another version's,
  /// and the call that comes before all others.
  static func program(for executable: String, initializer: (target: String, arguments: [UInt8])?) -> [UInt8] {
    let known = compiled.withLock { $0[executable] }
    var writer = MarshalWriter()
    writer.beginTuple(count: 4)
    writer.write(bytes: known?.magic ?? [])
    writer.write(bytes: known?.code ?? [])
    writer.write(source)
    if let initializer {
      writer.beginTuple(count: 2)
      writer.write(initializer.target)
      writer.write(bytes: initializer.arguments)
    } else {
      writer.writeNone()
    }
    return writer.bytes
  }
  /// Arguments of an interpreter that run the program once with `arguments`.
  ///
  /// The text is an argument itself: no file of ours has to be found at run time, and tracebacks name it `<heddle>`.
  static func arguments(_ arguments: [String], isolated: Bool = false) -> [String] {
    (isolated ? ["-E", "-S"] : []) + ["-c", start, source] + arguments
  }

  private static let start = String(decoding: PackageResources.start_once_py, as: UTF8.self)
  private static let workerStart = String(decoding: PackageResources.start_worker_py, as: UTF8.self)
}
