import Comparison
import Heddle

/// Edits the photos that are named: on one thread, on a thread a core, in a process a core.
///
/// Run by run.py.
@main
struct Main {
  static func main() async throws {
    let paths = Array(CommandLine.arguments.dropFirst())
    let cores = Parallelism.available
    let one = try await edit(paths, "one thread", ThreadPoolExecutor(maxWorkers: 1))
    let threads = try await edit(paths, "\(cores) threads", ThreadPoolExecutor(maxWorkers: cores))
    let processes = try await edit(paths, "\(cores) processes", ProcessPoolExecutor(maxWorkers: cores))
    precondition(one == threads && one == processes, "the ways gave other photos")
    for photo in one { print("result", photo.file, photo.width, photo.height, photo.mean, separator: "\t") }
  }

  /// What became of each photo, in their order, wherever the executor runs the jobs.
  static func edit(_ paths: [String], _ name: String, _ executor: some JobExecutor) async throws -> [Edited] {
    try await measured(name) {
      try await withExecutor(executor) { executor in
        var edited: [Edited] = []
        for try await photo in executor.map(paths.map { Edit(path: $0) }) { edited.append(photo) }
        return edited
      }
    }
  }
}
