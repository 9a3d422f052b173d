import Glibc

/// What this process holds of the kinds of things that Heddle makes, as the kernel tells it.
struct Footprint: Sendable {
  /// Worker processes, by identifier, with their state letter.
  var children: [Int32: String] = [:]
  /// Open descriptors, by what they are.
  var descriptors: [String: Int] = [:]
  /// Mapped regions of shared memory.
  var mappings = 0
  /// Threads of Heddle, by name.
  var threads: [String: Int] = [:]

  static func now() -> Footprint {
    var footprint = Footprint()
    var helperPipes = 0
    for task in names(in: "/proc/self/task") {
      for child in (text(of: "/proc/self/task/\(task)/children") ?? "").split(separator: " ") {
        guard let pid = Int32(child) else { continue }
        // A zombie's command line is empty. Other children (of other suites) are none of our business.
        let command = text(of: "/proc/\(pid)/cmdline") ?? ""
        // A sanitizer's own helper for what it has to name, once it has had to.
        if command.contains("llvm-symbolizer") { helperPipes += 2 }
        if command.isEmpty || command.hasPrefix("heddle-worker") {
          footprint.children[pid] = processState(pid).map(String.init) ?? "?"
        }
      }
      let name = (text(of: "/proc/self/task/\(task)/comm") ?? "").split(separator: "\n").first.map(String.init) ?? ""
      if name.hasPrefix("heddle-") && !name.hasPrefix("heddle-test") { footprint.threads[name, default: 0] += 1 }
    }
    for number in names(in: "/proc/self/fd") {
      // Dispatch opens a timer's descriptor when it wants one; Heddle has none.
      guard let target = link("/proc/self/fd/\(number)"), !target.contains("[timerfd]"), !target.contains("[eventpoll]") else { continue }
      // The inode number differs from one pipe to the next.
      let kind = target.split(separator: ":").first.map(String.init) ?? target
      footprint.descriptors[target.contains(":[") && !target.hasPrefix("anon") ? kind : target, default: 0] += 1
    }
    if helperPipes > 0 { footprint.descriptors["pipe", default: 0] -= helperPipes }
    let maps = text(of: "/proc/self/maps") ?? ""
    footprint.mappings = maps.split(separator: "\n").count { $0.contains("memfd:heddle") }
    return footprint
  }
  /// What this holds more than `before`, one sentence each.
  func excess(over before: Footprint) -> [String] {
    var excess: [String] = []
    for (pid, state) in children where before.children[pid] == nil { excess.append("child process \(pid) in state \(state)") }
    for (kind, count) in descriptors where count > before.descriptors[kind, default: 0] {
      excess.append("\(count - before.descriptors[kind, default: 0]) descriptors of kind \(kind)")
    }
    if mappings > before.mappings { excess.append("\(mappings - before.mappings) mapped regions of shared memory") }
    for (name, count) in threads where count > before.threads[name, default: 0] {
      excess.append("\(count - before.threads[name, default: 0]) threads \(name)")
    }
    return excess.sorted()
  }
}

// MARK: Other processes

/// The state of a process as the kernel's letter; nil: there is none.
func processState(_ pid: Int32) -> Character? { processState(at: "/proc/\(pid)") }
/// The same of a process or thread by its folder.
func processState(at folder: String) -> Character? {
  // The name before it may hold anything, a parenthesis too.
  text(of: "\(folder)/stat").flatMap { $0.split(separator: ")").last?.dropFirst().first }
}
/// Whether a process is there and not only waits to be buried.
func isAlive(_ pid: Int32) -> Bool { processState(pid).map { !"ZX".contains($0) } ?? false }
/// Whether somebody stopped it (SIGSTOP).
func isSuspended(_ pid: Int32) -> Bool { processState(pid) == "T" }

/// fork(2), which is hidden from Swift; a job's child may be made by any library.
func forked() -> Int32 {
  typealias Fork = @convention(c) () -> Int32
  return unsafe unsafeBitCast(dlsym(nil, "fork"), to: Fork.self)()
}
/// A process that a job starts: it sleeps until it is killed.
func startSleeper(inGroupOfItsOwn hasGroup: Bool = false, inSessionOfItsOwn hasSession: Bool = false) -> Int32 {
  let child = forked()
  if child == 0 {
    if hasSession { setsid() } else if hasGroup { setpgid(0, 0) }
    while true { pause() }
  }
  while hasGroup && getpgid(child) != child { sched_yield() }
  return child
}

/// In a worker: nobody can tell any more by which worker this process, and what it starts from now on, was started.
func forgetFamily() {
  var entry = unsafe environ
  while let text = unsafe entry.pointee {
    if unsafe strncmp(text, "HEDDLE_FAMILY_", 14) == 0 { unsafe memset(text, 0, strlen(text)) }
    unsafe entry += 1
  }
}

// MARK: Files, without Foundation: a worker of these tests starts as fast as a user's.

/// The names in a folder.
func names(in folder: String) -> [String] {
  guard let directory = unsafe opendir(folder) else { return [] }
  defer { unsafe closedir(directory) }
  var names: [String] = []
  while let entry = unsafe readdir(directory) {
    let name = unsafe withUnsafePointer(to: &entry.pointee.d_name) {
      unsafe String(cString: UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self))
    }
    if name != "." && name != ".." { names.append(name) }
  }
  return names
}
/// A file's text; nil where there is none.
func text(of path: String) -> String? {
  guard let bytes = bytes(of: path) else { return nil }
  return String(decoding: bytes, as: UTF8.self)
}
/// A file's bytes; nil where there is none.
func bytes(of path: String) -> [UInt8]? {
  let number = open(path, O_RDONLY | O_CLOEXEC)
  guard number >= 0 else { return nil }
  defer { close(number) }
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = unsafe read(number, &buffer, buffer.count)
    guard count > 0 else { return bytes }
    bytes += buffer[..<count]
  }
}
/// Where a symbolic link points.
func link(_ path: String) -> String? {
  var buffer = [UInt8](repeating: 0, count: 512)
  let count = unsafe buffer.withUnsafeMutableBytes { unsafe readlink(path, $0.baseAddress!.assumingMemoryBound(to: CChar.self), 512) }
  return count > 0 ? String(decoding: buffer[..<count], as: UTF8.self) : nil
}
/// Adds bytes at the end of a file, atomically beside other processes that do.
func append(_ bytes: [UInt8], to path: String) {
  let number = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0o600)
  guard number >= 0 else { return }
  _ = unsafe write(number, bytes, bytes.count)
  close(number)
}

/// A folder of its own for one test; gone with this object.
final class Scratch: Sendable {
  let folder: String
  init() {
    var template = Array("/tmp/heddle-test-XXXXXX".utf8CString)
    folder = unsafe template.withUnsafeMutableBufferPointer { unsafe String(cString: mkdtemp($0.baseAddress!)) }
  }
  deinit {
    for name in names(in: folder) { unlink(folder + "/" + name) }
    rmdir(folder)
  }
  func path(_ name: String) -> String { folder + "/" + name }
  /// How many bytes were appended.
  func count(_ name: String) -> Int { bytes(of: path(name))?.count ?? 0 }
}
