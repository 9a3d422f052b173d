import Glibc

/// What this process holds.
struct Vitals: CustomStringConvertible {
  var descriptors: Int
  var threads: Int
  var children: Int
  /// Mapped regions of workers.
  var regions: Int
  /// Resident.
  ///
  /// Unit: MiB.
  var memory: Int

  var description: String {
    "\(descriptors) descriptors, \(threads) threads, \(children) children, \(regions) shared regions, \(memory) MiB"
  }

  static func now() -> Vitals {
    Vitals(
      descriptors: names(in: "/proc/self/fd").count, threads: names(in: "/proc/self/task").count, children: children().count,
      regions: text(of: "/proc/self/maps").split(separator: "\n").count { $0.contains("memfd:heddle") },
      memory: (text(of: "/proc/self/statm").split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0) / 256)
  }
  /// What is held once no child and no region is left; they may take a moment.
  static func settled() async throws -> Vitals {
    for _ in 0..<500 {
      let vitals = now()
      if vitals.children == 0 && vitals.regions == 0 { return vitals }
      try await Task.sleep(for: .milliseconds(10))
    }
    throw Violation("left behind after five seconds: \(now()); children \(children())")
  }
  /// The first and last of a run, which must be alike; the first few pools fill caches.
  static func compare(_ all: [Vitals]) throws -> (Vitals, Vitals) {
    guard all.count >= 8 else { return (all.first ?? now(), all.last ?? now()) }
    // Threads of the language's own pool and Dispatch's descriptors come when they are wanted: the most of the first half is what they come to.
    let early = all[2..<all.count / 2]
    let late = all[(all.count / 2)...]
    func most(_ part: ArraySlice<Vitals>, _ value: (Vitals) -> Int) -> Int { part.map(value).max() ?? 0 }
    for (what, value, slack) in [
      ("descriptors", { $0.descriptors }, 2), ("threads", { $0.threads }, 2), ("MiB", { $0.memory }, 64),
    ] as [(String, (Vitals) -> Int, Int)] where most(late, value) > most(early, value) + slack {
      throw Violation("more and more \(what): at most \(most(early, value)) in the first half, \(most(late, value)) in the second")
    }
    return (all[2], all.last!)
  }

  /// All children, of whatever thread.
  static func children() -> [Int32] {
    names(in: "/proc/self/task").flatMap { text(of: "/proc/self/task/\($0)/children").split(separator: " ").compactMap { Int32($0) } }
  }
  /// Those that are workers and live.
  static func workers() -> [Int32] { children().filter { text(of: "/proc/\($0)/cmdline").hasPrefix("heddle-worker") } }

  /// For how long a process has been there.
  ///
  /// Unit: seconds; in steps of the kernel's tick, 10 ms.
  static func age(of pid: Int32) -> Double {
    let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
    let fields = text(of: "/proc/\(pid)/stat").split(separator: ")").last?.split(separator: " ") ?? []
    let now = Double(text(of: "/proc/uptime").prefix { $0 != " " })
    guard fields.count > 19, let start = Double(fields[19]), let now else { return 0 }
    return now - start / ticks
  }

  private static func names(in folder: String) -> [String] {
    guard let directory = opendir(folder) else { return [] }
    defer { closedir(directory) }
    var names: [String] = []
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) { String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self)) }
      if !name.hasPrefix(".") { names.append(name) }
    }
    return names
  }
  private static func text(of path: String) -> String {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while true {
      let count = read(file, &buffer, buffer.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += buffer[..<count]
    }
  }
}
