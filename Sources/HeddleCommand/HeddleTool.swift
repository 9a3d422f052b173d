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
    subcommands: [MapCommand.self, DoctorCommand.self, ManualCommand.self])

  /// Parses and runs; a wrong use ends with status 2, as `heddle map --help` says, and not with the parser's own 64.
  static func main() {
    if CommandLine.arguments.dropFirst().first == CommandGuard.subcommand { CommandGuard.serve() }
    if let sentence = unknownSubcommand(CommandLine.arguments.dropFirst().first) {
      Console.say("heddle: \(sentence)")
      exit(withError: ExitCode(ExitStatus.usage.rawValue))
    }
    do {
      var command = try parseAsRoot(NamedInputs.marked(Settings.adding(to: Array(CommandLine.arguments.dropFirst()))))
      try command.run()
    } catch let status as ExitCode {
      exit(withError: status)
    } catch let error as UsageError {
      Console.say("heddle: \(error)")
      exit(withError: ExitCode(ExitStatus.usage.rawValue))
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

extension HeddleTool {
  /// What is wrong with the first word, where it is meant to be a subcommand and is none; nil: nothing.
  ///
  /// The parser only calls it unexpected.
  static func unknownSubcommand(_ word: String?) -> String? {
    guard let word, !word.hasPrefix("-") else { return nil }
    let names = configuration.subcommands.compactMap { $0.configuration.commandName } + ["help"]
    if names.contains(word) { return nil }
    // A function or a file where its command was left out.
    if word.contains(":") || word.contains(".py") { return "there is no command before \(word); did you mean heddle map \(word)?" }
    let near = names.map { (name: $0, distance: editDistance($0, word)) }.filter { $0.distance <= 2 }.min { $0.distance < $1.distance }
    let advice = near.map { "did you mean heddle \($0.name)?" } ?? "there are \(names.joined(separator: ", "))"
    return "there is no heddle \(word); \(advice)"
  }
  /// How many letters have to be put in, taken out, changed, or swapped with the next to make one word of the other.
  static func editDistance(_ first: String, _ second: String) -> Int {
    let (first, second) = (Array(first), Array(second))
    var rows = [Array(0...second.count)]
    for (i, letter) in first.enumerated() {
      var row = [i + 1]
      for (j, other) in second.enumerated() {
        var least = min(row[j] + 1, rows[i][j + 1] + 1, rows[i][j] + (letter == other ? 0 : 1))
        if i > 0, j > 0, letter == second[j - 1], first[i - 1] == other { least = min(least, rows[i - 1][j - 1] + 1) }
        row.append(least)
      }
      rows.append(row)
    }
    return rows[first.count][second.count]
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
