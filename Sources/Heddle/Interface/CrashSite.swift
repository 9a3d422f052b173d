/// Where in its code a worker was when it crashed, and what went wrong there.
///
/// In release builds too: the executable's own debug information says it. `swift build` keeps that information in an executable; one that was
/// stripped has `module` and `address` only, which `addr2line` or `llvm-symbolizer` can look up in a copy that was not.
public struct CrashSite: Sendable, Hashable, CustomStringConvertible {
  /// What went wrong, for example `Index out of range`; nil where nothing says so.
  public var reason: String?
  /// The function; nil where it is not known.
  public var function: String?
  /// The path of the source file; nil where it is not known.
  public var file: String?
  /// The line, from 1; nil where it is not known.
  ///
  /// In release builds the compiler keeps no lines of some jobs that come in chunks of `map`; their `function` is known.
  public var line: Int?
  /// Whether the crash was in something that `function` had called, which has no debug information.
  public var isCaller: Bool
  /// The executable or library that holds the code that crashed; nil where it is not known.
  public var module: String?
  /// Where the code that crashed lies in `module`, as its own tables count; nil where it is not known.
  public var address: UInt64?

  /// A site with what is known.
  public init(
    reason: String? = nil, function: String? = nil, file: String? = nil, line: Int? = nil, isCaller: Bool = false, module: String? = nil,
    address: UInt64? = nil
  ) {
    self.reason = reason
    self.function = function
    self.file = file
    self.line = line
    self.isCaller = isCaller
    self.module = module
    self.address = address
  }

  /// For example `Index out of range, in Careless.run() at /home/me/App/Main.swift:17`.
  public var description: String {
    let place = self.place
    return [reason, place.isEmpty ? nil : place].compactMap { $0 }.joined(separator: ", ")
  }
  /// The same without the reason; empty where nothing is known.
  var place: String {
    let verb = isCaller ? "called from" : "in"
    switch (function, file) {
    case (let function?, let file?): return "\(verb) \(function) at \(file)\(self.at)"
    case (nil, let file?): return "\(isCaller ? "called from" : "at") \(file)\(self.at)"
    case (let function?, nil): return "\(verb) \(function)" + (offset.map { " (\($0))" } ?? "")
    case (nil, nil): return offset.map { "at \($0)" } ?? ""
    }
  }
  private var at: String { line.map { ":\($0)" } ?? "" }
  private var offset: String? {
    guard let module, let address else { return nil }
    return "\(module.split(separator: "/").last ?? "")+0x\(String(address, radix: 16))"
  }
}
