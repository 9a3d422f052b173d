import Glibc

/// What a program that is asked for figures does: it reads a line, `NAME NUMBER…`, and answers with one number or `error: …`.
///
/// Programs in other languages (Peers/) keep to the same, so that each is asked within the run that it is compared in.
public enum CommandServer {
  /// Answers until the end of the input.
  ///
  /// - Parameter answer: gives the figure of a command with its numbers; nil: there is no such command.
  public static func serve(_ answer: (String, [Int]) async throws -> Double?) async {
    while let line = readLine() {
      let words = line.split(separator: " ").map(String.init)
      guard let name = words.first else { continue }
      do {
        let figure = try await answer(name, words.dropFirst().compactMap { Int($0) })
        Console.line(figure.map { "\($0)" } ?? "error: no \(name) here", to: 1)
      } catch { Console.line("error: \(error)", to: 1) }
    }
  }
}
