import Heddle
import HeddleSystem

/// A Python interpreter on this machine that Heddle can use: a file, and its version.
public struct PythonInterpreter: Sendable, Hashable {
  /// The interpreter itself: not a shim or a script that chooses one, so that a worker starts without that detour.
  public let executable: String
  /// Major, minor and micro number: `[3, 11, 7]`.
  public let version: [Int]
  /// Whether its threads take turns: always, but for a free-threaded build (3.13 and later, `python3.13t`).
  public let hasGIL: Bool

  init(executable: String, version: [Int], hasGIL: Bool = true) {
    self.executable = executable
    self.version = version
    self.hasGIL = hasGIL
  }

  /// The oldest version that the bridge runs on.
  public static let oldestVersion = [3, 8]

  /// How long an interpreter may take to say what it is.
  static let probeLimit = Duration.seconds(20)
}

/// No interpreter that can be used, as a sentence that says what was tried.
public struct PythonInterpreterError: Error, Sendable, Hashable, CustomStringConvertible {
  /// The sentence.
  public let message: String
  init(_ message: String) { self.message = message }
  /// The sentence.
  public var description: String { message }
}

extension PythonInterpreter {
  /// Finds the interpreter to use and asks it what it is.
  ///
  /// Blocks for as long as Python takes to start.
  ///
  /// In this order: `explicit`; the virtual environment in `VIRTUAL_ENV`; `.venv` in the folder of the script; `python3`, then
  /// `python`, on `PATH`.
  ///
  /// - Throws: `PythonInterpreterError`: there is none, it does not work, or it is older than 3.8.
  public static func find(explicit: String? = nil, scriptFolder: String? = nil) throws -> PythonInterpreter {
    let environment = ChildProcess.environment
    let path = try locate(explicit: explicit, scriptFolder: scriptFolder, environment: environment)
    let output: ChildProcess.Output
    do {
      // Not `-I -S`: a shim or a virtual environment tells its `sys.executable` either way, and Python 2 knows no `-I`.
      output = try ChildProcess.run(
        path: path, arguments: [path] + Bridge.arguments(["about", "3"], isolated: true), environment: environment, limit: probeLimit)
    } catch {
      throw PythonInterpreterError("\(path) cannot be started: \(error)")
    }
    guard output.exit == .code(0), let answer = try? MarshalDecoder().decode(About.self, from: output.answer) else {
      throw notPython(path, output)
    }
    return answer.interpreter(path)
  }

  /// What an interpreter says of itself.
  struct About: Decodable {
    var version: [Int]
    var executable: String
    var hasGIL: Bool

    func interpreter(_ path: String) -> PythonInterpreter {
      PythonInterpreter(executable: executable.isEmpty ? path : executable, version: version, hasGIL: hasGIL)
    }
  }

  static func notPython(_ path: String, _ output: ChildProcess.Output) -> PythonInterpreterError {
    if output.isTimedOut { return PythonInterpreterError("\(path) did not answer within \(probeLimit); is it a Python interpreter?") }
    // Of a traceback the last line says what is wrong, of a shim's advice the first.
    let lines = String(decoding: output.standardError, as: UTF8.self).split(separator: "\n")
    let line = lines.last?.first?.isWhitespace == true ? lines.first : lines.last
    if output.exit == .code(78), let line, line.hasPrefix("Heddle needs") {
      return PythonInterpreterError("\(line); name another with --python")
    }
    let complaint = line.map { ": \($0)" } ?? ""
    return PythonInterpreterError("\(path) is no Python interpreter that works\(complaint)")
  }

  /// The file to start; see `find`.
  ///
  /// Looks at names only.
  static func locate(explicit: String?, scriptFolder: String?, environment: [String]) throws -> String {
    func onPath(_ name: String) -> String? { EnvironmentVariables.locate(program: name, in: environment) }

    if let explicit {
      if explicit.contains("/") {
        if Files.isExecutable(explicit) { return explicit }
        // A virtual environment's folder is what one has at hand.
        if Files.isExecutable("\(explicit)/bin/python3") { return "\(explicit)/bin/python3" }
        throw PythonInterpreterError(
          "\(explicit) \(Files.exists(explicit) ? "is not a program" : "does not exist"); --python takes a path or a name like python3.12")
      }
      guard let found = onPath(explicit) else {
        throw PythonInterpreterError("there is no \(explicit) on PATH; --python takes a path or a name like python3.12")
      }
      return found
    }
    var tried: [String] = []
    for folder in [EnvironmentVariables.value(of: "VIRTUAL_ENV", in: environment), scriptFolder.map { "\($0)/.venv" }].compactMap({ $0 }) {
      let candidate = "\(folder)/bin/python3"
      if Files.isExecutable(candidate) { return candidate }
      tried.append(candidate)
    }
    for name in ["python3", "python"] {
      if let found = onPath(name) { return found }
      tried.append("\(name) on PATH")
    }
    throw PythonInterpreterError(
      "there is no Python: tried \(tried.joined(separator: ", ")); install Python 3.8 or later, or name one with --python")
  }
}

extension PythonInterpreter {
  /// Finds the interpreter and loads a target in it, in one process that is gone afterwards, so that what is wrong with either is
  /// known before any worker starts.
  ///
  /// Blocks.
  ///
  /// - Parameters:
  ///   - target: The function; relative to the working directory.
  ///   - explicit: As for `find(explicit:scriptFolder:)`. The script is the target's file.
  ///   - limit: How long loading may take.
  /// - Throws: `PythonTargetError` where the target cannot be called, `PythonInterpreterError` where there is no interpreter for it.
  public static func find(
    loading target: PythonTarget, explicit: String? = nil, limit: Duration = .seconds(600)
  ) throws -> PythonInterpreter {
    let environment = ChildProcess.environment
    let path = try locate(explicit: explicit, scriptFolder: target.scriptFolder, environment: environment)
    let output: ChildProcess.Output
    do {
      output = try ChildProcess.run(
        path: path, arguments: [path] + Bridge.arguments(["check", target.description, "3", "4"]), environment: environment, limit: limit)
    } catch {
      throw PythonInterpreterError("\(path) cannot be started: \(error)")
    }
    // The first byte says that the bridge runs; without it the interpreter is to blame, and `find` says for what.
    guard !output.answer.isEmpty else {
      _ = try find(explicit: path)
      throw notPython(path, output)
    }
    if output.isTimedOut {
      throw PythonTargetError(
        "\(target) was not loaded within \(limit); move what takes that long into the function", reason: .importFailed)
    }
    let answer: CheckAnswer
    let about: About
    do {
      let report = Array(output.answer.dropFirst())
      answer = try MarshalDecoder().decode(CheckAnswer.self, from: report)
      about = try MarshalDecoder().decode(About.self, from: report)
    } catch {
      let end =
        switch output.exit {
        case .signal(let number): "was killed by signal \(number)"
        case .code(let code): "ended with exit code \(code)"
        case nil: "ended"
        }
      let tail = String(decoding: output.standardError.suffix(2000), as: UTF8.self)
      throw PythonTargetError("Python \(end) while it loaded \(target)\(tail.isEmpty ? "" : ":\n\(tail)")", reason: .importFailed)
    }
    if let reason = answer.reason {
      throw PythonTargetError(
        answer.message ?? reason, reason: PythonTargetError.Reason(rawValue: reason) ?? .importFailed, failure: answer.failure)
    }
    return about.interpreter(path)
  }

  private struct CheckAnswer: Decodable {
    var reason: String?
    var message: String?
    var failure: PythonFailure?
  }
}
