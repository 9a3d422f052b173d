/// What stands on the command line of `heddle map` beside the options, sorted: a target or a command's words, and inputs.
struct NamedInputs {
  /// nil: there is a command, or nothing.
  private(set) var target: String?
  /// Of a command: its words.
  private(set) var template: [String] = []
  private(set) var inputs: [String] = []
  /// A file of inputs that `::::` names.
  private(set) var file: String?
  /// Whether the words look like a command, which has to follow `--`.
  private(set) var lacksTerminator = false
  /// Whether there is more than one list.
  private(set) var isTooMany = false

  /// Stands where `--` stood, which the parser drops, and which tells a command from a function.
  ///
  /// No argument of a program can hold a NUL.
  private static let terminator = "\0--"
  /// The arguments of the tool, as they are given to the parser.
  static func marked(_ arguments: [String]) -> [String] {
    guard let place = arguments.firstIndex(of: "--") else { return arguments }
    return arguments[...place] + [terminator] + arguments[(place + 1)...]
  }

  /// - Parameter words: What the parser found beside the options.
  init(_ words: [String]) {
    let isMark = { (word: String) in word == ":::" || word == "::::" }
    var rest = words[...]
    if rest.first == Self.terminator {
      template = Array(rest.dropFirst().prefix { !isMark($0) })
      rest = rest.dropFirst(template.count + 1)
      if rest.isEmpty { return }
    } else {
      target = rest.popFirst()
      if let place = rest.firstIndex(of: Self.terminator) { rest.remove(at: place) }
      lacksTerminator = target.map { !$0.contains(":") } == true && rest.first.map { !isMark($0) } == true && rest.contains(where: isMark)
    }
    var mark = ":::"
    if let first = rest.first, isMark(first) {
      mark = first
      rest = rest.dropFirst()
    }
    isTooMany = rest.contains(where: isMark) || mark == "::::" && rest.count > 1
    if mark == "::::" { file = rest.first } else { inputs = Array(rest) }
  }
}

/// `--halt`; without a condition it is `never`.
struct HaltOption {
  let condition: HaltCondition?
}
