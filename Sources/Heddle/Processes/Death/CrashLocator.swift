import HeddleSystem
import HeddleWire

/// Looks up, in the debug information of this process's own executable and libraries, where a worker crashed.
///
/// Parent and worker are the same files at other addresses, so a note says places in files. One look-up takes some milliseconds; what was found
/// is kept, since a job that crashes is seldom alone.
final class CrashLocator: Sendable {
  static let shared = CrashLocator()

  private struct State {
    /// nil: there is no such file here, or it cannot be read.
    var images: [String: DebugInformation?] = [:]
    var found: [Place: Found] = [:]
  }
  private let state = Locked(State())
  private struct Place: Hashable {
    var path: String
    var offset: UInt64
  }
  private struct Found {
    var address: UInt64
    var reason: String?
    var function: String?
    var file: String?
    var line: Int?
    /// The innermost function of a program's own, where the compiler kept no line of it: so it does with what it puts into a loop that runs
    /// the jobs of a type.
    var lineless: String?
  }
  /// Places and files that are remembered; a worker that runs wild can name as many as it likes.
  private static let limit = 256
  /// How far out a frame is looked for that has a source: further out is the library that runs the job.
  private static let depth = 8

  /// Where a worker was.
  ///
  /// Reads files: some milliseconds at first, then microseconds. Never under a lock.
  func site(of note: DeathNote) -> CrashSite {
    var site = CrashSite(reason: Self.reason(of: note))
    // A signal that another process sent says nothing of the code that it met.
    guard !note.frames.isEmpty, note.code > 0 || note.isOwn else { return site }
    var lineless: String?
    for (index, frame) in note.frames.prefix(Self.depth).enumerated() {
      guard let path = frame.path else { continue }
      // A return address is that of the next instruction.
      guard let found = look(Place(path: path, offset: index == 0 ? frame.fileOffset : frame.fileOffset &- 1)) else { continue }
      if index == 0 {
        site.module = path
        site.address = found.address
        site.reason = found.reason ?? site.reason
        site.function = found.function
        lineless = found.lineless
      }
      guard found.file != nil else { continue }
      if let lineless, found.function?.hasPrefix("Heddle.") == true {
        // Who called it is this library: its name says more than our line.
        site.function = lineless
        return site
      }
      site.function = found.function
      site.file = found.file
      site.line = found.line
      site.isCaller = index > 0
      return site
    }
    // Some functions of the runtime keep no frame pointer: then the first word of the stack that a call in a source may have left.
    for word in note.words {
      guard let path = word.path, let found = look(Place(path: path, offset: word.fileOffset &- 1), afterCall: true), found.file != nil
      else {
        continue
      }
      site.function = found.function
      site.file = found.file
      site.line = found.line
      site.isCaller = true
      break
    }
    return site
  }

  /// - Parameter afterCall: nil unless a call ends there.
  private func look(_ place: Place, afterCall: Bool = false) -> Found? {
    let (known, image) = state.withLock { ($0.found[place], $0.images[place.path]) }
    if let known { return known }
    let information = image ?? LoadedFile.open(place.path).flatMap(DebugInformation.init)
    let isPossible = !afterCall || information?.isAfterCall(fileOffset: place.offset &+ 1) == true
    let found = isPossible ? information.flatMap { Self.look(place.offset, in: $0) } : nil
    state.withLock { state in
      if state.images.count >= Self.limit { state.images = [:] }
      if state.found.count >= Self.limit { state.found = [:] }
      state.images[place.path] = .some(information)
      if isPossible { state.found[place] = found }
    }
    return found
  }
  private static func look(_ offset: UInt64, in information: DebugInformation) -> Found? {
    guard let address = information.address(ofFileOffset: offset) else { return nil }
    var found = Found(address: address)
    let frames = information.frames(at: address)
    for frame in frames {
      if frame.name.hasPrefix(failureMark) {
        found.reason = found.reason ?? String(frame.name.dropFirst(failureMark.count))
      } else if let file = frame.file, frame.line > 0, !file.hasSuffix("<compiler-generated>") {
        found.function = name(frame.linkageName.isEmpty ? frame.name : frame.linkageName)
        found.file = file
        found.line = frame.line
        break
      }
    }
    if found.file == nil {
      let names = frames.lazy.filter { !$0.name.hasPrefix(failureMark) && !$0.linkageName.isEmpty }.map { name($0.linkageName) }
      found.lineless = names.first { !$0.hasPrefix("Swift.") && !$0.isEmpty }
    }
    if found.function == nil { found.function = information.symbol(at: address).map(name) }
    return found
  }
  /// What the compiler calls the function that it says a trap is inlined from.
  private static let failureMark = "Swift runtime failure: "

  /// A function as its source has it: parts of an async function, and copies made for some arguments, stand for it.
  static func name(_ symbol: String) -> String {
    var name = Substring(SymbolName.demangled(symbol))
    for mark in ["resume partial function for ", "specialization <"] {
      while let range = name.firstRange(of: mark) {
        let rest = name[range.upperBound...]
        if mark.hasSuffix(" ") {
          name = rest
        } else if let end = rest.firstRange(of: "> of ") {
          name = rest[end.upperBound...]
        } else {
          break
        }
      }
    }
    // `(deep in _227B568D73C39587E4EA733FEABA3522)`: the compiler's name for the file that a private name belongs to.
    while let range = name.firstRange(of: " in _"), let open = name[..<range.lowerBound].lastIndex(of: "("),
      let close = name[range.upperBound...].firstIndex(of: ")"), name[range.upperBound..<close].allSatisfy(\.isHexDigit)
    {
      name = Substring(name[..<open] + name[name.index(after: open)..<range.lowerBound] + name[name.index(after: close)...])
    }
    return String(name)
  }

  /// What the signal itself says.
  private static func reason(of note: DeathNote) -> String? {
    if let sender = note.sender { return note.isOwn || sender <= 0 ? nil : "process \(sender) sent it the signal" }
    let address = "0x" + String(note.address, radix: 16)
    switch note.signal {
    case 7: return "it used memory at \(address) that is not there any more, or not in that place"
    case 8: return note.code == 1 ? "division by zero" : "arithmetic that has no result"
    case 11:
      let distance = note.address > note.stack ? note.address - note.stack : note.stack - note.address
      if distance < stackSlack { return "stack overflow: calls nested too deep, or too much in local variables" }
      if note.code == 0x80 { return "it used an address that cannot exist" }
      if note.address < 4096 { return "it used a null pointer (address \(address))" }
      return "it used memory at \(address) that is not its own"
    default: return nil
    }
  }
  /// A fault this near to the stack pointer is one of the stack.
  ///
  /// Unit: bytes. A function's own frame may be that large.
  private static let stackSlack: UInt64 = 1 << 16
}

extension DeathNote {
  /// Whether the process that crashed sent itself the signal, as `abort` and `raise` do.
  fileprivate var isOwn: Bool { sender == pid }
}
