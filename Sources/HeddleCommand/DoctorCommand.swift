import ArgumentParser
import HeddlePython
import HeddleSystem

/// `heddle doctor`: what this machine has of what Heddle needs, and what would not work.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor", abstract: "Says what this machine has of what Heddle needs, and what would not work.",
    discussion: "A line each, with ok, note or FAIL before it. The exit status is 1 where something would not work, otherwise 0.")

  @Option(help: ArgumentHelp("Look at this interpreter too.", valueName: "path"))
  var python: String?

  func run() throws {
    let findings = Checkup(python: python).findings()
    for finding in findings { print("\(finding.kind.rawValue)  \(finding.sentence)") }
    if findings.contains(where: { $0.kind == .fails }) { throw ExitCode(ExitStatus.failures.rawValue) }
  }
}

/// The examination that `heddle doctor` makes.
struct Checkup {
  enum Kind: String {
    case fine = "ok  "
    case note = "note"
    case fails = "FAIL"
  }
  struct Finding {
    let kind: Kind
    let sentence: String
  }
  var python: String?
  /// The text of a file; nil where there is none.
  var read: (String) -> String? = { path in
    guard let file = try? Descriptor.open(path, for: .reading) else { return nil }
    var bytes: [UInt8] = []
    guard (try? file.readBlock(into: &bytes, limit: 1 << 16)) != nil else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  func findings() -> [Finding] { cores() + memory() + sharedMemory() + descriptors() + pythons() + worker() }

  private func cores() -> [Finding] {
    let available = Processors.available()
    let online = read("/proc/cpuinfo")?.split(separator: "\n").count { $0.hasPrefix("processor") } ?? available
    var findings = [Finding(kind: .fine, sentence: "\(available) cores may be used, so that many calls run at once by default")]
    if available < online {
      findings.append(
        Finding(kind: .note, sentence: "the machine has \(online) cores; affinity or a cgroup's quota lets this process use \(available)"))
    }
    return findings
  }
  private func memory() -> [Finding] {
    var findings: [Finding] = []
    if let free = Machine.availableMemory { findings.append(Finding(kind: .fine, sentence: "\(Self.size(free)) of memory are free")) }
    if let limit = cgroup("memory.max").flatMap({ Int($0) }) {
      findings.append(
        Finding(
          kind: .note, sentence: "a cgroup lets everything here use \(Self.size(limit)) of memory; past that the kernel kills workers"))
    }
    if let limit = cgroup("pids.max").flatMap({ Int($0) }) {
      let used = cgroup("pids.current").flatMap { Int($0) } ?? 0
      // A worker is a process and a few threads.
      let kind: Kind = limit - used < 50 ? .fails : .note
      findings.append(Finding(kind: kind, sentence: "a cgroup allows \(limit) processes and threads, of which \(used) are in use"))
    }
    return findings
  }
  private func sharedMemory() -> [Finding] {
    do throws(SystemError) {
      _ = try SharedMemory(byteCount: 1 << 20)
      return [Finding(kind: .fine, sentence: "shared memory can be made, which workers need")]
    } catch {
      return [Finding(kind: .fails, sentence: "shared memory cannot be made (\(error.reason)); no worker process can be used")]
    }
  }
  private func descriptors() -> [Finding] {
    guard let line = read("/proc/self/limits")?.split(separator: "\n").first(where: { $0.hasPrefix("Max open files") }),
      let limit = line.split(separator: " ").dropFirst(3).first.flatMap({ Int($0) })
    else { return [] }
    // A worker holds five in its parent.
    let workers = max(0, (limit - 20) / 5)
    return [
      Finding(
        kind: workers < Processors.available() ? .fails : .fine,
        sentence: "\(limit) descriptors may be open (ulimit -n), enough for \(workers) workers")
    ]
  }
  private func pythons() -> [Finding] {
    var findings: [Finding] = []
    // One Python may have several names.
    var seen: Set<String> = []
    do {
      let found = try PythonInterpreter.find(explicit: python, scriptFolder: ".")
      seen.insert(Files.resolved(found.executable))
      findings.append(Finding(kind: .fine, sentence: "heddle map uses Python \(Self.version(found)), \(found.executable)"))
    } catch {
      findings.append(Finding(kind: .fails, sentence: "\(error)"))
    }
    let folders = EnvironmentVariables.programFolders()
    for minor in 8...20 {
      let name = "python3.\(minor)"
      for (place, path) in folders.map({ "\($0)/\(name)" }).filter(Files.isExecutable).enumerated() {
        guard let found = try? PythonInterpreter.find(explicit: path),
          seen.insert(Files.resolved(found.executable)).inserted
        else { continue }
        let separate = found.version.lexicographicallyPrecedes([3, 12]) ? "" : ", which has interpreters with a GIL of their own"
        // A name leads to the first on PATH; the others have to be named in full.
        let argument = place == 0 ? name : path
        findings.append(
          Finding(kind: .fine, sentence: "Python \(Self.version(found)) is there too\(separate): --python \(argument)"))
      }
    }
    return findings
  }
  /// Calls a function, the whole way.
  private func worker() -> [Finding] {
    do {
      let target = try PythonTarget("os:getpid")
      let interpreter = try PythonInterpreter.find(loading: target, explicit: python)
      var settings = RunnerSettings(
        interpreter: interpreter, target: target, placement: .processes, workers: 1, timeout: .seconds(20), retries: 0, memoryLimit: nil)
      settings.printed = { _ in }
      let runner = try PythonRunner(settings)
      let outcome = Locked<CallOutcome?>(nil)
      let ended = ThreadGate()
      var writer = MarshalWriter()
      writer.beginTuple(count: 0)
      let input = Input(index: 0, content: .value(MarshaledValue(bytes: writer.bytes)), format: .json)
      _ = runner.submit(input) { result in
        outcome.withLock { $0 = result }
        ended.open()
      }
      ended.wait()
      runner.shutdown(grace: .zero)
      switch outcome.withLock({ $0!.ending }) {
      case .returned: return [Finding(kind: .fine, sentence: "a function was called in a worker process")]
      case .failed(_, let message, _): return [Finding(kind: .fails, sentence: "a function could not be called: \(message)")]
      case .raised(let failure): return [Finding(kind: .fails, sentence: "a function could not be called: \(failure.message)")]
      case .notRun: return [Finding(kind: .fails, sentence: "a function was not called")]
      }
    } catch {
      return [Finding(kind: .fails, sentence: "a function could not be called: \(error)")]
    }
  }

  /// A setting of this process's cgroup (version 2); nil: there is none, or it is `max`.
  private func cgroup(_ name: String) -> String? {
    guard let line = read("/proc/self/cgroup")?.split(separator: "\n").first(where: { $0.hasPrefix("0::") }) else { return nil }
    let folder = line.dropFirst(3) == "/" ? "" : String(line.dropFirst(3))
    guard let text = read("/sys/fs/cgroup\(folder)/\(name)")?.split(separator: "\n").first, text != "max" else { return nil }
    return String(text)
  }
  private static func version(_ interpreter: PythonInterpreter) -> String { interpreter.version.map(String.init).joined(separator: ".") }
  private static func size(_ bytes: Int) -> String {
    bytes >= 1 << 30 ? "\(bytes >> 30) GiB" : "\(bytes >> 20) MiB"
  }
}
