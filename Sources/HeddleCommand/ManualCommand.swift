import ArgumentParser
import HeddleSystem

/// `heddle manual`: the man page, made of the same text as `--help`.
struct ManualCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "manual", abstract: "Prints the man page: heddle manual > heddle.1",
    discussion: "Completions for bash, zsh and fish: heddle --generate-completion-script bash")

  func run() throws {
    try? Descriptor.writeAll(Array(Self.page().utf8), to: 1)
  }

  /// The page in roff.
  static func page() -> String {
    var lines = [
      ".TH HEDDLE 1 \"\" \"\(HeddleTool.configuration.version)\" \"Heddle\"", ".SH NAME",
      "heddle \\- run a Python function or a command on many inputs, on every core",
    ]
    for (title, help) in [
      ("HEDDLE", HeddleTool.helpMessage(columns: 78)), ("HEDDLE MAP", HeddleTool.helpMessage(for: MapCommand.self, columns: 78)),
      ("HEDDLE DOCTOR", HeddleTool.helpMessage(for: DoctorCommand.self, columns: 78)),
    ] {
      lines += [".SH \"\(title)\"", ".nf"]
      lines += help.split(separator: "\n", omittingEmptySubsequences: false).map { escaped(String($0)) }
      lines.append(".fi")
    }
    return lines.joined(separator: "\n") + "\n"
  }
  /// A line that roff takes as text.
  private static func escaped(_ line: String) -> String {
    let text = line.map { $0 == "\\" ? "\\e" : $0 == "-" ? "\\-" : String($0) }.joined()
    return text.hasPrefix(".") || text.hasPrefix("'") ? "\\&" + text : text
  }
}
