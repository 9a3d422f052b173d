/// What an entry of the debug information consists of: its tag, and which attributes follow in which form.
struct Abbreviation {
  var tag: UInt64
  var hasChildren: Bool
  var attributes: [Attribute]
  /// Bytes of an entry, where each of its forms always takes as many: most entries are skipped in one step.
  var fixedByteCount: Int?

  struct Attribute {
    var name: UInt64
    var form: UInt64
    /// The value of the form that keeps it here.
    var constant: Int64
  }

  /// Reads the next declaration; nil at the end of the table.
  init?(_ cursor: inout ByteCursor, code: UInt64, format: UnitFormat) {
    guard code != 0, !cursor.isAtEnd else { return nil }
    tag = cursor.unsignedLEB()
    hasChildren = cursor.byte() != 0
    attributes = []
    var byteCount: Int? = 0
    while !cursor.isAtEnd {
      let name = cursor.unsignedLEB()
      let form = cursor.unsignedLEB()
      let constant = form == Form.implicitConst ? cursor.signedLEB() : 0
      if name == 0 && form == 0 { break }
      attributes.append(Attribute(name: name, form: form, constant: constant))
      byteCount = byteCount.flatMap { sum in Form.byteCount(form, format).map { sum + $0 } }
    }
    fixedByteCount = byteCount
  }

  /// The table at `offset`, by code.
  static func table(_ cursor: ByteCursor, format: UnitFormat) -> [UInt64: Abbreviation] {
    var cursor = cursor
    var table: [UInt64: Abbreviation] = [:]
    while !cursor.isAtEnd {
      let code = cursor.unsignedLEB()
      guard let abbreviation = Abbreviation(&cursor, code: code, format: format) else { break }
      table[code] = abbreviation
    }
    return table
  }
}

/// How the numbers of a unit are written.
struct UnitFormat: Hashable {
  var version: UInt16
  /// Offsets take eight bytes instead of four.
  var is64Bit: Bool
  /// Bytes of an address.
  var addressByteCount: Int
  var offsetByteCount: Int { is64Bit ? 8 : 4 }
}

/// The standard's numbers for forms (DWARF 5, table 7.6), as far as they are told apart here.
enum Form {
  static let address: UInt64 = 0x01
  static let string: UInt64 = 0x08
  static let stringOffset: UInt64 = 0x0e
  static let lineStringOffset: UInt64 = 0x1f
  static let indirect: UInt64 = 0x16
  static let refAddress: UInt64 = 0x10
  static let sectionOffset: UInt64 = 0x17
  static let implicitConst: UInt64 = 0x21
  static let rangeListIndex: UInt64 = 0x23

  static func isStringIndex(_ form: UInt64) -> Bool { form == 0x1a || (0x25...0x28).contains(form) }
  static func isAddressIndex(_ form: UInt64) -> Bool { form == 0x1b || (0x29...0x2c).contains(form) }
  static func isUnitReference(_ form: UInt64) -> Bool { (0x11...0x15).contains(form) }

  /// Bytes that a form takes; nil: it depends on the value.
  static func byteCount(_ form: UInt64, _ format: UnitFormat) -> Int? {
    switch form {
    case 0x19, implicitConst: 0  // flag_present
    case 0x0b, 0x0c, 0x11, 0x25, 0x29: 1  // data1, flag, ref1, strx1, addrx1
    case 0x05, 0x12, 0x26, 0x2a: 2  // data2, ref2, strx2, addrx2
    case 0x27, 0x2b: 3  // strx3, addrx3
    case 0x06, 0x13, 0x1c, 0x28, 0x2c: 4  // data4, ref4, ref_sup4, strx4, addrx4
    case 0x07, 0x14, 0x20, 0x24: 8  // data8, ref8, ref_sig8, ref_sup8
    case 0x1e: 16  // data16
    case address: format.addressByteCount
    case stringOffset, sectionOffset, lineStringOffset, 0x1d: format.offsetByteCount  // 0x1d: strp_sup
    case refAddress: format.version <= 2 ? format.addressByteCount : format.offsetByteCount
    default: nil
    }
  }
}

/// The standard's numbers for tags and attributes, those that are read here.
enum Tag {
  static let compileUnit: UInt64 = 0x11
  static let inlinedSubroutine: UInt64 = 0x1d
  static let subprogram: UInt64 = 0x2e
}
enum Attr {
  static let name: UInt64 = 0x03
  static let lineTable: UInt64 = 0x10
  static let lowPC: UInt64 = 0x11
  static let highPC: UInt64 = 0x12
  static let compilationFolder: UInt64 = 0x1b
  static let abstractOrigin: UInt64 = 0x31
  static let specification: UInt64 = 0x47
  static let ranges: UInt64 = 0x55
  static let callFile: UInt64 = 0x58
  static let callLine: UInt64 = 0x59
  static let linkageName: UInt64 = 0x6e
  static let stringOffsetsBase: UInt64 = 0x72
  static let addressBase: UInt64 = 0x73
  static let rangeListsBase: UInt64 = 0x74
}
