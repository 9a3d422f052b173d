import Glibc
import Heddle

/// Twice its argument.
struct Doubled: Job {
  var value: Int
  func run() async throws -> Int { value * 2 }
}
/// Leaves its number in a file.
struct Marks: Job {
  var path: String
  var value: Int
  func run() async throws -> Int {
    let file = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
    guard file >= 0 else { return -1 }
    _ = withUnsafeBytes(of: value) { write(file, $0.baseAddress, 8) }
    close(file)
    return value
  }
}
/// Takes and answers with so many bytes, each made from the one before it.
struct Bulk: Job {
  var bytes: [UInt8]
  var answers: Int
  func run() async throws -> [UInt8] {
    guard Bulk.isWhole(bytes) else { return [] }
    return Bulk.pattern(answers)
  }
  static func pattern(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) } }
  static func isWhole(_ bytes: [UInt8]) -> Bool { bytes.indices.allSatisfy { bytes[$0] == UInt8(truncatingIfNeeded: $0 &* 31) } }
}
/// Blocks for a while.
struct Naps: Job {
  var milliseconds: Int
  var value: Int
  func run() async throws -> Int {
    usleep(UInt32(milliseconds) * 1000)
    return value
  }
}
struct Refusal: Error, Codable { var value: Int }
/// Throws.
struct Refuses: Job {
  var value: Int
  func run() async throws -> Int { throw Refusal(value: value) }
}
/// Reads past the end of an array.
struct Traps: Job {
  var value: Int
  func run() async throws -> Int { [1, 2, 3][value + 3] }
}
