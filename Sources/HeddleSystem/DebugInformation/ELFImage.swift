/// An executable or library as a file: where its sections lie, and which symbol holds an address.
///
/// 64 bits, low byte first; anything else is refused. Everything in it is checked before it is used.
@safe final class ELFImage: Sendable {
  // SAFETY: `file` keeps the bytes mapped as long as this object lives; they are read only.
  private let file: MappedFile
  /// By name, without those that are compressed.
  private let sections: [String: Range<Int>]
  /// Which addresses the parts of the file have when nothing moves them.
  private let segments: [Segment]

  private struct Segment {
    var file: Range<UInt64>
    var address: UInt64
    var isExecutable: Bool
  }

  /// nil: not such a file.
  init?(_ file: MappedFile) {
    self.file = file
    let bytes = unsafe file.bytes
    var header = unsafe ByteCursor(bytes, in: 0..<bytes.count)
    guard header.number(UInt32.self) == 0x464c_457f, header.byte() == 2, header.byte() == 1 else { return nil }
    header.move(to: 32)
    let segmentTable = header.number(UInt64.self)
    let sectionTable = header.number(UInt64.self)
    header.move(to: 54)
    let segmentSize = Int(header.number(UInt16.self))
    let segmentCount = Int(header.number(UInt16.self))
    let sectionSize = Int(header.number(UInt16.self))
    let sectionCount = Int(header.number(UInt16.self))
    let namesIndex = Int(header.number(UInt16.self))

    var segments: [Segment] = []
    for index in 0..<segmentCount {
      guard let start = Self.place(segmentTable, index, segmentSize, bytes.count) else { return nil }
      var entry = unsafe ByteCursor(bytes, in: start..<bytes.count)
      let kind = entry.number(UInt32.self)
      let flags = entry.number(UInt32.self)
      let offset = entry.number(UInt64.self)
      let address = entry.number(UInt64.self)
      _ = entry.number(UInt64.self)
      let (end, overflows) = offset.addingReportingOverflow(entry.number(UInt64.self))
      if kind == 1 && !overflows { segments.append(Segment(file: offset..<end, address: address, isExecutable: flags & 1 != 0)) }
    }
    self.segments = segments
    firstCodeAddress = segments.filter(\.isExecutable).map(\.address).min() ?? 0

    var headers: [(name: Int, range: Range<Int>)] = []
    for index in 0..<sectionCount {
      guard let start = Self.place(sectionTable, index, sectionSize, bytes.count) else { return nil }
      var entry = unsafe ByteCursor(bytes, in: start..<bytes.count)
      let name = Int(entry.number(UInt32.self))
      let kind = entry.number(UInt32.self)
      let flags = entry.number(UInt64.self)
      _ = entry.number(UInt64.self)
      let offset = entry.number(UInt64.self)
      let (end, overflows) = offset.addingReportingOverflow(entry.number(UInt64.self))
      // 8: it takes no place in the file. 0x800: it is compressed, and nothing here unpacks it.
      let isUsable = kind != 8 && flags & 0x800 == 0 && !overflows && end <= UInt64(bytes.count)
      headers.append((name, isUsable ? Int(offset)..<Int(end) : 0..<0))
    }
    guard headers.indices.contains(namesIndex) else { return nil }
    let names = headers[namesIndex].range
    var sections: [String: Range<Int>] = [:]
    for header in headers where !header.range.isEmpty {
      var name = unsafe ByteCursor(bytes, in: names)
      name.skip(header.name)
      sections[name.text()] = header.range
    }
    self.sections = sections
  }
  private static func place(_ table: UInt64, _ index: Int, _ size: Int, _ limit: Int) -> Int? {
    guard table <= UInt64(limit) else { return nil }
    let start = Int(table) + index * size
    return start + size <= limit ? start : nil
  }

  /// A reader of a section from `offset` on; at the end at once where there is no such section or place.
  func cursor(_ section: String, at offset: Int = 0) -> ByteCursor {
    var cursor = unsafe ByteCursor(file.bytes, in: sections[section] ?? 0..<0)
    cursor.skip(offset)
    return cursor
  }
  /// Where a section begins in the file, since cursors count from there.
  func start(of section: String) -> Int { sections[section]?.lowerBound ?? 0 }

  /// The address, as the file's own tables count, of a byte of the file; nil: it is not loaded.
  func address(ofFileOffset offset: UInt64) -> UInt64? {
    segments.first { $0.file.contains(offset) }.map { $0.address &+ (offset - $0.file.lowerBound) }
  }
  /// The first address of code: what the linker left out is said to lie before it.
  let firstCodeAddress: UInt64

  /// Whether a call ends just before that byte of the file.
  func isAfterCall(fileOffset offset: UInt64) -> Bool {
    guard let end = Int(exactly: offset), end >= 8 else { return false }
    var code = unsafe ByteCursor(file.bytes, in: end - 8..<end)
    let before = (0..<8).map { _ in code.byte() }
    #if arch(arm64)
      // `bl`, or `blr` through a register; the low byte first.
      return before[7] & 0xfc == 0x94 || (before[7] == 0xd6 && before[6] == 0x3f && before[5] & 0xfc == 0)
    #else
      if before[3] == 0xe8 { return true }
      // `call` through a register or memory: 0xff, then a byte whose middle bits are 2; two to seven bytes long.
      return (2...7).contains { before[8 - $0] == 0xff && before[9 - $0] & 0x38 == 0x10 }
    #endif
  }

  /// The name of the function that holds an address, from the symbol table or, where that was stripped, from what is exported.
  func symbol(at address: UInt64) -> String? { symbol(at: address, ".symtab", ".strtab") ?? symbol(at: address, ".dynsym", ".dynstr") }
  private func symbol(at address: UInt64, _ table: String, _ names: String) -> String? {
    var symbols = cursor(table)
    var best: (name: Int, start: UInt64)?
    while !symbols.isAtEnd {
      let name = Int(symbols.number(UInt32.self))
      let kind = symbols.byte() & 0xf
      symbols.skip(1)
      let section = symbols.number(UInt16.self)
      let start = symbols.number(UInt64.self)
      let size = symbols.number(UInt64.self)
      guard kind == 2, section != 0, address >= start, address - start < size else { continue }
      if best.map({ $0.start < start }) ?? true { best = (name, start) }
    }
    guard let best else { return nil }
    var name = cursor(names, at: best.name)
    let text = name.text()
    return text.isEmpty ? nil : text
  }
}
