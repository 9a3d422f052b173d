import ArgumentParser
import HeddleSystem

/// The program `heddle`.
@main
struct HeddleTool: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "heddle",
    abstract: "Runs a Python function or a command on many inputs, on every core.",
    discussion: """
      EXAMPLE
        heddle map photos.py:thumbnail *.jpg
        calls thumbnail("a.jpg"), thumbnail("b.jpg"), ... of photos.py, as many at
        once as there are cores, and prints a line of JSON for each result.

      All that it can do: heddle map --help
      """,
    version: "heddle 0.1.0",
    subcommands: [MapCommand.self])

  /// Parses and runs; a wrong use ends with status 2, as `heddle map --help` says, and not with the parser's own 64.
  static func main() {
    if CommandLine.arguments.dropFirst().first == CommandGuard.word { CommandGuard.serve() }
    do {
      var command = try parseAsRoot(NamedInputs.marked(Array(CommandLine.arguments.dropFirst())))
      try command.run()
    } catch let status as ExitCode {
      exit(withError: status)
    } catch {
      if exitCode(for: error) == .success { exit(withError: error) }
      // The parser's own text repeats the usage in three lines; a sentence is read.
      let sentence = message(for: error).split(whereSeparator: \.isNewline).joined(separator: " ")
      let help = CommandLine.arguments.dropFirst().first == "map" ? "heddle map --help" : "heddle --help"
      Console.say("heddle: \(sentence); see \(help)")
      exit(withError: ExitCode(ExitStatus.usage.rawValue))
    }
  }
}

/// What the tool's exit status says.
enum ExitStatus: Int32 {
  /// Every input has a successful row.
  case success = 0
  /// Some input failed, or the rows could not be written to the end.
  case failures = 1
  /// Wrong usage, target, interpreter or input file; nothing was run.
  case usage = 2
  /// Stopped by a signal.
  case interrupted = 130
  /// The reader of standard output went away: what a shell shows for a program that died of SIGPIPE.
  case brokenPipe = 141
}

/// What cannot be run, as a sentence for the user; status 2.
struct UsageError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// Standard error, for people.
enum Console {
  static let descriptor: Int32 = 2
  /// Writes a line.
  ///
  /// There is nobody to tell where that fails.
  static func say(_ text: String) { try? Descriptor.writeAll(Array((text + "\n").utf8), to: descriptor) }
}
