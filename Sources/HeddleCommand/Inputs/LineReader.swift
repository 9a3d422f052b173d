import HeddleSystem

/// Lines of a file or of standard input, read block by block, so that memory does not grow with the file.
///
/// The file is read and not mapped: one that shrinks while it is mapped kills the process.
final class LineReader {
  /// Bytes read at once: large enough that the calls do not show beside the work on the lines.
  static let blockSize = 1 << 18
  static let newline = UInt8(ascii: "\n")
  private let read: (inout [UInt8]) throws -> Void
  private var block: [UInt8] = []
  private var position = 0
  private var isAtEnd = false
  private let terminator: UInt8
  /// The number of the line that was read last, from 1.
  private(set) var lineNumber = 0

  /// Reads through `read`, which puts the next bytes in place of what its argument holds, and nothing at the end.
  ///
  /// - Parameter terminator: What a line ends with.
  init(terminator: UInt8 = LineReader.newline, read: @escaping (inout [UInt8]) throws -> Void) {
    self.terminator = terminator
    self.read = read
  }

  /// Lines of the file at `path`; `-` is standard input.
  ///
  /// - Throws: `UsageError` with a sentence where it cannot be read.
  convenience init(path: String, terminator: UInt8 = LineReader.newline) throws {
    if path == "-" {
      self.init(terminator: terminator) { try Descriptor.readStandardInput(into: &$0, limit: Self.blockSize) }
      return
    }
    do throws(SystemError) {
      let file = try Descriptor.open(path, for: .reading)
      // A directory can be opened, but not read.
      var first: [UInt8] = []
      try file.readBlock(into: &first, limit: Self.blockSize)
      let owner = Owner(file: file, first: first)
      self.init(terminator: terminator) { try owner.next(into: &$0) }
    } catch {
      throw UsageError("cannot read inputs from \(path): \(error.reason)")
    }
  }
  /// A descriptor cannot be held by a closure without an owner that is a class.
  private final class Owner {
    private let file: Descriptor
    private var first: [UInt8]?
    init(file: consuming Descriptor, first: [UInt8]) {
      self.file = file
      self.first = first
    }
    func next(into block: inout [UInt8]) throws {
      if let first {
        block = first
        self.first = nil
      } else {
        try file.readBlock(into: &block, limit: LineReader.blockSize)
      }
    }
  }

  /// The next line without its end; nil after the last.
  ///
  /// Blocks while standard input has none.
  func next() throws -> [UInt8]? {
    var line: [UInt8] = []
    var hasLine = false
    while true {
      if position == block.count {
        if !isAtEnd {
          try read(&block)
          position = 0
          isAtEnd = block.isEmpty
        }
        if isAtEnd {
          if hasLine { lineNumber += 1 }
          return hasLine ? line : nil
        }
      }
      hasLine = true
      let rest = block[position...]
      if let end = rest.firstIndex(of: terminator) {
        line += rest[..<end]
        position = end + 1
        lineNumber += 1
        return line
      }
      line += rest
      position = block.count
    }
  }
}
