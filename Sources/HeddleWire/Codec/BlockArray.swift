/// An element type whose arrays travel as their memory.
protocol BlockElement: BitwiseCopyable, WireScalar, Encodable {}

extension Int: BlockElement {}
extension Int8: BlockElement {}
extension Int16: BlockElement {}
extension Int32: BlockElement {}
extension Int64: BlockElement {}
extension UInt: BlockElement {}
extension UInt8: BlockElement {}
extension UInt16: BlockElement {}
extension UInt32: BlockElement {}
extension UInt64: BlockElement {}
extension Float: BlockElement {}
extension Double: BlockElement {}
extension Bool: BlockElement {}

/// An array whose elements lie in memory as they travel, so that it is copied at once or not at all.
///
/// Element by element a number costs 36 ns to write and 59 to read, as part of a block 0.1.
protocol BlockArray: Sendable {
  static var kind: BlockKind { get }
  var count: Int { get }

  /// The elements one by one, for the tree that has to take a block apart again.
  var scalars: [any WireScalar] { get }

  /// Calls `body` with the memory of the elements, which stays as it is while the array, or a copy of it, lives.
  func withBlock<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result

  /// Makes an array of elements that `fill` writes.
  /// - Throws: What `fill` throws, and `ReadFailure.corrupted` for a Bool that is neither 0 nor 1.
  static func make(count: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws -> Self
}

extension Array: BlockArray where Element: BlockElement {
  static var kind: BlockKind { Element.blockKind! }

  var scalars: [any WireScalar] { self }

  func withBlock<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    unsafe withUnsafeBytes { bytes in unsafe body(bytes) }
  }

  static func make(count: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws -> [Element] {
    if count == 0 { return [] }
    return try unsafe [Element](unsafeUninitializedCapacity: count) { buffer, initialised in
      // SAFETY: the elements are bitwise copyable, so raw bytes initialise them; `fill` gets exactly `count` of them.
      let bytes = unsafe UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: count * MemoryLayout<Element>.stride)
      try unsafe fill(bytes)
      // A Bool of any other byte would be undefined behaviour, so bytes of another process are looked at first.
      if Element.self == Bool.self, unsafe bytes.contains(where: { byte in byte > 1 }) {
        throw ReadFailure.corrupted("A Bool in an array is neither 0 nor 1.")
      }
      initialised = count
    }
  }
}

extension ContiguousArray: BlockArray where Element: BlockElement {
  static var kind: BlockKind { Element.blockKind! }
  var scalars: [any WireScalar] { Array(self) }

  func withBlock<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
    unsafe withUnsafeBytes { bytes in unsafe body(bytes) }
  }

  static func make(count: Int, fill: (UnsafeMutableRawBufferPointer) throws -> Void) throws -> ContiguousArray<Element> {
    // Array to ContiguousArray shares the storage where no Objective-C exists.
    try unsafe ContiguousArray([Element].make(count: count, fill: fill))
  }
}
