import Comparison
import Heddle

/// Encodes the clips that are named after ffmpeg's own name: on one thread, on 4, in 4 processes.
///
/// Run by run.py.
@main
struct Main {
  static func main() async throws {
    guard let ffmpeg = CommandLine.arguments.dropFirst().first else { return print("Video FFMPEG CLIP...") }
    let jobs = CommandLine.arguments.dropFirst(2).map { Encode(clip: $0, ffmpeg: ffmpeg) }
    let one = try await encode(jobs, "one thread", ThreadPoolExecutor(maxWorkers: 1))
    let threads = try await encode(jobs, "4 threads", ThreadPoolExecutor(maxWorkers: 4))
    let processes = try await encode(jobs, "4 processes", ProcessPoolExecutor(maxWorkers: 4))
    precondition(one == threads && one == processes, "the ways gave other clips")
    for clip in one { print("result", clip, separator: "\t") }
  }

  /// The new clips' names, in their order, wherever the executor runs the jobs.
  static func encode(_ jobs: [Encode], _ name: String, _ executor: some JobExecutor) async throws -> [String] {
    try await measured(name) {
      try await withExecutor(executor) { executor in
        var clips: [String] = []
        for try await clip in executor.map(jobs) { clips.append(clip) }
        return clips
      }
    }
  }
}
