/// Growing memory that a message is written into.
///
/// The only place of the encoder with a raw pointer: every method makes room first or checks its position, so callers need no care.
@safe
struct WriteBuffer: ~Copyable {
  @safe
  private struct Memory {
    /// SAFETY: owned by the buffer alone, `capacity` bytes, of which the first `count` are initialised.
    var base: UnsafeMutableRawPointer
    var count = 0
    var capacity: Int
    /// There was no memory for so much: what was written is lost, and so is all that follows.
    var missing: Int?
  }

  private let memory: Cell<Memory>

  init(capacity: Int = 1_024) {
    memory = Cell(unsafe Memory(base: .allocate(byteCount: capacity, alignment: 16), capacity: capacity))
  }

  private var base: UnsafeMutableRawPointer {
    @inline(__always) get { unsafe memory.value.base }
  }

  private(set) var count: Int {
    @inline(__always) get { memory.value.count }
    @inline(__always) nonmutating set { memory.value.count = newValue }
  }

  private var capacity: Int {
    @inline(__always) get { memory.value.capacity }
  }

  deinit {
    unsafe base.deallocate()
  }

  /// How much memory there was not, so that the content is none; nil: nothing was missing.
  ///
  /// Writing goes on without harm and in vain until `removeAll`. Unit: bytes.
  var missing: Int? { memory.value.missing }

  /// What was written; valid until the next change.
  var bytes: UnsafeRawBufferPointer {
    unsafe UnsafeRawBufferPointer(start: base, count: count)
  }

  /// False: there is no memory for so much, and nothing may be written.
  @inline(__always)
  @discardableResult
  private func makeRoom(for byteCount: Int) -> Bool {
    capacity &- count >= byteCount || grow(by: byteCount)
  }

  /// Where it fails the content is dropped, so that there is room for what is as small as a number.
  @inline(never)
  private func grow(by byteCount: Int) -> Bool {
    // A large value, with room for what stands behind it: doubled for the sake of a few bytes it would be copied once more.
    let larger = max(capacity * 2, count + byteCount + WireLimit.tail)
    if memory.value.missing == nil && Room.isThere(larger) {
      replaceMemory(capacity: larger)
      return true
    }
    memory.value.missing = memory.value.missing ?? larger
    count = 0
    return false
  }

  @inline(__always)
  func append(byte: UInt8) {
    makeRoom(for: 1)
    unsafe base.storeBytes(of: byte, toByteOffset: count, as: UInt8.self)
    count &+= 1
  }

  /// Appends seven bits a byte, lowest first; the high bit says that more follow.
  @inline(__always)
  func append(varint value: UInt64) {
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
  func append(integer value: Int64) {
    append(byte: WireTag.integer.rawValue)
    append(varint: UInt64(bitPattern: (value &<< 1) ^ (value &>> 63)))
  }

  /// Appends the bytes of a number, lowest first.
  @inline(__always)
  func append(fixed value: some FixedWidthInteger & BitwiseCopyable) {
    let little = value.littleEndian
    unsafe withUnsafeBytes(of: little) { bytes in unsafe append(contentsOf: bytes) }
  }

  @inline(__always)
  func append(contentsOf bytes: UnsafeRawBufferPointer) {
    guard let source = bytes.baseAddress, bytes.count > 0 else { return }
    guard makeRoom(for: bytes.count) else { return }
    // SAFETY: there is room, and a caller cannot hold a mutable view of this buffer, so the ranges are apart.
    unsafe (base + count).copyMemory(from: source, byteCount: bytes.count)
    count &+= bytes.count
  }

  func append(contentsOf bytes: WireBytes) {
    guard makeRoom(for: bytes.count) else { return }
    unsafe bytes.copy(to: UnsafeMutableRawBufferPointer(start: base + count, count: bytes.count))
    count &+= bytes.count
  }

  /// Appends a varint byte count and UTF-8, without a tag.
  @inline(__always)
  func append(utf8 string: String) {
    var string = string
    string.withUTF8 { text in
      append(varint: UInt64(text.count))
      unsafe append(contentsOf: UnsafeRawBufferPointer(text))
    }
  }

  /// Overwrites four bytes that were written before.
  @inline(__always)
  func patch(_ value: Int, at position: Int) {
    guard position >= 0 && position &+ 4 <= count else { return refuse("Patching \(position) of \(count) bytes.") }
    unsafe base.storeBytes(of: UInt32(truncatingIfNeeded: value).littleEndian, toByteOffset: position, as: UInt32.self)
  }

  @inline(__always)
  func patch(byte: UInt8, at position: Int) {
    guard position >= 0 && position < count else { return refuse("Patching \(position) of \(count) bytes.") }
    unsafe base.storeBytes(of: byte, toByteOffset: position, as: UInt8.self)
  }

  func truncate(to newCount: Int) {
    guard newCount >= 0 && newCount <= count else { return refuse("Truncating \(count) bytes to \(newCount).") }
    count = newCount
  }

  /// A place that is not there: the caller's mistake, unless the content was dropped.
  @inline(never)
  private func refuse(_ sentence: @autoclosure () -> String) { precondition(missing != nil, sentence()) }

  /// Drops the content, and the memory too where it grew past `WireLimit.scratch`.
  func removeAll() {
    count = 0
    memory.value.missing = nil
    if capacity > WireLimit.scratch { replaceMemory(capacity: 1_024) }
  }

  /// Moves the content, which fits, to memory of another size.
  private func replaceMemory(capacity: Int) {
    let other = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
    unsafe other.copyMemory(from: base, byteCount: count)
    unsafe base.deallocate()
    unsafe memory.value.base = other
    memory.value.capacity = capacity
  }
}
