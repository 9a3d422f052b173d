import HeddleWire

/// Where the values lie in marshal's bytes, found in one pass that trusts nothing.
///
/// After it every length, count and nesting is known to be right, so that what reads the values can go anywhere without looking again.
/// Bytes of a worker gone mad end in a `DecodingError`; a count of billions allocates nothing, as each value must be there in bytes.
package final class MarshalIndex {
  /// A value: where its code stands, and the number of the value that follows it and all that it holds.
  package struct Entry {
    package let offset: UInt32
    package fileprivate(set) var next: UInt32
  }
  package let bytes: [UInt8]
  package private(set) var entries: [Entry] = []
  /// What came beside the value.
  var attachments: [Attachment] = []
  /// Is told what no honest worker can have sent.
  var accuse: ((String) -> Void)?

  /// Reads `bytes`, which must hold one value and nothing else.
  ///
  /// - Throws: `DecodingError.dataCorrupted` with a sentence.
  package init(_ bytes: [UInt8], depth: Int = MarshalLimit.depth) throws {
    self.bytes = bytes
    guard bytes.count <= MarshalLimit.byteCount else { throw Self.corrupted("the value has more than 4 GiB") }
    var open: [Open] = []
    var offset = 0
    repeat {
      guard offset < bytes.count else { throw Self.corrupted("the value ends too early") }
      let code = bytes[offset]
      if code == MarshalCode.end, case .dictionary(let atKey)? = open.last?.rest {
        guard atKey else { throw Self.corrupted("a dictionary has a key without a value") }
        offset += 1
        entries[open.removeLast().entry].next = UInt32(entries.count)
        Self.closeFinished(&open, &entries)
        continue
      }
      if let last = open.indices.last { open[last].rest.advance() }
      let number = entries.count
      entries.append(Entry(offset: UInt32(offset), next: UInt32(number + 1)))
      var rest: Open.Rest?
      (offset, rest) = try value(code: code, at: offset)
      if let rest {
        guard open.count < depth else { throw Self.corrupted("the value nests deeper than \(depth)") }
        open.append(Open(entry: number, rest: rest))
      }
      Self.closeFinished(&open, &entries)
    } while !open.isEmpty
    guard offset == bytes.count else { throw Self.corrupted("\(bytes.count - offset) bytes follow the value") }
  }

  /// A list or dictionary that is being read.
  private struct Open {
    enum Rest {
      case values(Int)
      /// Whether a key, and not a value, comes next.
      case dictionary(atKey: Bool)

      mutating func advance() {
        switch self {
        case .values(let count): self = .values(count - 1)
        case .dictionary(let atKey): self = .dictionary(atKey: !atKey)
        }
      }
      var isFinished: Bool { if case .values(0) = self { true } else { false } }
    }
    let entry: Int
    var rest: Rest
  }
  private static func closeFinished(_ open: inout [Open], _ entries: inout [Entry]) {
    while let last = open.last, last.rest.isFinished {
      open.removeLast()
      entries[last.entry].next = UInt32(entries.count)
    }
  }

  /// Where the value's own bytes end, and what it holds where it holds others.
  private func value(code: UInt8, at offset: Int) throws -> (end: Int, rest: Open.Rest?) {
    switch code {
    case MarshalCode.none, MarshalCode.true, MarshalCode.false: return (offset + 1, nil)
    case MarshalCode.int: return (try end(after: 4, at: offset + 1), nil)
    case MarshalCode.double: return (try end(after: 8, at: offset + 1), nil)
    case MarshalCode.dictionary: return (offset + 1, .dictionary(atKey: true))
    case MarshalCode.long:
      _ = try end(after: 4, at: offset + 1)
      let count = Int(Int32(bitPattern: word(at: offset + 1)).magnitude)
      let end = try end(after: 2 * count, at: offset + 5)
      for index in 0..<count where digit(index, at: offset) > 0x7fff { throw Self.corrupted("an integer has a digit of 16 bits") }
      guard count == 0 || digit(count - 1, at: offset) != 0 else { throw Self.corrupted("an integer starts with zeros") }
      return (end, nil)
    case MarshalCode.string, MarshalCode.bytes: return (try end(after: count(at: offset), at: offset + 5), nil)
    case MarshalCode.list, MarshalCode.tuple, MarshalCode.set, MarshalCode.frozenSet:
      let count = try count(at: offset)
      // Every value takes at least a byte.
      _ = try end(after: count, at: offset + 5)
      return (offset + 5, .values(count))
    default:
      throw Self.corrupted(
        "the value holds a \(MarshalCode.typeName(code)), which has no counterpart; return numbers, text, bytes, lists or dictionaries")
    }
  }
  private func end(after length: Int, at offset: Int) throws -> Int {
    guard length <= bytes.count - offset else { throw Self.corrupted("the value ends too early") }
    return offset + length
  }
  private func count(at offset: Int) throws -> Int {
    _ = try end(after: 4, at: offset + 1)
    let count = Int32(bitPattern: word(at: offset + 1))
    guard count >= 0 else { throw Self.corrupted("a length is negative") }
    return Int(count)
  }

  private static func corrupted(_ sentence: String) -> DecodingError {
    .dataCorrupted(.init(codingPath: [], debugDescription: sentence))
  }
}

// MARK: Values, by their number

extension MarshalIndex {
  /// The value that holds all others.
  package static var root: Int { 0 }

  package func code(_ entry: Int) -> UInt8 { bytes[Int(entries[entry].offset)] }
  /// The number of the value after this one and all that it holds.
  package func next(_ entry: Int) -> Int { Int(entries[entry].next) }

  /// The bytes of a `str` (UTF-8 with surrogates) or of a `bytes`.
  package func content(_ entry: Int) -> ArraySlice<UInt8> {
    let offset = Int(entries[entry].offset)
    return bytes[(offset + 5)..<(offset + 5 + Int(word(at: offset + 1)))]
  }
  /// The bytes of a value and all that it holds.
  package func ownBytes(_ entry: Int) -> ArraySlice<UInt8> { bytes[Int(entries[entry].offset)..<end(entry)] }
  private func end(_ entry: Int) -> Int {
    let offset = Int(entries[entry].offset)
    switch code(entry) {
    case MarshalCode.none, MarshalCode.true, MarshalCode.false: return offset + 1
    case MarshalCode.int: return offset + 5
    case MarshalCode.double: return offset + 9
    case MarshalCode.long: return offset + 5 + 2 * Int(Int32(bitPattern: word(at: offset + 1)).magnitude)
    case MarshalCode.string, MarshalCode.bytes: return offset + 5 + Int(word(at: offset + 1))
    default: break
    }
    var last: Int?
    var child = entry + 1
    while child < next(entry) {
      last = child
      child = next(child)
    }
    let isDictionary = code(entry) == MarshalCode.dictionary
    return (last.map(end) ?? offset + (isDictionary ? 1 : 5)) + (isDictionary ? 1 : 0)
  }
  /// How many values a list, tuple or set holds.
  package func count(_ entry: Int) -> Int { Int(word(at: Int(entries[entry].offset) + 1)) }
  package func double(_ entry: Int) -> Double {
    let offset = Int(entries[entry].offset) + 1
    return Double(bitPattern: UInt64(word(at: offset)) | UInt64(word(at: offset + 4)) << 32)
  }
  /// An `int`, where it fits.
  package func integer<I: FixedWidthInteger>(_ entry: Int, as type: I.Type = I.self) -> I? {
    let offset = Int(entries[entry].offset)
    let head = Int32(bitPattern: word(at: offset + 1))
    if bytes[offset] == MarshalCode.int { return I(exactly: head) }
    let count = Int(head.magnitude)
    // Eight digits are 120 bits, nine are 135.
    guard I.bitWidth >= 128 else {
      guard count <= 8 else { return nil }
      var value: Int128 = 0
      for index in (0..<count).reversed() { value = value << 15 | Int128(digit(index, at: offset)) }
      return I(exactly: head < 0 ? -value : value)
    }
    guard count <= 9 else { return nil }
    var value: I = 0
    for index in (0..<count).reversed() {
      let digit = I(digit(index, at: offset))
      let (product, high) = value.multipliedReportingOverflow(by: 1 << 15)
      let (sum, overflow) = head < 0 ? product.subtractingReportingOverflow(digit) : product.addingReportingOverflow(digit)
      guard !high, !overflow else { return nil }
      value = sum
    }
    return value
  }
  /// An `int` in decimal; nil where it is longer than `MarshalLimit.integerDigits`.
  package func decimal(_ entry: Int) -> String? {
    if let value = integer(entry, as: Int.self) { return String(value) }
    let offset = Int(entries[entry].offset)
    let count = Int32(bitPattern: word(at: offset + 1))
    guard count.magnitude <= MarshalLimit.integerDigits else { return nil }
    return DecimalDigits.text(digits: (0..<Int(count.magnitude)).map { digit($0, at: offset) }, isNegative: count < 0)
  }
  /// An `int` as the nearest floating-point number; infinite where there is none.
  package func integerAsDouble(_ entry: Int) -> Double {
    if let value = integer(entry, as: Int.self) { return Double(value) }
    // Decimal text is rounded once; digit by digit it would be rounded many times. Past 10^309 it is infinite anyway.
    let offset = Int(entries[entry].offset)
    let count = Int32(bitPattern: word(at: offset + 1))
    guard count.magnitude < 80 else { return count < 0 ? -.infinity : .infinity }
    return decimal(entry).flatMap(Double.init) ?? .nan
  }

  private func digit(_ index: Int, at offset: Int) -> UInt16 {
    let place = offset + 5 + 2 * index
    return UInt16(bytes[place]) | UInt16(bytes[place + 1]) << 8
  }
  private func word(at offset: Int) -> UInt32 {
    UInt32(bytes[offset]) | UInt32(bytes[offset + 1]) << 8 | UInt32(bytes[offset + 2]) << 16 | UInt32(bytes[offset + 3]) << 24
  }
}
