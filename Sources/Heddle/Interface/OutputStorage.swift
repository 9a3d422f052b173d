/// The place of one value of any type inside an object.
///
/// An `Output?` would do, but in a generic class each use of it asks the runtime for the metadata of `Optional<Output>`, some 25 ns a
/// time and thrice a job. Who owns this knows whether there is a value, and of what type.
@usableFromInline @safe struct OutputStorage {
  /// Three words: what fits lies here, anything else in memory of its own that the first word points to.
  @usableFromInline var words: (UInt, UInt, UInt) = (0, 0, 0)

  @usableFromInline init() {}

  @inlinable @inline(__always)
  static func fits<Value>(_ type: Value.Type) -> Bool {
    MemoryLayout<Value>.size <= MemoryLayout<(UInt, UInt, UInt)>.size && MemoryLayout<Value>.alignment <= MemoryLayout<UInt>.alignment
  }
  /// Whether a value of that type is words that lie here and need no end.
  @inlinable @inline(__always)
  static func isPlain<Value>(_ type: Value.Type) -> Bool { fits(type) && _isPOD(type) }
  /// Takes a value where there is none.
  @inlinable @inline(__always)
  mutating func initialize<Value>(to value: Value) {
    if Self.fits(Value.self) {
      // SAFETY: the words are large enough and aligned, and an object's stored property does not move.
      unsafe withUnsafeMutableBytes(of: &words) { bytes in
        unsafe bytes.baseAddress!.assumingMemoryBound(to: Value.self).initialize(to: value)
      }
    } else {
      let memory = UnsafeMutablePointer<Value>.allocate(capacity: 1)
      unsafe memory.initialize(to: value)
      words.0 = UInt(bitPattern: memory)
    }
  }
  /// A copy of the value, which is there and of that type.
  @inlinable @inline(__always)
  func read<Value>(as type: Value.Type) -> Value {
    // SAFETY: whoever asks knows that the value is there.
    if Self.fits(Value.self) {
      unsafe withUnsafeBytes(of: words) { bytes in unsafe bytes.baseAddress!.assumingMemoryBound(to: Value.self).pointee }
    } else {
      unsafe UnsafePointer<Value>(bitPattern: words.0)!.pointee
    }
  }
  /// Moves the value out, which is there and of that type.
  @inlinable @inline(__always)
  mutating func take<Value>(as type: Value.Type) -> Value {
    // SAFETY: as in `read`; afterwards there is none.
    if Self.fits(Value.self) {
      return unsafe withUnsafeMutableBytes(of: &words) { bytes in unsafe bytes.baseAddress!.assumingMemoryBound(to: Value.self).move() }
    } else {
      let memory = unsafe UnsafeMutablePointer<Value>(bitPattern: words.0)!
      defer { unsafe memory.deallocate() }
      return unsafe memory.move()
    }
  }
  /// Ends the value, which is there and of that type.
  @usableFromInline mutating func deinitialize<Value>(as type: Value.Type) {
    // SAFETY: as in `read`; afterwards nobody reads.
    if Self.fits(Value.self) {
      unsafe withUnsafeMutableBytes(of: &words) { bytes in
        _ = unsafe bytes.baseAddress!.assumingMemoryBound(to: Value.self).deinitialize(count: 1)
      }
    } else {
      let memory = unsafe UnsafeMutablePointer<Value>(bitPattern: words.0)!
      unsafe memory.deinitialize(count: 1)
      unsafe memory.deallocate()
    }
  }
}
