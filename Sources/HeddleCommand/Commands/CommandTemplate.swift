import HeddlePython
import HeddleSystem

/// A command with places for an input, as GNU parallel writes them.
///
/// `{}` the input, `{.}` without its extension, `{/}` its last part, `{//}` its folder, `{/.}` its last part without extension, `{#}`
/// the number of the call from 1 on, `{%}` the number of the place that it runs in, `{name}` the CSV column or JSON member of that name.
struct CommandTemplate: Sendable {
  enum Piece: Hashable, Sendable {
    case text([UInt8])
    case input, withoutExtension, name, folder, nameWithoutExtension, sequence, place
    case member(String)
  }
  let words: [[Piece]]
  /// Whether one shell command is made of it, with what is put in quoted.
  let isShell: Bool

  /// - Throws: `UsageError` where there is nothing to run.
  init(words: [String], isShell: Bool) throws {
    guard let first = words.first, !first.isEmpty else { throw UsageError("there is no command; write heddle map -- command {} ::: input") }
    self.isShell = isShell
    let source = isShell ? [words.joined(separator: " ")] : words
    var parsed = source.map { Self.pieces(of: $0) }
    let hasInput = parsed.joined().contains { if case .text = $0 { false } else { $0 != .sequence && $0 != .place } }
    if !hasInput {
      if isShell { parsed[0] += [.text([UInt8(ascii: " ")]), .input] } else { parsed.append([.input]) }
    }
    self.words = parsed
  }

  private static let simple: [String: Piece] = [
    "": .input, ".": .withoutExtension, "/": .name, "//": .folder, "/.": .nameWithoutExtension, "#": .sequence, "%": .place,
  ]
  private static func pieces(of word: String) -> [Piece] {
    var pieces: [Piece] = []
    var text: [UInt8] = []
    var rest = Substring(word)
    while let first = rest.first {
      if first == "{", let end = rest.firstIndex(of: "}") {
        let inner = String(rest[rest.index(after: rest.startIndex)..<end])
        let isName = inner.first?.isLetter == true && inner.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
        if let piece = simple[inner] ?? (isName ? .member(inner) : nil) {
          if !text.isEmpty { pieces.append(.text(text)) }
          text = []
          pieces.append(piece)
          rest = rest[rest.index(after: end)...]
          continue
        }
      }
      text += Array(String(first).utf8)
      rest.removeFirst()
    }
    if !text.isEmpty || pieces.isEmpty { pieces.append(.text(text)) }
    return pieces
  }

  /// The words to start for an input.
  ///
  /// - Throws: `UsageError` where the input has no such member.
  func words(for value: CommandInput, sequence: Int, place: Int) throws -> [[UInt8]] {
    let filled = try words.map { pieces in
      try pieces.reduce(into: [UInt8]()) { word, piece in
        let filling: [UInt8]
        switch piece {
        case .text(let text):
          word += text
          return
        case .input: filling = value.text
        case .withoutExtension: filling = Self.withoutExtension(value.text)
        case .name: filling = Self.name(value.text)
        case .folder: filling = Self.folder(value.text)
        case .nameWithoutExtension: filling = Self.withoutExtension(Self.name(value.text))
        case .sequence: filling = Array("\(sequence)".utf8)
        case .place: filling = Array("\(place)".utf8)
        case .member(let name):
          guard let member = value.members[name] else { throw UsageError("the input has no \(name) for {\(name)}") }
          filling = member
        }
        word += isShell ? Self.quoted(filling) : filling
      }
    }
    return isShell ? [Array("/bin/sh".utf8), Array("-c".utf8)] + filled : filled
  }

  // MARK: Parts of a path

  private static let slash = UInt8(ascii: "/"), dot = UInt8(ascii: ".")
  /// A dot in the last part only; a name that begins with its only dot has no extension.
  static func withoutExtension(_ path: [UInt8]) -> [UInt8] {
    let start = path.lastIndex(of: slash).map { $0 + 1 } ?? 0
    guard let end = path.lastIndex(of: dot), end > start else { return path }
    return Array(path[..<end])
  }
  static func name(_ path: [UInt8]) -> [UInt8] { path.lastIndex(of: slash).map { Array(path[($0 + 1)...]) } ?? path }
  static func folder(_ path: [UInt8]) -> [UInt8] {
    guard let end = path.lastIndex(of: slash) else { return [dot] }
    return end == 0 ? [slash] : Array(path[..<end])
  }
  /// What means nothing to a shell.
  private static let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%".utf8)
  /// Quoted for a shell where it needs to be.
  static func quoted(_ text: [UInt8]) -> [UInt8] {
    if !text.isEmpty, text.allSatisfy(plain.contains) { return text }
    let quote = UInt8(ascii: "'")
    return [quote] + text.flatMap { $0 == quote ? Array("'\\''".utf8) : [$0] } + [quote]
  }
}

/// An input as a command gets it: bytes.
struct CommandInput {
  /// The text of a line, or JSON.
  let text: [UInt8]
  /// The columns of a CSV row, the members of a JSON object.
  let members: [String: [UInt8]]

  init(_ value: MarshaledValue) throws {
    text = try Self.text(of: value)
    guard value.kind == .dictionary else {
      members = [:]
      return
    }
    members = try MarshalDecoder().decode([String: MarshaledValue].self, from: value.bytes).mapValues(Self.text)
  }
  private static func text(of value: MarshaledValue) throws -> [UInt8] {
    // A string in marshal is a type, a length of four bytes, and UTF-8 in which what is no UTF-8 stands as a surrogate.
    if value.kind == .string { return value.bytes.dropFirst(5).withFileSystemBytes }
    var writer = JSONWriter()
    try writer.write(value)
    return writer.bytes
  }
}

extension Collection<UInt8> {
  /// The bytes that a file name had before `surrogateescape`: U+DC80 to U+DCFF are the bytes 0x80 to 0xFF.
  fileprivate var withFileSystemBytes: [UInt8] {
    var result: [UInt8] = []
    result.reserveCapacity(count)
    for byte in self {
      result.append(byte)
      guard result.count >= 3, byte & 0xc0 == 0x80, result[result.count - 3] == 0xed else { continue }
      let middle = result[result.count - 2]
      guard middle == 0xb2 || middle == 0xb3 else { continue }
      result.removeLast(3)
      result.append((middle & 1) << 6 | byte & 0x3f | 0x80)
    }
    return result
  }
}

extension CommandTemplate: CustomStringConvertible {
  /// The command as it was written.
  var description: String {
    func text(_ piece: Piece) -> String {
      switch piece {
      case .text(let bytes): return String(decoding: bytes, as: UTF8.self)
      case .member(let name): return "{\(name)}"
      default: return "{\(Self.simple.first { $0.value == piece }?.key ?? "")}"
      }
    }
    return words.map { $0.map(text).joined() }.joined(separator: " ")
  }
  /// Looks whether the program is there, where its name does not depend on the input.
  ///
  /// - Throws: `UsageError`: it is not.
  func checkProgram() throws {
    guard !isShell, words[0].count == 1, case .text(let bytes) = words[0][0] else { return }
    let name = String(decoding: bytes, as: UTF8.self)
    if name.contains("/") {
      if !Files.isExecutable(name) { throw UsageError("\(name) \(Files.exists(name) ? "is not a program" : "does not exist")") }
      return
    }
    guard EnvironmentVariables.locate(program: name) == nil else { return }
    throw UsageError("there is no program \(name) on PATH; what a shell itself knows needs --shell")
  }
}
