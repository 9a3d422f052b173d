import Glibc
import Heddle

/// The ways in which Swift code traps, each on a line of its own that the error has to name.
enum Trap: String, Codable, CaseIterable {
  case index, overflow, missing, division, range, conversion, precondition, shift, forcedTry, cast, fatal, pointer, recursion, abort
  /// Whether the reason is known without debug information: the runtime prints it, or the signal says it.
  var speaksForItself: Bool { [.forcedTry, .cast, .fatal, .pointer, .recursion, .abort].contains(self) }
  /// What the error must say in debug and in release.
  var words: [String] {
    switch self {
    case .index: ["Index out of range"]
    case .overflow: ["overflow"]
    case .missing: ["nil"]
    case .division: ["Division by zero", "division by zero"]
    case .range: ["Range requires lowerBound <= upperBound"]
    case .conversion: ["Not enough bits", "Negative value is not representable", "not representable"]
    case .precondition: ["precondition failure", "Precondition failed"]
    case .shift: ["nil"]
    case .forcedTry: ["'try!' expression unexpectedly raised an error"]
    case .cast: ["Could not cast value"]
    case .fatal: ["the sky is falling"]
    case .pointer: ["null pointer"]
    case .recursion: ["stack overflow"]
    case .abort: [""]
    }
  }
}
/// The line of the first trap below.
private let firstLine = #line + 6
struct Trapping: Job {
  var trap: Trap
  var number: Int
  func run() async throws -> Int {
    switch trap {
    case .index: return [1, 2, 3][number]
    case .overflow: return Int.max - 5 + number
    case .missing: return (number > 5 ? nil : number)!
    case .division: return 7 / (number - 9)
    case .range: return (number..<3).count
    case .conversion: return Int(UInt8(number * 100))
    case .precondition: precondition(number < 5)
    case .shift: return optional(number)!
    case .forcedTry: return try! fails(number)
    case .cast: return (anything(number) as! [Int]).count
    case .fatal: fatalError("the sky is falling")
    case .pointer: return UnsafePointer<Int>(bitPattern: number - 1)!.pointee
    case .recursion: return deep(number)
    case .abort: Glibc.abort()
    }
    return number
  }
}
@inline(never) private func optional(_ number: Int) -> Int? { number == 9 ? nil : number }
@inline(never) private func fails(_ number: Int) throws -> Int { throw Refusal(reason: "no", code: number) }
@inline(never) private func anything(_ number: Int) -> Any { number }
@inline(never) private func deep(_ number: Int) -> Int {
  // Nothing that an optimizer turns into a loop.
  let below = deep(number &+ 1)
  return below == Int(getpid()) ? number : below &* 3 ^ number
}

/// Whether this executable has neither debug information nor symbols (Scripts/check-outside.sh stripped).
private let isStripped = getenv("HEDDLE_OUTSIDE_STRIPPED") != nil

/// A crash says what it was and where, in every way of building.
func checkCrashes(_ pool: ProcessPoolExecutor) async {
  for trap in Trap.allCases {
    await check("crashes: \(trap) says what it was and where") {
      do { _ = try await pool.submit(Trapping(trap: trap, number: 9)).value } catch let error as JobError {
        report("       \(error.message)")
        try expect(error.code, .workerDied)
        try expect(isStripped && !trap.speaksForItself || trap.words.contains { error.message.contains($0) }, "\(error)")
        try expect(error.ran ?? .seconds(99) < .seconds(10), "it ran \(String(describing: error.ran))")
        try expect((error.peakMemory ?? 0) > 1 << 20 && error.workerPID != nil && error.attempt == 1)
        let site = error.crashSite
        // In debug builds the standard library's own code traps, called from ours.
        let isElsewhere = site?.isCaller == true || [.cast, .fatal, .forcedTry, .abort].contains(trap)
        try expect(site?.module?.hasSuffix(isStripped ? "OutsideStripped" : "Outside") == true || isElsewhere, "\(site as Any)")
        // A strip takes function and source away, but never module and address.
        if isStripped {
          try expect(site?.module != nil && (site?.address ?? 0) > 0 && site?.file == nil && site?.line == nil, "\(site as Any)")
          if let site, !isElsewhere { try expect(error.message.contains(String(site.address!, radix: 16)), error.message) }
          return
        }
        // What libc does without frame pointers is one call further out than it looks, and that is the caller of an inlined function.
        if trap == .abort || trap == .cast { return }
        try expect(site?.file?.hasSuffix("Outside/Crashes.swift") == true, "\(site as Any)")
        if trap == .recursion { return try expect(site?.function?.contains("deep") == true) }
        try expect(site?.function?.contains("Trapping.run()") == true, "\(site as Any)")
        try expect(site?.line, line(of: trap))
      }
    }
  }
}
/// One item of a chunk crashes: the others have their outputs, and the error names the job and its source, in release builds not always the line.
func checkCrashesInChunks(_ pool: ProcessPoolExecutor) async {
  await check("crashes: an item of a chunk says what it was and in which function") {
    var outputs = 0
    var errors: [JobError] = []
    let jobs = (0..<2000).map { Trapping(trap: .division, number: $0 == 1009 ? 9 : 10 + $0) }
    for try await result in pool.map(jobs).results {
      switch result {
      case .success: outputs += 1
      case .failure(let error): if let error = error as? JobError { errors.append(error) } else { throw error }
      }
    }
    try expect(outputs, 1999)
    try expect(errors.count, 1)
    let site = errors.first?.crashSite
    report("       \(errors.first?.message ?? "")")
    if isStripped { return }
    try expect(errors[0].message.lowercased().contains("division by zero"), errors[0].message)
    try expect(site?.function?.contains("Trapping.run()") == true, "\(site as Any)")
    try expect(site?.file.map { $0.hasSuffix("Outside/Crashes.swift") } ?? true, "\(site as Any)")
  }
}
private func line(of trap: Trap) -> Int {
  // They stand one below the other, in the order of the declaration.
  firstLine + Trap.allCases.firstIndex(of: trap)!
}
