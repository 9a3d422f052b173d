import Glibc
import Heddle
import HeddleSystem

/// The sum of a buffer's elements, and whether it may be written there.
struct Sums: Job {
  var buffer: SharedBuffer<Int32>
  struct Answer: Codable, Sendable, Equatable {
    var sum: Int
    var isWritable: Bool
  }
  func run() async throws -> Answer { Answer(sum: total(buffer), isWritable: buffer.isWritable) }
}
func total(_ buffer: SharedBuffer<Int32>) -> Int {
  buffer.withUnsafeBufferPointer { elements in
    var sum = 0
    for element in elements { sum &+= Int(element) }
    return sum
  }
}
/// A buffer anywhere: in an array, a dictionary, an optional, an enumeration, several times.
struct Nest: Codable, Sendable {
  enum Choice: Codable, Sendable {
    case none
    case some(SharedBuffer<Int32>, label: String)
  }
  var list: [SharedBuffer<Int32>]
  var table: [String: SharedBuffer<Double>]
  var choice: Choice
  var optional: SharedBuffer<Int32>?
  var none: SharedBuffer<UInt8>?

  /// Of all that it holds.
  var sum: Int {
    var sum = list.map(total).reduce(0, +)
    for (_, buffer) in table { sum += Int(buffer.reduce(0, +)) }
    if case .some(let buffer, _) = choice { sum += total(buffer) }
    return sum + (optional.map(total) ?? 0)
  }
}
/// Adds up a nest and gives it back.
struct CountsNest: Job {
  var nest: Nest
  struct Answer: Codable, Sendable {
    var sum: Int
    var nest: Nest
  }
  func run() async throws -> Answer { Answer(sum: nest.sum, nest: nest) }
}
/// Makes a buffer of consecutive numbers.
struct Makes: Job {
  var count: Int
  var access = SharedBufferAccess.readOnly
  struct Answer: Codable, Sendable {
    var buffer: SharedBuffer<Int32>
    var pid: Int32
  }
  func run() async throws -> Answer {
    Answer(buffer: try SharedBuffer(copying: 0..<Int32(count), access: access), pid: getpid())
  }
}
/// Writes a number into every element.
struct Fills: Job {
  var buffer: SharedBuffer<Int32>
  var value: Int32
  func run() async throws -> SharedBuffer<Int32> {
    buffer.withUnsafeMutableBufferPointer { $0.update(repeating: value) }
    return buffer
  }
}
/// Holds a buffer until it is let go; with a fault, that happens then.
struct HoldsBuffer: Job {
  var buffer: SharedBuffer<Int32>
  var started: String
  var gate: String
  var fault: Fault?
  func run() async throws -> Int {
    append(Array("\(getpid())\n".utf8), to: started)
    if let fault, (text(of: started) ?? "").split(separator: "\n").count == 1 { fault.happen() }
    while access(gate, F_OK) != 0 { try await Task.sleep(for: .milliseconds(1)) }
    return total(buffer)
  }
}
/// Throws an error that holds a buffer.
struct FailsWithBuffer: Job {
  struct Failure: Error, Codable { var buffer: SharedBuffer<Int32> }
  func run() async throws -> Int { throw Failure(buffer: try SharedBuffer(copying: [4, 5, 6])) }
}

/// The descriptor of a buffer that this process has.
func ownBuffer() -> Int32? {
  names(in: "/proc/self/fd").compactMap { Int32($0) }.first { link("/proc/self/fd/\($0)")?.contains("heddle-buffer") == true }
}
/// fallocate(2), which is hidden from Swift; mode 3 punches a hole and keeps the size.
func allocated(_ number: Int32, mode: Int32 = 0, offset: Int, count: Int) -> Int32 {
  typealias Call = @convention(c) (Int32, Int32, off_t, off_t) -> Int32
  return unsafe unsafeBitCast(dlsym(nil, "fallocate"), to: Call.self)(number, mode, off_t(offset), off_t(count))
}
/// memfd_create(2), as well.
func memoryFile(_ name: String, flags: UInt32) -> Int32 {
  typealias Call = @convention(c) (UnsafePointer<CChar>, UInt32) -> Int32
  return unsafe unsafeBitCast(dlsym(nil, "memfd_create"), to: Call.self)(name, flags)
}
/// Descriptors and mappings of buffers that a process has.
func bufferUses(of pid: Int32 = getpid()) -> Int {
  let descriptors = names(in: "/proc/\(pid)/fd").count { link("/proc/\(pid)/fd/\($0)")?.contains("heddle-buffer") == true }
  let mappings = (text(of: "/proc/\(pid)/maps") ?? "").split(separator: "\n").count { $0.contains("heddle-buffer") }
  return descriptors + mappings
}
