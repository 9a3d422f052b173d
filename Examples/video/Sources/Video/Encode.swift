import Heddle
import Subprocess
import SystemPackage

/// Encodes a clip with ffmpeg, as encode.py does; writes NAME-swift.mp4 beside it and gives its name.
///
/// With a `timeout` in its options a clip that hangs ffmpeg costs that clip: in a process both are killed.
struct Encode: Job {
  var clip: String
  var ffmpeg: String

  func run() async throws -> String {
    let target = (clip.lastIndex(of: ".").map { String(clip[..<$0]) } ?? clip) + "-swift.mp4"
    let arguments = ["-v", "error", "-y", "-i", clip, "-threads", "1", "-c:v", "libx264", "-preset", "medium", target]
    let run = try await Subprocess.run(
      ffmpeg.contains("/") ? .path(FilePath(ffmpeg)) : .name(ffmpeg), arguments: Arguments(arguments), input: .none, output: .discarded,
      error: .string(limit: 4096))
    guard run.terminationStatus.isSuccess else { throw EncodeFailure(clip: clip, reason: run.standardError) }
    return target
  }
}

struct EncodeFailure: Error, Codable {
  var clip: String
  var reason: String
}
