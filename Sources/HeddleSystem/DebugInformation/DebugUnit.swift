/// One compilation unit of the debug information: its header, and what its first entry says of the whole.
struct DebugUnit {
  let image: ELFImage
  let format: UnitFormat
  /// Where it begins, its first entry, and its end, in `.debug_info`.
  let start: Int
  let entries: Int
  let end: Int
  let abbreviations: Int
  /// Where its table of abbreviations lies, and how that is to be read.
  struct TableName: Hashable {
    var place: Int
    var format: UnitFormat
  }
  var tableName: TableName { TableName(place: abbreviations, format: format) }
  private(set) var lineTable: Int?
  private(set) var folder = ""
  private var stringOffsetsBase: Int
  private var addressBase = 8
  private var rangeListsBase: Int
  private var baseAddress: UInt64 = 0
  private var root = Entry()

  /// An attribute's value: a number, and the form that says what it means.
  struct Value {
    var form: UInt64
    var number: UInt64
  }
  /// What is read of an entry.
  struct Entry {
    var lowPC: Value?
    var highPC: Value?
    var ranges: Value?
    var name: Value?
    var linkageName: Value?
    var origin: Value?
    var callFile = 0
    var callLine = 0
    fileprivate var lineTable: Value?
    fileprivate var folder: Value?
    fileprivate var stringOffsetsBase: Value?
    fileprivate var addressBase: Value?
    fileprivate var rangeListsBase: Value?
  }

  /// Reads the unit at `start`; nil: there is none, or it is of a kind or version that is not read (`next` says where the one after it is).
  init?(_ image: ELFImage, at start: Int, next: inout Int) {
    let section = image.start(of: ".debug_info")
    var cursor = image.cursor(".debug_info", at: start)
    var length = UInt64(cursor.number(UInt32.self))
    let is64Bit = length == 0xffff_ffff
    if is64Bit { length = cursor.number(UInt64.self) }
    guard length > 0, length <= UInt64(cursor.end - cursor.position) else {
      next = .max
      return nil
    }
    end = cursor.position - section + Int(length)
    next = end
    let version = cursor.number(UInt16.self)
    guard (2...5).contains(version) else { return nil }
    let addressByteCount: Int
    if version == 5 {
      let kind = cursor.byte()
      addressByteCount = Int(cursor.byte())
      abbreviations = cursor.offset(is64Bit: is64Bit)
      guard kind == 1 || kind == 3 else { return nil }  // compile, partial
    } else {
      abbreviations = cursor.offset(is64Bit: is64Bit)
      addressByteCount = Int(cursor.byte())
    }
    guard addressByteCount == 8 else { return nil }
    self.image = image
    self.start = start
    format = UnitFormat(version: version, is64Bit: is64Bit, addressByteCount: addressByteCount)
    entries = cursor.position - section
    // What they are where the unit does not say: behind the section's header.
    stringOffsetsBase = version == 5 ? (is64Bit ? 16 : 8) : 0
    rangeListsBase = is64Bit ? 20 : 12

    // The declaration of the first entry is nearly always the first of its table.
    let code = cursor.unsignedLEB()
    var declarations = image.cursor(".debug_abbrev", at: abbreviations)
    var found: Abbreviation?
    while found == nil, !declarations.isAtEnd {
      let declared = declarations.unsignedLEB()
      guard let abbreviation = Abbreviation(&declarations, code: declared, format: format) else { break }
      if declared == code { found = abbreviation }
    }
    guard let found else { return nil }
    root = read(&cursor, found)
    stringOffsetsBase = root.stringOffsetsBase.map { Int(truncatingIfNeeded: $0.number) } ?? stringOffsetsBase
    addressBase = root.addressBase.map { Int(truncatingIfNeeded: $0.number) } ?? addressBase
    rangeListsBase = root.rangeListsBase.map { Int(truncatingIfNeeded: $0.number) } ?? rangeListsBase
    lineTable = root.lineTable.map { Int(truncatingIfNeeded: $0.number) }
    folder = root.folder.map(text) ?? ""
    baseAddress = root.lowPC.map(address) ?? 0
  }

  // MARK: Entries

  /// Reads the attributes that matter here, and passes over the others.
  func read(_ cursor: inout ByteCursor, _ abbreviation: Abbreviation) -> Entry {
    var entry = Entry()
    for attribute in abbreviation.attributes {
      let value = value(&cursor, attribute.form, attribute.constant)
      switch attribute.name {
      case Attr.lowPC: entry.lowPC = value
      case Attr.highPC: entry.highPC = value
      case Attr.ranges: entry.ranges = value
      case Attr.name: entry.name = value
      case Attr.linkageName, 0x2007: entry.linkageName = value
      case Attr.abstractOrigin, Attr.specification: entry.origin = value
      case Attr.callFile: entry.callFile = Int(truncatingIfNeeded: value.number)
      case Attr.callLine: entry.callLine = Int(truncatingIfNeeded: value.number)
      case Attr.lineTable: entry.lineTable = value
      case Attr.compilationFolder: entry.folder = value
      case Attr.stringOffsetsBase: entry.stringOffsetsBase = value
      case Attr.addressBase: entry.addressBase = value
      case Attr.rangeListsBase: entry.rangeListsBase = value
      default: break
      }
    }
    return entry
  }
  /// Passes over an entry.
  func skip(_ cursor: inout ByteCursor, _ abbreviation: Abbreviation) {
    if let count = abbreviation.fixedByteCount {
      cursor.skip(count)
    } else {
      for attribute in abbreviation.attributes {
        if let count = Form.byteCount(attribute.form, format) { cursor.skip(count) } else { _ = value(&cursor, attribute.form, 0) }
      }
    }
  }
  private func value(_ cursor: inout ByteCursor, _ form: UInt64, _ constant: Int64) -> Value {
    if form == Form.implicitConst { return Value(form: form, number: UInt64(bitPattern: constant)) }
    if form == 0x19 { return Value(form: form, number: 1) }
    if form == 0x1e {
      cursor.skip(16)
      return Value(form: form, number: 0)
    }
    if let count = Form.byteCount(form, format) { return Value(form: form, number: cursor.number(byteCount: count)) }
    switch form {
    case Form.string:
      let place = cursor.position
      cursor.skipText()
      return Value(form: form, number: UInt64(place))
    case 0x0d: return Value(form: form, number: UInt64(bitPattern: cursor.signedLEB()))
    case 0x03: cursor.skip(Int(cursor.number(UInt16.self)))  // block2
    case 0x04: cursor.skip(Int(cursor.number(UInt32.self)))  // block4
    case 0x0a: cursor.skip(Int(cursor.byte()))  // block1
    case 0x09, 0x18: cursor.skip(Int(truncatingIfNeeded: cursor.unsignedLEB()))  // block, exprloc
    case Form.indirect:
      let actual = cursor.unsignedLEB()
      if actual != Form.indirect && actual != Form.implicitConst { return value(&cursor, actual, 0) }
      cursor.move(to: cursor.end)
    case 0x0f, 0x15, 0x1a, 0x1b, 0x22, Form.rangeListIndex: return Value(form: form, number: cursor.unsignedLEB())
    default: cursor.move(to: cursor.end)  // unknown: nothing behind it can be read
    }
    return Value(form: form, number: 0)
  }

  // MARK: Values

  func text(_ value: Value) -> String {
    let offset = Int(truncatingIfNeeded: value.number)
    var cursor: ByteCursor
    switch value.form {
    case Form.string:
      cursor = image.cursor(".debug_info")
      cursor.move(to: offset)
    case Form.stringOffset: cursor = image.cursor(".debug_str", at: offset)
    case Form.lineStringOffset: cursor = image.cursor(".debug_line_str", at: offset)
    case let form where Form.isStringIndex(form):
      guard let place = indexed(offset, format.offsetByteCount, stringOffsetsBase) else { return "" }
      var offsets = image.cursor(".debug_str_offsets", at: place)
      cursor = image.cursor(".debug_str", at: offsets.offset(is64Bit: format.is64Bit))
    default: return ""
    }
    return cursor.text()
  }
  private func address(_ value: Value) -> UInt64 {
    guard Form.isAddressIndex(value.form) else { return value.number }
    return address(index: value.number)
  }
  private func address(index: UInt64) -> UInt64 {
    guard let place = indexed(Int(truncatingIfNeeded: index), 8, addressBase) else { return 0 }
    var cursor = image.cursor(".debug_addr", at: place)
    return cursor.number(UInt64.self)
  }
  /// Where an entry of a table lies; nil: nowhere.
  private func indexed(_ index: Int, _ size: Int, _ base: Int) -> Int? {
    let (product, overflows) = index.multipliedReportingOverflow(by: size)
    let (place, overflows2) = product.addingReportingOverflow(base)
    return index < 0 || overflows || overflows2 || place < 0 ? nil : place
  }
  /// Where the entry lies that a value refers to, in `.debug_info`.
  func reference(_ value: Value) -> Int? {
    if Form.isUnitReference(value.form) {
      let (place, overflows) = start.addingReportingOverflow(Int(truncatingIfNeeded: value.number))
      return overflows ? nil : place
    }
    return value.form == Form.refAddress ? Int(truncatingIfNeeded: value.number) : nil
  }

  // MARK: Addresses

  /// Whether the unit says that it holds the address.
  func contains(_ address: UInt64) -> Bool { contains(address, root) }

  /// Whether an entry's code holds the address.
  func contains(_ address: UInt64, _ entry: Entry) -> Bool {
    if let ranges = entry.ranges { return contains(address, ranges: ranges) }
    guard let low = entry.lowPC.map(self.address), let high = entry.highPC, low >= image.firstCodeAddress, address >= low else {
      return false
    }
    let isAddress = high.form == Form.address || Form.isAddressIndex(high.form)
    return isAddress ? address < self.address(high) : address - low < high.number
  }
  private func contains(_ wanted: UInt64, ranges: Value) -> Bool {
    let first = image.firstCodeAddress
    if format.version < 5 {
      var base = baseAddress
      var list = image.cursor(".debug_ranges", at: Int(truncatingIfNeeded: ranges.number))
      while !list.isAtEnd {
        let low = list.number(UInt64.self)
        let high = list.number(UInt64.self)
        if low == 0 && high == 0 { return false }
        if low == .max { base = high } else if holds(wanted, base &+ low, base &+ high, first) { return true }
      }
      return false
    }
    var place = Int(truncatingIfNeeded: ranges.number)
    if ranges.form == Form.rangeListIndex {
      guard let slot = indexed(place, format.offsetByteCount, rangeListsBase) else { return false }
      var offsets = image.cursor(".debug_rnglists", at: slot)
      place = rangeListsBase &+ offsets.offset(is64Bit: format.is64Bit)
    }
    var base = baseAddress
    var list = image.cursor(".debug_rnglists", at: place)
    while !list.isAtEnd {
      let low: UInt64
      let high: UInt64
      switch list.byte() {
      case 1:  // base_addressx
        base = address(index: list.unsignedLEB())
        continue
      case 2:  // startx_endx
        low = address(index: list.unsignedLEB())
        high = address(index: list.unsignedLEB())
      case 3:  // startx_length
        low = address(index: list.unsignedLEB())
        high = low &+ list.unsignedLEB()
      case 4:  // offset_pair
        low = base &+ list.unsignedLEB()
        high = base &+ list.unsignedLEB()
      case 5:  // base_address
        base = list.number(UInt64.self)
        continue
      case 6:  // start_end
        low = list.number(UInt64.self)
        high = list.number(UInt64.self)
      case 7:  // start_length
        low = list.number(UInt64.self)
        high = low &+ list.unsignedLEB()
      default: return false
      }
      if holds(wanted, low, high, first) { return true }
    }
    return false
  }
  /// Whether a range of code holds the address; what the linker left out is said to lie before the first code.
  private func holds(_ wanted: UInt64, _ low: UInt64, _ high: UInt64, _ first: UInt64) -> Bool {
    low >= first && low <= wanted && wanted < high
  }
}
