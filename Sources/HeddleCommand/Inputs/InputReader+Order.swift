import HeddleSystem

extension InputReader {
  /// The same inputs in an order by chance, each with the index that it has in its own order.
  ///
  /// They are all read at the first call of `next`.
  func shuffled() -> InputReader {
    var source = self
    var inputs: [Input]?
    return InputReader(total: total) {
      if inputs == nil {
        var all: [Input] = []
        while let input = try source.next() { all.append(input) }
        inputs = all.shuffled()
      }
      return inputs!.popLast()
    }
  }
  /// How many inputs there are in a file that can be read twice; nil: standard input, or a pipe.
  static func count(path: String, format: InputFormat, terminator: UInt8) throws -> Int? {
    guard path != "-", Files.isRegular(path) else { return nil }
    var reader = try InputReader(path: path, format: format, terminator: terminator)
    var count = 0
    while try reader.next() != nil { count += 1 }
    return count
  }
}
