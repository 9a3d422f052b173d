/// The line program of a unit: which line an address belongs to, and what its files are called.
struct LineTable {
  private let image: ELFImage
  private let folder: String
  private var program: ByteCursor
  private var version: UInt16 = 0
  private var instructionLength: UInt8 = 1
  private var lineBase: Int8 = 0
  private var lineRange: UInt8 = 1
  private var opcodeBase: UInt8 = 10
  private var operandCounts: [UInt8] = []
  private var folders: [String] = []
  private var files: [(name: String, folder: Int)] = []

  /// nil: there is none at `offset`, or of a version that is not read.
  init?(_ image: ELFImage, at offset: Int, folder: String) {
    self.image = image
    self.folder = folder
    var cursor = image.cursor(".debug_line", at: offset)
    var length = UInt64(cursor.number(UInt32.self))
    let is64Bit = length == 0xffff_ffff
    if is64Bit { length = cursor.number(UInt64.self) }
    guard length > 0, length <= UInt64(cursor.end - cursor.position) else { return nil }
    let end = cursor.position + Int(length)
    version = cursor.number(UInt16.self)
    guard (2...5).contains(version) else { return nil }
    if version == 5 { cursor.skip(2) }
    let headerLength = cursor.offset(is64Bit: is64Bit)
    let start = cursor.position.addingReportingOverflow(headerLength)
    guard !start.overflow, start.partialValue >= cursor.position, start.partialValue <= end else { return nil }
    instructionLength = cursor.byte()
    if version >= 4 { cursor.skip(1) }
    cursor.skip(1)
    lineBase = Int8(bitPattern: cursor.byte())
    lineRange = max(1, cursor.byte())
    opcodeBase = max(1, cursor.byte())
    for _ in 1..<max(2, opcodeBase) where opcodeBase > 1 { operandCounts.append(cursor.byte()) }
    program = image.cursor(".debug_line")
    if version == 5 { readNames(&cursor, is64Bit) } else { readOldNames(&cursor) }
    let limited = image.cursor(".debug_line", at: start.partialValue - image.start(of: ".debug_line"))
    program = limited
    programEnd = end
  }
  private var programEnd = 0

  private mutating func readOldNames(_ cursor: inout ByteCursor) {
    folders = [folder]
    while !cursor.isAtEnd {
      let name = cursor.text()
      if name.isEmpty { break }
      folders.append(name)
    }
    files = [("", 0)]  // they are counted from 1
    while !cursor.isAtEnd {
      let name = cursor.text()
      if name.isEmpty { break }
      files.append((name, Int(truncatingIfNeeded: cursor.unsignedLEB())))
      _ = cursor.unsignedLEB()
      _ = cursor.unsignedLEB()
    }
  }
  private mutating func readNames(_ cursor: inout ByteCursor, _ is64Bit: Bool) {
    folders = readEntries(&cursor, is64Bit).map(\.name)
    files = readEntries(&cursor, is64Bit)
  }
  private func readEntries(_ cursor: inout ByteCursor, _ is64Bit: Bool) -> [(name: String, folder: Int)] {
    var formats: [(content: UInt64, form: UInt64)] = []
    for _ in 0..<cursor.byte() { formats.append((cursor.unsignedLEB(), cursor.unsignedLEB())) }
    let count = cursor.unsignedLEB()
    var entries: [(name: String, folder: Int)] = []
    guard !formats.isEmpty else { return [] }
    while UInt64(entries.count) < count, !cursor.isAtEnd {
      var entry = (name: "", folder: 0)
      for format in formats {
        var text: String?
        var number: UInt64 = 0
        switch format.form {
        case Form.string: text = cursor.text()
        case Form.lineStringOffset, Form.stringOffset:
          let offset = cursor.offset(is64Bit: is64Bit)
          var strings = image.cursor(format.form == Form.stringOffset ? ".debug_str" : ".debug_line_str", at: offset)
          text = strings.text()
        case 0x0b: number = UInt64(cursor.byte())
        case 0x05: number = UInt64(cursor.number(UInt16.self))
        case 0x06: number = UInt64(cursor.number(UInt32.self))
        case 0x0f: number = cursor.unsignedLEB()
        case 0x1e: cursor.skip(16)
        default: return entries  // of no known size
        }
        if format.content == 1 { entry.name = text ?? "" } else if format.content == 2 { entry.folder = Int(truncatingIfNeeded: number) }
      }
      entries.append(entry)
    }
    return entries
  }

  /// The path of a file; nil: there is none of that number.
  func file(_ number: Int) -> String? {
    guard files.indices.contains(number), !files[number].name.isEmpty else { return nil }
    let file = files[number]
    if file.name.hasPrefix("/") { return file.name }
    let parent = folders.indices.contains(file.folder) ? folders[file.folder] : ""
    let path = parent.isEmpty ? file.name : "\(parent)/\(file.name)"
    return path.hasPrefix("/") || folder.isEmpty ? path : "\(folder)/\(path)"
  }

  /// The file and line of an address; nil: the table does not hold it.
  func row(at address: UInt64) -> (file: Int, line: Int)? {
    var cursor = program
    var current = Row()
    var before: Row?
    while cursor.position < programEnd {
      let opcode = cursor.byte()
      if opcode >= opcodeBase {
        let adjusted = Int(opcode - opcodeBase)
        current.address &+= UInt64(adjusted / Int(lineRange)) &* UInt64(instructionLength)
        current.line &+= Int(lineBase) + adjusted % Int(lineRange)
        if let row = Self.found(address, before, current) { return row }
        before = current
        continue
      }
      switch opcode {
      case 0:
        let count = Int(truncatingIfNeeded: cursor.unsignedLEB())
        guard count > 0 else { continue }
        let next = cursor.position &+ count
        switch cursor.byte() {
        case 1:
          if let row = Self.found(address, before, current) { return row }
          before = nil
          current = Row()
        case 2: current.address = cursor.number(byteCount: count - 1)
        default: break
        }
        cursor.move(to: next)
      case 1:
        if let row = Self.found(address, before, current) { return row }
        before = current
      case 2: current.address &+= cursor.unsignedLEB() &* UInt64(instructionLength)
      case 3: current.line &+= Int(truncatingIfNeeded: cursor.signedLEB())
      case 4: current.file = Int(truncatingIfNeeded: cursor.unsignedLEB())
      case 8: current.address &+= UInt64((255 - Int(opcodeBase)) / Int(lineRange)) &* UInt64(instructionLength)
      case 9: current.address &+= UInt64(cursor.number(UInt16.self))
      default:
        // Operands that do not matter here: column, statement, block and so on.
        let count = operandCounts.indices.contains(Int(opcode) - 1) ? operandCounts[Int(opcode) - 1] : 0
        for _ in 0..<count { _ = cursor.unsignedLEB() }
      }
    }
    return nil
  }
  private struct Row {
    var address: UInt64 = 0
    var file = 1
    var line = 1
  }
  private static func found(_ address: UInt64, _ before: Row?, _ next: Row) -> (file: Int, line: Int)? {
    guard let before, before.address <= address, address < next.address else { return nil }
    return (before.file, before.line)
  }
}
