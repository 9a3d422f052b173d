import Configuration
import HeddlePython
import HeddleSystem
import SystemPackage

/// Options of `heddle map` that come from a file or from the environment.
///
/// What is said on the command line counts most, then the environment (`HEDDLE_MAP_TIMEOUT=30s`), then the file that `--config` or
/// `HEDDLE_CONFIG` names, or `~/.config/heddle/config.json`: `{"map": {"workers": 8, "timeout": "30s", "keep-order": true}}`.
struct Settings {
  /// The options that may stand there: how calls are run and shown, not what is run.
  static let options = [
    "input-format", "on", "workers", "timeout", "retries", "memory-limit", "max-failures", "halt", "delay", "memfree", "nice", "python",
    "joblog", "progress", "output-format",
  ]
  static let flags = ["keep-order", "tag", "eta", "bar", "shuf", "null"]

  /// The arguments with those options before them; the parser takes the last of each, so that the command line's own count.
  ///
  /// They stand there for all runs, so one that does not go with this run (a memory limit for functions, where a command is run) is left out.
  ///
  /// - Throws: `UsageError` where the file cannot be read or names an option that is none, or a value is none.
  static func adding(to arguments: [String], environment: [String] = ChildProcess.environment) throws -> [String] {
    guard arguments.first == "map" else { return arguments }
    let variables = [String: String](
      environment.compactMap { entry in
        entry.firstIndex(of: "=").map { (String(entry[..<$0]), String(entry[entry.index(after: $0)...])) }
      }, uniquingKeysWith: { first, _ in first })
    let file = try file(arguments, variables)
    // Most runs have neither, and start without looking further.
    guard file != nil || variables.keys.contains(where: { $0.hasPrefix("HEDDLE_MAP_") }) else { return arguments }

    var providers: [any ConfigProvider] = [EnvironmentVariablesProvider(environmentVariables: variables).prefixKeys(with: "heddle")]
    if let file { providers.append(try load(file)) }
    let reader = ConfigReader(providers: providers).scoped(to: "map")
    var added: [String] = []
    for name in options {
      let key = ConfigKey(stringLiteral: name)
      let text = reader.string(forKey: key) ?? reader.int(forKey: key).map { "\($0)" } ?? reader.double(forKey: key).map { "\($0)" }
      if let text { added.append("--\(name)=\(text)") }
    }
    for name in flags where reader.bool(forKey: ConfigKey(stringLiteral: name)) == true { added.append("--\(name)") }
    // What is wrong on the command line itself is said of that alone.
    let own = Array(arguments.dropFirst())
    guard Self.refusal(of: own) == nil else { return arguments }
    var fitting: [String] = []
    for option in added {
      if Self.refusal(of: fitting + [option] + own) == nil {
        fitting.append(option)
        continue
      }
      let refusals = Self.anyRun.compactMap { Self.refusal(of: [option] + $0) }
      // One that no run takes is malformed.
      guard refusals.count == Self.anyRun.count else { continue }
      let sentence = HeddleTool.message(for: refusals[0]).split(whereSeparator: \.isNewline).joined(separator: " ")
      throw UsageError("\(file.map { "the environment or \($0)" } ?? "the environment") sets \(option): \(sentence)")
    }
    return ["map"] + fitting + own
  }
  /// Why the parser refuses the arguments of `heddle map`; nil: it takes them, or they ask for help.
  private static func refusal(of arguments: [String]) -> (any Error)? {
    do {
      _ = try HeddleTool.parseAsRoot(NamedInputs.marked(["map"] + arguments))
      return nil
    } catch { return HeddleTool.exitCode(for: error) == .success ? nil : error }
  }
  /// Runs of which each option that is well formed goes with one.
  private static let anyRun = [["a.py:f", "a"], ["a.py:f", "a", "--output", "a"], ["a.py:f", "--inputs", "a"]]

  /// The file that there is; nil: none.
  private static func file(_ arguments: [String], _ variables: [String: String]) throws -> String? {
    let own = arguments.prefix { $0 != "--" }
    if let place = own.firstIndex(of: "--config"), place + 1 < own.endIndex { return own[place + 1] }
    if let option = own.first(where: { $0.hasPrefix("--config=") }) { return String(option.dropFirst(9)) }
    if let named = variables["HEDDLE_CONFIG"], !named.isEmpty { return named }
    let folder = variables["XDG_CONFIG_HOME"] ?? variables["HOME"].map { "\($0)/.config" }
    return folder.map { "\($0)/heddle/config.json" }.flatMap { Files.exists($0) ? $0 : nil }
  }

  private static func load(_ path: String) throws -> any ConfigProvider {
    try refuseUnknown(path)
    let box = Locked<Result<FileProvider<JSONSnapshot>, any Error>?>(nil)
    let isRead = ThreadGate()
    Task {
      do {
        let provider = try await FileProvider<JSONSnapshot>(filePath: FilePath(path))
        box.withLock { $0 = .success(provider) }
      } catch {
        box.withLock { $0 = .failure(error) }
      }
      isRead.open()
    }
    isRead.wait()
    do { return try box.withLock { $0! }.get() } catch { throw UsageError("\(path) cannot be used as options: \(error)") }
  }
  /// A mistyped name would be an option that silently does nothing.
  private static func refuseUnknown(_ path: String) throws {
    let text: [UInt8]
    do throws(SystemError) { text = try Descriptor.open(path, for: .reading).readAll() } catch {
      throw UsageError("cannot read options from \(path): \(error.reason)")
    }
    guard let members = JSONText.members(of: text) else { throw UsageError("\(path) is no JSON object, like {\"map\": {\"workers\": 8}}") }
    for (name, value) in members {
      guard name == "map", value.kind == .dictionary,
        let names = try? MarshalDecoder().decode([String: MarshaledValue].self, from: value.bytes).keys
      else { throw UsageError("\(path) has \"\(name)\"; what is known there is \"map\", an object of options") }
      if let unknown = names.sorted().first(where: { !options.contains($0) && !flags.contains($0) }) {
        throw UsageError(
          "\(path) sets \(unknown), which is no option that a file can set; those are \((options + flags).joined(separator: ", "))")
      }
    }
  }
}
