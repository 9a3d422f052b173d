/// Reads bytes from front to back, and never past their end: there, numbers are 0 and text is empty.
///
/// So a damaged file gives nonsense, but no trap; a loop over one ends where `isAtEnd` does.
@safe struct ByteCursor {
  // SAFETY: whoever makes one keeps the bytes alive and unchanged while it is used; `position <= end <= bytes.count` always.
  private let bytes: UnsafeRawBufferPointer
  private(set) var position: Int
  let end: Int

  /// A reader of the part of `bytes` that lies in `range`.
  @unsafe init(_ bytes: UnsafeRawBufferPointer, in range: Range<Int>) {
    unsafe self.bytes = bytes
    end = min(max(0, range.upperBound), bytes.count)
    position = min(max(0, range.lowerBound), end)
  }
  var isAtEnd: Bool { position >= end }

  /// Goes to a place; one outside is the end.
  mutating func move(to place: Int) { position = place >= 0 && place <= end ? place : end }
  /// Leaves out `count` bytes.
  mutating func skip(_ count: Int) { position = count >= 0 && count <= end - position ? position + count : end }

  /// A number of fixed size, the low byte first.
  mutating func number<Number: FixedWidthInteger & BitwiseCopyable>(_: Number.Type) -> Number {
    guard end - position >= MemoryLayout<Number>.size else {
      position = end
      return 0
    }
    defer { position += MemoryLayout<Number>.size }
    return unsafe Number(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: Number.self))
  }
  mutating func byte() -> UInt8 { number(UInt8.self) }
  /// A number of `byteCount` bytes, 8 at most.
  mutating func number(byteCount: Int) -> UInt64 {
    switch byteCount {
    case 1: return UInt64(byte())
    case 2: return UInt64(number(UInt16.self))
    case 4: return UInt64(number(UInt32.self))
    case 8: return number(UInt64.self)
    default:
      var result: UInt64 = 0
      for index in 0..<min(max(byteCount, 0), 8) { result |= UInt64(byte()) << UInt64(8 * index) }
      return result
    }
  }
  /// An offset: 4 bytes, or 8 in the 64-bit format.
  mutating func offset(is64Bit: Bool) -> Int { Int(truncatingIfNeeded: is64Bit ? number(UInt64.self) : UInt64(number(UInt32.self))) }

  /// An unsigned number in groups of seven bits.
  mutating func unsignedLEB() -> UInt64 {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let next = byte()
      if shift < 64 { result |= UInt64(next & 0x7f) << shift }
      if next & 0x80 == 0 { break }
      shift += 7
    }
    return result
  }
  /// A signed one.
  mutating func signedLEB() -> Int64 {
    var result: UInt64 = 0
    var shift: UInt64 = 0
    while position < end {
      let next = byte()
      if shift < 64 { result |= UInt64(next & 0x7f) << shift }
      shift += 7
      if next & 0x80 == 0 {
        if next & 0x40 != 0 && shift < 64 { result |= ~0 << shift }
        break
      }
    }
    return Int64(bitPattern: result)
  }
  /// Text up to a zero byte, which is taken too.
  mutating func text() -> String {
    let start = position
    skipText()
    let isClosed = unsafe position > start && bytes[position - 1] == 0
    let stop = isClosed ? position - 1 : position
    return unsafe String(decoding: bytes[start..<stop], as: UTF8.self)
  }
  mutating func skipText() {
    while position < end {
      let isLast = unsafe bytes[position] == 0
      position += 1
      if isLast { return }
    }
  }
}
