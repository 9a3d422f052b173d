import Heddle
import HeddlePython

// What the snippets of documentation comments use without declaring it.
struct Given {}
struct Image {
  func scaled(to width: Int) -> Image { self }
  var png: [UInt8] { [] }
}
struct Thumbnail: Job {
  var path: String
  func run() async throws -> [UInt8] { [] }
}
struct Measure: Job {
  var path: String
  func run() async throws -> Int { 0 }
}
func decodeImage(_ path: String) throws -> Image { Image() }
func riskyCLibrary(_ path: String) throws -> [UInt8] { [] }
func blockingDownload(_ url: String) throws -> [UInt8] { [] }
func blockingRead() {}
let url = "a"
let paths = ["a", "b"]
let jobs = [Thumbnail(path: "a")]
let pool = ThreadPoolExecutor(maxWorkers: 1)
let futures: [Future<[UInt8]>] = []
struct Model: Sendable {
  init(path: String) throws {}
  func label(of image: [UInt8]) -> String { "cat" }
}
let python = PythonExecutor(maxWorkers: 1)
