/// Growing memory that a message is written into.
///
/// The only place of the encoder with a raw pointer: every method makes room first or checks its position, so callers need no care.
@safe
struct WriteBuffer: ~Copyable {
  /// SAFETY: owned by this value alone, `capacity` bytes, of which the first `count` are initialised.
  private var base: UnsafeMutableRawPointer
  private(set) var count = 0
  private var capacity: Int

  init(capacity: Int = 1_024) {
    self.capacity = capacity
    unsafe base = .allocate(byteCount: capacity, alignment: 16)
  }

  deinit {
    unsafe base.deallocate()
  }

  /// What was written; valid until the next change.
  var bytes: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: base, count: count)
  }

  @inline(__always)
  private mutating func makeRoom(for byteCount: Int) {
    if capacity &- count < byteCount { grow(by: byteCount) }
  }

  @inline(never)
  private mutating func grow(by byteCount: Int) {
    capacity = max(capacity * 2, count + byteCount)
    let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    unsafe larger.copyMemory(from: base, byteCount: count)
    unsafe base.deallocate()
    unsafe base = larger
  }

  @inline(__always)
  mutating func append(byte: UInt8) {
    makeRoom(for: 1)
    unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// Appends seven bits a byte, lowest first; the high bit says that more follow.
  @inline(__always)
  mutating func append(varint value: UInt64) {
    makeRoom(for: 10)
    var rest = value
    // SAFETY: at most ten bytes are stored, for which there is room.
    while rest >= 0x80 {
      unsafe base.storeBytes(of: UInt8(truncatingIfNeeded: rest) | 0x80, toByteOffset: count, as: UInt8.self)
      count &+= 1
      rest &>>= 7
    }
    unsafe base.storeBytes(of: UInt8(truncatingIfNeeded: rest), toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// Appends an integer within `Int64` as a tagged zigzag varint.
  @inline(__always)
  mutating func append(integer value: Int64) {
    append(byte: WireTag.integer.rawValue)
    append(varint: UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)))
  }

  /// Appends the bytes of a number, lowest first.
  @inline(__always)
  mutating func append(fixed value: some FixedWidthInteger & BitwiseCopyable) {
    let little = value.littleEndian
    unsafe withUnsafeBytes(of: little) { bytes in unsafe append(contentsOf: bytes) }
  }

  @inline(__always)
  mutating func append(contentsOf bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    makeRoom(for: bytes.count)
    // SAFETY: there is room, and a caller cannot hold a mutable view of this buffer, so the ranges are apart.
    unsafe (base + count).copyMemory(from: source, byteCount: bytes.count)
    count &+= bytes.count
  }

  mutating func append(contentsOf bytes: WireBytes) {
    makeRoom(for: bytes.count)
    unsafe bytes.copy(to: UnsafeMutableRawBufferPointer(start: base + count, count: bytes.count))
    count &+= bytes.count
  }

  /// Appends a varint byte count and UTF-8, without a tag.
  @inline(__always)
  mutating func append(utf8 string: String) {
    var string = string
    string.withUTF8 { text in
      append(varint: UInt64(text.count))
      unsafe append(contentsOf: UnsafeRawBufferPointer(text))
    }
  }

  /// Overwrites four bytes that were written before.
  @inline(__always)
  mutating func patch(_ value: Int, at position: Int) {
    precondition(position >= 0 && position &+ 4 <= count, "Patching \(position) of \(count) bytes.")
    unsafe base.storeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian, toByteOffset: position, as: UInt32.self)
  }

  @inline(__always)
  mutating func patch(byte: UInt8, at position: Int) {
    precondition(position >= 0 && position < count, "Patching \(position) of \(count) bytes.")
    unsafe base.storeBytes(of: byte, toByteOffset: position, as: UInt8.self)
  }

  mutating func truncate(to newCount: Int) {
    precondition(newCount >= 0 && newCount <= count, "Truncating \(count) bytes to \(newCount).")
    count = newCount
  }

  /// Drops the content, and the memory too where it grew past `WireLimit.scratch`.
  mutating func removeAll() {
    count = 0
    guard capacity > WireLimit.scratch else { return }
    unsafe base.deallocate()
    capacity = 1_024
    unsafe base = .allocate(byteCount: capacity, alignment: 16)
  }
}
