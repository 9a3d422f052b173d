import Glibc

/// Lines that are there at once, whoever reads them.
public enum Console {
  /// Writes a line to a descriptor: 1 is standard output, 2 standard error.
  public static func line(_ text: String, to descriptor: Int32) {
    let line = text + "\n"
    _ = line.withCString { write(descriptor, $0, strlen($0)) }
  }
}
