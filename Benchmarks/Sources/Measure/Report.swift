import Glibc

/// Figures with names, printed for people or as one JSON object.
struct Report {
  private var entries: [(name: String, value: Double, unit: String)] = []
  let isJSON: Bool

  init(isJSON: Bool) { self.isJSON = isJSON }

  mutating func add(_ name: String, _ value: Double, _ unit: String) {
    entries.append((name, value, unit))
    if !isJSON { print("\(name): \(format(value)) \(unit)") }
  }
  /// The least, the middle and the most of several runs.
  mutating func add(_ name: String, runs: [Double], _ unit: String) {
    let sorted = runs.sorted()
    add("\(name), min", sorted.first!, unit)
    add("\(name), median", sorted[sorted.count / 2], unit)
    add("\(name), max", sorted.last!, unit)
  }
  func finish() {
    guard isJSON else { return }
    print("{" + entries.map { "\"\($0.name) (\($0.unit))\": \($0.value)" }.joined(separator: ", ") + "}")
  }
  private func format(_ value: Double) -> String {
    let scale = value < 1 ? 1000.0 : value < 100 ? 100 : 1
    return "\((value * scale).rounded() / scale)"
  }
}

/// Seconds that `body` takes.
nonisolated(nonsending) func seconds(_ body: nonisolated(nonsending) () async throws -> Void) async rethrows -> Double {
  let clock = ContinuousClock()
  let start = clock.now
  try await body()
  return (clock.now - start) / .seconds(1)
}
/// Processor time of this process so far.
///
/// Unit: seconds.
func processorTime() -> Double {
  var usage = rusage()
  getrusage(Int32(RUSAGE_SELF.rawValue), &usage)
  return Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
}
/// Memory of this process: a line of /proc/self/status.
///
/// Unit: MiB.
func memory(_ line: String) -> Double {
  guard let file = fopen("/proc/self/status", "r") else { return 0 }
  defer { fclose(file) }
  var buffer = [CChar](repeating: 0, count: 256)
  while fgets(&buffer, 256, file) != nil {
    let text = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    if text.hasPrefix(line + ":") { return (text.split { !$0.isNumber }.first.flatMap { Double($0) } ?? 0) / 1024 }
  }
  return 0
}
