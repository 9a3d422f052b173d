import Heddle
import HeddleSystem
import HeddleWire

/// Writes values as CPython's `marshal` does, version 2, one after another into one buffer.
package struct MarshalWriter {
  /// What has been written.
  package private(set) var bytes: [UInt8] = []
  /// The memory that goes beside it.
  private(set) var attachments: [Attachment] = []

  /// There was no memory for so many bytes, so that what was written is not whole; nil: there was.
  ///
  /// Unit: bytes.
  package private(set) var missing: Int?
  /// Whether there is memory for `count` bytes more, which may take as much again while they are made.
  private mutating func hasRoom(for count: Int, doubled: Bool = false) -> Bool {
    let isFit = bytes.capacity - bytes.count >= count && !doubled
    let wanted = max(2 * bytes.capacity, bytes.count + count) + (doubled ? count : 0)
    if missing == nil && !isFit && !PrivateMemory.isThere(wanted) { missing = wanted }
    return missing == nil
  }

  package init() {}
  package init(capacity: Int) { bytes.reserveCapacity(capacity) }

  package mutating func writeNone() { bytes.append(MarshalCode.none) }
  package mutating func write(_ value: Bool) { bytes.append(value ? MarshalCode.true : MarshalCode.false) }

  package mutating func write(_ value: some FixedWidthInteger) {
    if let small = Int32(exactly: value) {
      bytes.append(MarshalCode.int)
      append(UInt32(bitPattern: small))
      return
    }
    var digits: [UInt16] = []
    var rest = value.magnitude
    while rest != 0 {
      digits.append(UInt16(truncatingIfNeeded: rest) & 0x7fff)
      rest >>= 15
    }
    write(digits: digits, isNegative: value < 0)
  }
  /// An integer of any length in decimal.
  ///
  /// - Returns: Whether `decimal` is one, and is not too long.
  package mutating func write(decimal: String) -> Bool {
    if let value = Int(decimal) {
      write(value)
      return true
    }
    guard let (digits, isNegative) = DecimalDigits.parse(decimal) else { return false }
    write(digits: digits, isNegative: isNegative)
    return true
  }
  private mutating func write(digits: [UInt16], isNegative: Bool) {
    bytes.append(MarshalCode.long)
    append(UInt32(bitPattern: Int32(isNegative ? -digits.count : digits.count)))
    for digit in digits {
      bytes.append(UInt8(truncatingIfNeeded: digit))
      bytes.append(UInt8(truncatingIfNeeded: digit >> 8))
    }
  }

  package mutating func write(_ value: Double) {
    bytes.append(MarshalCode.double)
    append(value.bitPattern)
  }
  package mutating func write(_ value: String) {
    let utf8 = value.utf8
    bytes.append(MarshalCode.string)
    append(UInt32(clamping: utf8.count))
    if hasRoom(for: utf8.count) { bytes.append(contentsOf: utf8) }
  }
  /// Text that is already UTF-8, or what `os.fsencode` gave: a byte that is no UTF-8 becomes the lone surrogate that
  /// `os.fsdecode` makes of it, so that a file whose name is not UTF-8 can be opened.
  package mutating func write(fileSystemText text: ArraySlice<UInt8>) {
    let start = bytes.count
    bytes.append(MarshalCode.string)
    append(UInt32(0))
    var rest = text
    while !rest.isEmpty {
      let length = UTF8Text.validPrefixLength(rest)
      bytes.append(contentsOf: rest.prefix(length))
      rest = rest.dropFirst(length)
      if let byte = rest.popFirst() {
        // U+DC00 + byte, as three bytes.
        bytes.append(0xed)
        bytes.append(0xb0 | byte >> 6)
        bytes.append(0x80 | byte & 0x3f)
      }
    }
    patch(UInt32(clamping: bytes.count - start - 5), at: start + 1)
  }
  /// Text in UTF-8 that may hold lone surrogates, three bytes each.
  package mutating func write(encoded text: some Collection<UInt8>) {
    bytes.append(MarshalCode.string)
    append(UInt32(clamping: text.count))
    if hasRoom(for: text.count) { bytes.append(contentsOf: text) }
  }
  package mutating func write(bytes value: some Collection<UInt8>) {
    bytes.append(MarshalCode.bytes)
    append(UInt32(clamping: value.count))
    if hasRoom(for: value.count) { bytes.append(contentsOf: value) }
  }

  /// A list of floats, as one block.
  mutating func write(doubles values: some RandomAccessCollection<Double>) {
    beginList(count: values.count)
    guard hasRoom(for: 9 * values.count, doubled: true) else { return }
    unsafe bytes.append(
      contentsOf: [UInt8](unsafeUninitializedCapacity: values.count * 9) { buffer, count in
        // SAFETY: nine bytes are written for each value, into a buffer of nine times their number.
        for value in values {
          unsafe buffer[count] = MarshalCode.double
          unsafe UnsafeMutableRawBufferPointer(buffer).storeBytes(
            of: value.bitPattern.littleEndian, toByteOffset: count + 1, as: UInt64.self)
          count += 9
        }
      })
  }
  /// A list of integers, as one block where all of them are small.
  mutating func write(integers values: [some FixedWidthInteger]) {
    beginList(count: values.count)
    guard values.allSatisfy({ Int32(exactly: $0) != nil }) else {
      for value in values { write(value) }
      return
    }
    guard hasRoom(for: 5 * values.count, doubled: true) else { return }
    unsafe bytes.append(
      contentsOf: [UInt8](unsafeUninitializedCapacity: values.count * 5) { buffer, count in
        // SAFETY: five bytes are written for each value, into a buffer of five times their number.
        for value in values {
          unsafe buffer[count] = MarshalCode.int
          unsafe UnsafeMutableRawBufferPointer(buffer).storeBytes(
            of: Int32(truncatingIfNeeded: value).littleEndian, toByteOffset: count + 1, as: Int32.self)
          count += 5
        }
      })
  }

  /// `count` values must follow.
  package mutating func beginList(count: Int) {
    bytes.append(MarshalCode.list)
    append(UInt32(clamping: count))
  }
  /// Any number of values may follow; `setCount` says then how many, at the place that is returned.
  package mutating func beginListOfUnknownCount() -> Int {
    beginList(count: 0)
    return bytes.count - 4
  }
  package mutating func setCount(_ count: Int, at mark: Int) { patch(UInt32(clamping: count), at: mark) }
  /// `count` values must follow.
  package mutating func beginTuple(count: Int) {
    bytes.append(MarshalCode.tuple)
    append(UInt32(clamping: count))
  }
  /// Keys and values must follow, then `endDictionary`.
  package mutating func beginDictionary() { bytes.append(MarshalCode.dictionary) }
  package mutating func endDictionary() { bytes.append(MarshalCode.end) }
  /// A value that is marshal already.
  package mutating func append(marshaled value: some Collection<UInt8>) {
    if hasRoom(for: value.count) { bytes.append(contentsOf: value) }
  }

  /// - Throws: `EncodingError` for a number that is none, and where it nests deeper than `MarshalLimit.depth`, which neither this stack nor
  ///   Python's need bear.
  package mutating func write(_ value: PythonValue, depth: Int = 0) throws {
    guard depth <= MarshalLimit.depth else {
      throw EncodingError.invalidValue(
        PythonValue.none,
        .init(codingPath: [], debugDescription: "the value nests deeper than \(MarshalLimit.depth); pass something flatter"))
    }
    switch value {
    case .none: writeNone()
    case .bool(let value): write(value)
    case .int(let value): write(value)
    case .bigInteger(let decimal):
      guard write(decimal: decimal) else {
        throw EncodingError.invalidValue(
          PythonValue.none, .init(codingPath: [], debugDescription: "\"\(decimal.prefix(40))\" is no decimal integer, or too long"))
      }
    case .double(let value): write(value)
    case .string(let value): write(value)
    case .bytes(let value): write(bytes: value)
    case .list(let values):
      beginList(count: values.count)
      for value in values { try write(value, depth: depth + 1) }
    case .dictionary(let pairs):
      beginDictionary()
      for pair in pairs {
        try write(pair.key, depth: depth + 1)
        try write(pair.value, depth: depth + 1)
      }
      endDictionary()
    }
  }

  /// A part of memory, which the bridge makes a `memoryview` of.
  mutating func write(_ part: SharedPart) {
    let letter = ElementFormat.letter(of: part.element).map { String(UnicodeScalar($0)) } ?? ""
    let numbers = [
      ("sharedMemory", attachments.place(of: part.memory)), ("offset", part.offset), ("count", part.count), ("stride", part.stride),
    ]
    bytes.append(MarshalCode.array)
    append(UInt32(numbers.count + 1))
    for (name, number) in numbers {
      beginTuple(count: 2)
      write(name)
      write(number)
    }
    beginTuple(count: 2)
    write("format")
    write(letter)
  }

  private mutating func append(_ value: some FixedWidthInteger & UnsignedInteger) {
    for shift in stride(from: 0, to: value.bitWidth, by: 8) { bytes.append(UInt8(truncatingIfNeeded: value >> shift)) }
  }
  private mutating func patch(_ value: UInt32, at offset: Int) {
    for index in 0..<4 { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> UInt32(8 * index)) }
  }
}
