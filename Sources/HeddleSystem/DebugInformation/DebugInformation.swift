/// The debug information of an executable or library, for looking up where an address lies.
///
/// DWARF 4 and 5 as compilers for Linux write it. It is read where it lies, nothing is indexed: a look-up takes about a millisecond, and
/// happens when a worker has died. A file that is damaged gives less, or nonsense, and never a trap.
public final class DebugInformation: Sendable {
  private let image: ELFImage

  /// A function that an address lies in: itself, or one that was inlined there.
  public struct Frame: Sendable, Hashable {
    /// The function's name as the source has it; "" where it is not known.
    public var name: String
    /// The name that the linker knows; "" where it is the same or not known.
    public var linkageName: String
    /// The path of the source file, where the address lies there; nil where it is not known.
    public var file: String?
    /// The line, from 1; 0 where it is not known.
    public var line: Int
    /// Whether its code lies in the one after it.
    public var isInlined: Bool
  }

  /// nil: not an executable or library of 64 bits.
  public init?(_ file: MappedFile) {
    guard let image = ELFImage(file) else { return nil }
    self.image = image
  }

  /// The address, as the tables count, of a byte of the file; nil: it is not loaded.
  public func address(ofFileOffset offset: UInt64) -> UInt64? { image.address(ofFileOffset: offset) }
  /// The name of the symbol that holds an address, as the linker knows it.
  public func symbol(at address: UInt64) -> String? { image.symbol(at: address) }

  /// Whether a call ends just before that byte of the file, so that it may return there.
  public func isAfterCall(fileOffset offset: UInt64) -> Bool { image.isAfterCall(fileOffset: offset) }

  /// The functions that an address lies in, the innermost first; empty where there is no debug information of it.
  public func frames(at address: UInt64) -> [Frame] {
    var next = 0
    var tables: Tables = [:]
    while next < .max {
      let start = next
      let unit = DebugUnit(image, at: start, next: &next)
      guard next > start else { return [] }
      guard let unit, unit.contains(address) else { continue }
      let chain = chain(of: address, in: unit, &tables)
      guard !chain.isEmpty else { continue }
      return frames(chain, address, unit, &tables)
    }
    return []
  }

  /// The tables of abbreviations that a look-up has read: most of its entries share one.
  private typealias Tables = [DebugUnit.TableName: [UInt64: Abbreviation]]
  private func table(of unit: DebugUnit, _ tables: inout Tables) -> [UInt64: Abbreviation] {
    if let table = tables[unit.tableName] { return table }
    let table = Abbreviation.table(image.cursor(".debug_abbrev", at: unit.abbreviations), format: unit.format)
    tables[unit.tableName] = table
    return table
  }

  /// The entries that hold the address, from the function to what was inlined last.
  private func chain(of address: UInt64, in unit: DebugUnit, _ tables: inout Tables) -> [DebugUnit.Entry] {
    let table = table(of: unit, &tables)
    let end = unit.end + image.start(of: ".debug_info")
    var cursor = image.cursor(".debug_info", at: unit.entries)
    var chain: [DebugUnit.Entry] = []
    var depth = 0
    /// The depth of the function; what lies deeper belongs to it.
    var functionDepth = 0
    while cursor.position < end {
      let code = cursor.unsignedLEB()
      if code == 0 {
        depth -= 1
        if depth <= 0 || (!chain.isEmpty && depth <= functionDepth) { break }
        continue
      }
      guard let abbreviation = table[code] else { break }
      if abbreviation.tag == Tag.subprogram || (abbreviation.tag == Tag.inlinedSubroutine && !chain.isEmpty) {
        let entry = unit.read(&cursor, abbreviation)
        if unit.contains(address, entry) {
          if abbreviation.tag == Tag.subprogram {
            // A local function's entry may lie in that of the function around it.
            chain = [entry]
            functionDepth = depth
            if !abbreviation.hasChildren { break }
          } else {
            chain.append(entry)
          }
        } else if !chain.isEmpty && depth <= functionDepth {
          break
        }
      } else {
        unit.skip(&cursor, abbreviation)
        if !chain.isEmpty && depth <= functionDepth { break }
      }
      if abbreviation.hasChildren { depth += 1 }
    }
    return chain
  }

  private func frames(_ chain: [DebugUnit.Entry], _ address: UInt64, _ unit: DebugUnit, _ tables: inout Tables) -> [Frame] {
    let lines = unit.lineTable.flatMap { LineTable(image, at: $0, folder: unit.folder) }
    let row = lines?.row(at: address)
    var file = row.flatMap { lines?.file($0.file) }
    var line = row?.line ?? 0
    var frames: [Frame] = []
    for (index, entry) in chain.enumerated().reversed() {
      let names = names(of: entry, in: unit, &tables)
      frames.append(Frame(name: names.name, linkageName: names.linkageName, file: file, line: line, isInlined: index > 0))
      file = lines?.file(entry.callFile)
      line = entry.callLine
    }
    return frames
  }
  /// An entry's names, or those of the entry that it is a copy or a definition of.
  private func names(of entry: DebugUnit.Entry, in unit: DebugUnit, _ tables: inout Tables) -> (name: String, linkageName: String) {
    var entry = entry
    var unit = unit
    // A copy of a definition of a declaration: no compiler goes further.
    for _ in 0..<4 {
      let name = entry.name.map(unit.text) ?? ""
      let linkageName = entry.linkageName.map(unit.text) ?? ""
      if !name.isEmpty || !linkageName.isEmpty { return (name, linkageName) }
      guard let place = entry.origin.flatMap(unit.reference) else { break }
      if place < unit.start || place >= unit.end {
        guard let other = self.unit(holding: place) else { break }
        unit = other
      }
      var cursor = image.cursor(".debug_info", at: place)
      let code = cursor.unsignedLEB()
      guard let abbreviation = table(of: unit, &tables)[code] else { break }
      entry = unit.read(&cursor, abbreviation)
    }
    return ("", "")
  }
  private func unit(holding place: Int) -> DebugUnit? {
    var next = 0
    while next < .max {
      let start = next
      let unit = DebugUnit(image, at: start, next: &next)
      guard next > start else { return nil }
      if let unit, place >= unit.start, place < unit.end { return unit }
    }
    return nil
  }
}
