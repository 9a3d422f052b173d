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

  /// Arguments of an interpreter that serve a pool, on the descriptors that a recipe gives a worker.
  static func workerArguments(way: String, threads: Int, memoryLimit: Int?, takesMemory: Bool) -> [String] {
    let numbers = [
      WorkerRecipe.socketNumber, WorkerRecipe.memoryNumber, WorkerRecipe.lifelineNumber, WorkerRecipe.programNumber,
    ]
    return ["-c", workerStart, "serve", way] + numbers.map { "\($0)" } + [
      "\(threads)", "\(memoryLimit ?? 0)", "\(takesMemory ? WorkerRecipe.handoverNumber : -1)", cachePath,
    ]
  }
  /// What a worker finds on its descriptor `programNumber`: the text, and the call that comes before all others.
  static func program(initializer: (target: String, arguments: [UInt8])?) -> [UInt8] {
    var writer = MarshalWriter()
    writer.beginTuple(count: 2)
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
    (isolated ? ["-E", "-S"] : []) + ["-c", start, source, cachePath] + arguments
  }

  private static let start = text(PackageResources.load_py, PackageResources.start_once_py)
  private static let workerStart = text(PackageResources.load_py, PackageResources.start_worker_py)
  private static func text(_ parts: [UInt8]...) -> String { parts.map { String(decoding: $0, as: UTF8.self) }.joined(separator: "\n\n") }
}
