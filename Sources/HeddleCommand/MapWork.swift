import HeddlePython

/// What is run for each input.
enum MapWork {
  case function(PythonTarget)
  case command(CommandTemplate)

  init(_ options: MapCommand) throws {
    guard let target = options.named.target else {
      let template = try CommandTemplate(words: options.named.template, isShell: options.shell)
      try template.checkProgram()
      self = .command(template)
      return
    }
    self = .function(try PythonTarget(target))
  }

  /// As it was named on the command line.
  var name: String {
    switch self {
    case .function(let target): target.description
    case .command(let template): template.description
    }
  }
  var origin: Origin {
    switch self {
    case .function(let target): Origin(target)
    case .command: Origin(target: name, digest: nil)
    }
  }
  /// The command for an input, as a shell would take it; nil: it is a function.
  ///
  /// - Parameter place: Which of those that run at once it is; one that has not run has none yet.
  func command(of input: Input, place: Int = 1) -> String? {
    guard case .command(let template) = self else { return nil }
    guard let value = try? CommandInput(input.value), let words = try? template.words(for: value, sequence: input.index + 1, place: place)
    else {
      return template.description
    }
    // A shell is not named: what it is given is the command.
    let shown = template.isShell ? [words.last!] : words.map(CommandTemplate.quoted)
    return String(decoding: Array(shown.joined(separator: [UInt8(ascii: " ")])), as: UTF8.self)
  }
  /// The call of an input, as Python would nearly write it.
  func call(of input: Input) -> String {
    var writer = JSONWriter()
    try? writer.write(input.value)
    let value = String(decoding: writer.bytes, as: UTF8.self)
    let arguments =
      switch (input.format, input.value.kind) {
      case (.json, .dictionary), (.csv, _): "**\(value)"
      case (.json, .list): "*\(value)"
      default: value
      }
    return "\(name)(\(arguments))"
  }
}
