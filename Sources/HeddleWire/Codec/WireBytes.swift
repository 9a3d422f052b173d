/// Bytes that somebody else wrote: every access is checked, none traps.
///
/// The only place of the decoder with a raw pointer. Positions come out of the bytes themselves as four-byte numbers, so sums of a few of
/// them do not overflow an `Int`.
@safe
struct WireBytes {
  /// SAFETY: `count` bytes that the maker keeps alive and unchanged while this value is used.
  private let base: UnsafeRawPointer?
  let count: Int

  static var empty: WireBytes { unsafe WireBytes(UnsafeRawBufferPointer(start: nil, count: 0)) }

  init(_ bytes: UnsafeRawBufferPointer) {
    unsafe base = bytes.baseAddress
    count = bytes.count
  }

  /// Whether `byteCount` bytes follow `position`.
  @inline(__always)
  func hold(_ byteCount: Int, at position: Int) -> Bool {
    position >= 0 && byteCount >= 0 && position <= count && byteCount <= count &- position
  }

  @inline(__always)
  func byte(at position: Int) throws(ReadFailure) -> UInt8 {
    guard position >= 0, position < count, let base = unsafe base else { throw .truncated(position) }
    return unsafe base.load(fromByteOffset: position, as: UInt8.self)
  }

  @inline(__always)
  func tag(at position: Int) throws(ReadFailure) -> WireTag {
    let byte = try byte(at: position)
    guard let tag = WireTag(byte) else { throw .corrupted("Byte \(position) is \(byte), which is no tag.") }
    return tag
  }

  /// The bytes of a number, lowest first, whatever their alignment.
  @inline(__always)
  func fixed<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type, at position: inout Int) throws(ReadFailure) -> Number {
    guard hold(MemoryLayout<Number>.size, at: position), let base = unsafe base else { throw .truncated(position) }
    let number = unsafe base.loadUnaligned(fromByteOffset: position, as: Number.self)
    position &+= MemoryLayout<Number>.size
    return Number(littleEndian: number)
  }

  /// The integer of a bare message; nil: it is another message, or none.
  @inline(__always)
  var bareInteger: Int? {
    guard count > 2, let base = unsafe base, unsafe base.load(as: UInt8.self) == WireLimit.bare,
      unsafe base.load(fromByteOffset: 1, as: UInt8.self) == WireTag.integer.rawValue
    else { return nil }
    var position = 2
    guard let zigzag = try? varint(at: &position) else { return nil }
    return Int(Int64(bitPattern: zigzag &>> 1) ^ -Int64(bitPattern: zigzag & 1))
  }

  @inline(__always)
  func varint(at position: inout Int) throws(ReadFailure) -> UInt64 {
    let first = try byte(at: position)
    if first < 0x80 {
      position &+= 1
      return UInt64(first)
    }
    return try longVarint(at: &position)
  }

  private func longVarint(at position: inout Int) throws(ReadFailure) -> UInt64 {
    var value: UInt64 = 0
    var end = position
    for shift in stride(from: 0 as UInt64, to: 64, by: 7) {
      let byte = try byte(at: end)
      end += 1
      // The tenth byte has room for one bit.
      if shift == 63, byte > 1 { break }
      value |= UInt64(byte & 0x7f) &<< shift
      if byte < 0x80 {
        position = end
        return value
      }
    }
    throw .corrupted("The number at byte \(position) has more than 64 bits.")
  }

  /// A varint that counts bytes or elements of at least one byte, so it is at most what remains.
  @inline(__always)
  func boundedVarint(at position: inout Int) throws(ReadFailure) -> Int {
    var end = position
    let number = try varint(at: &end)
    guard number <= UInt64(count &- end) else { throw .corrupted("The length \(number) at byte \(position) is beyond the message's end.") }
    position = end
    return Int(number)
  }

  /// A varint byte count and UTF-8.
  @inline(__always)
  func text(at position: inout Int) throws(ReadFailure) -> String {
    var start = position
    let byteCount = try boundedVarint(at: &start)
    try Room.need(byteCount)
    let bytes = unsafe UnsafeRawBufferPointer(start: base.map { base in unsafe base + start }, count: byteCount)
    // The unspecialised initializer that validates looks up generic metadata each time, the one that repairs does not, and ASCII needs no repair.
    let isASCII = unsafe bytes.allSatisfy { byte in byte < 0x80 }
    let text: String? =
      if isASCII {
        unsafe String(decoding: bytes, as: UTF8.self)
      } else {
        unsafe bytes.withMemoryRebound(to: UInt8.self) { bytes in unsafe String(validating: bytes, as: UTF8.self) }
      }
    guard let text else { throw .corrupted("The string at byte \(position) is not UTF-8.") }
    position = start &+ byteCount
    return text
  }

  /// A part that lies within; callers checked that with `hold`.
  func slice(_ range: Range<Int>) -> WireBytes {
    precondition(range.lowerBound >= 0 && range.upperBound <= count)
    return unsafe WireBytes(UnsafeRawBufferPointer(start: base.map { base in unsafe base + range.lowerBound }, count: range.count))
  }

  /// Copies everything; the destination is at least as large.
  func copy(to destination: UnsafeMutableRawBufferPointer) {
    unsafe destination.copyMemory(from: UnsafeRawBufferPointer(start: base, count: count))
  }

  func equals(_ other: UnsafeRawBufferPointer) -> Bool {
    guard count == other.count else { return false }
    guard let base = unsafe base, let start = other.baseAddress else { return true }
    var place = 0
    while place &+ 8 <= count {
      let mine = unsafe base.loadUnaligned(fromByteOffset: place, as: UInt64.self)
      if unsafe mine != start.loadUnaligned(fromByteOffset: place, as: UInt64.self) { return false }
      place &+= 8
    }
    while place < count {
      let mine = unsafe base.load(fromByteOffset: place, as: UInt8.self)
      if unsafe mine != start.load(fromByteOffset: place, as: UInt8.self) { return false }
      place &+= 1
    }
    return true
  }

  /// Where the value at `position` ends, in constant time.
  @inline(__always)
  func end(ofValueAt position: Int) throws(ReadFailure) -> Int {
    var end = position &+ 1
    switch try tag(at: position) {
    case .null, .no, .yes: break
    case .integer: _ = try varint(at: &end)
    case .float: end &+= 4
    case .unsigned, .double: end &+= 8
    case .wide, .wideUnsigned: end &+= 16
    case .string:
      let byteCount = try boundedVarint(at: &end)
      end &+= byteCount
    case .keyed:
      let byteCount = Int(try fixed(UInt32.self, at: &end))
      end &+= byteCount
    case .unkeyed:
      let byteCount = Int(try fixed(UInt32.self, at: &end))
      end &+= 4 &+ byteCount
    case .block, .segment: end = try blockHead(at: position).end
    }
    guard end <= count else { throw .truncated(position) }
    return end
  }

  /// Reads what stands before the elements of a block.
  func blockHead(at position: Int) throws(ReadFailure) -> BlockHead {
    let isSegment = try tag(at: position) == .segment
    let byte = try byte(at: position + 1)
    guard let kind = BlockKind(rawValue: byte) else { throw .corrupted("Byte \(position + 1) is \(byte), which is no kind of block.") }
    var end = position + 2
    let number = try varint(at: &end)
    // The largest stride is 8, and no memory holds 2^48 bytes.
    guard number < 1 << 45 else { throw .corrupted("The block at byte \(position) says that it has \(number) elements.") }
    let byteCount = Int(number) * kind.stride
    if isSegment {
      let segment = try varint(at: &end)
      guard segment < 1 << 32 else { throw .corrupted("There is no segment \(segment).") }
      return BlockHead(kind: kind, count: Int(number), byteCount: byteCount, place: .segment(Int(segment)), end: end)
    }
    guard hold(byteCount, at: end) else { throw .truncated(position) }
    return BlockHead(kind: kind, count: Int(number), byteCount: byteCount, place: .inline(end), end: end + byteCount)
  }
}

/// What stands before the elements of a block.
struct BlockHead {
  enum Place {
    /// The elements begin at this position.
    case inline(Int)
    /// The elements are the segment of this number.
    case segment(Int)
  }

  var kind: BlockKind
  var count: Int
  var byteCount: Int
  var place: Place
  /// Where the next value begins.
  var end: Int
}

extension ReadFailure {
  static func truncated(_ position: Int) -> ReadFailure {
    .corrupted("The message ends within the value at byte \(position).")
  }
}
