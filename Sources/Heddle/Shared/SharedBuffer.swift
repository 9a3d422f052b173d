import HeddleSystem
import HeddleWire

// SAFETY: `memory` keeps `base` mapped, with room for `count` elements; who accesses what when is what the documentation asks of the user.
/// Elements in memory that several processes see: passed in jobs and results by reference, never copied.
///
/// ```swift
/// struct Brighten: Job {
///   var pixels: SharedBuffer<Float>
///   func run() async throws -> SharedBuffer<Float> {
///     try SharedBuffer(count: pixels.count) { output in
///       for index in pixels.indices { output[index] = pixels[index] * 1.2 }
///     }
///   }
/// }
/// let picture = try SharedBuffer<Float>(copying: [0.1, 0.5])
/// let brighter = try await pool.submit(Brighten(pixels: picture)).value  // only a descriptor goes there and back, whatever the size
/// ```
///
/// It is a reference: copies of it are the same memory, in this process and in every other that got it in a job or a result. It travels
/// anywhere inside a job or its output, through every executor, and from worker to worker. Encoding it for anything else
/// throws an `EncodingError`. To a Python function it is a `memoryview`, which NumPy takes as it is; see `PythonCall` of HeddlePython.
///
/// **Who may write.** With ``SharedBufferAccess/readOnly`` the process that made it, and nobody else: the kernel keeps the others from
/// it. With ``SharedBufferAccess/readWrite`` every process that has it. ``isWritable`` says so of this process. Nothing keeps one that
/// writes and one that reads at the same moment apart: write before you submit and after the result is there, or let each job
/// write a part of its own (``extracting(_:)``), or put `Atomic`s of your own into it. Two that access the same element at once, one of them
/// writing, are a data race, as with an `UnsafeMutableBufferPointer`.
///
/// **How long it lives.** As long as somebody has it: it has no name, and the kernel frees it when the last process has let go of it or
/// died. Each process that holds it holds one descriptor for it. All its memory is taken when it is made.
///
/// **Element** has to be plain data. Where a worker has written it, every pattern of bits must be a value: numbers, and structures and
/// tuples of them, but not `Bool`, enumerations or optionals, because a process that has gone wild can write anything there. Such types are
/// refused, except where an enumeration with values is a field of a structure.
@safe public struct SharedBuffer<Element: BitwiseCopyable & Sendable>: @unchecked Sendable {
  let memory: SealedMemory
  @usableFromInline let base: UnsafeMutablePointer<Element>
  /// How many elements it has.
  public let count: Int
  /// Whether this process may write it.
  ///
  /// Writing one that it may not is a trap.
  public let isWritable: Bool

  init(_ memory: SealedMemory, offset: Int, count: Int) {
    self.memory = memory
    unsafe base = (memory.address + offset * MemoryLayout<Element>.stride).assumingMemoryBound(to: Element.self)
    self.count = count
    isWritable = memory.isWritable
  }
  /// What other processes may do with it.
  public var access: SharedBufferAccess { memory.isOpen ? .readWrite : .readOnly }

  // MARK: Making one

  /// Elements whose bytes are all zero.
  ///
  /// - Parameters:
  ///   - count: how many; all their memory is taken now.
  ///   - access: what other processes may do with it.
  /// - Throws: ``SharedBufferError``, with code `noMemory` where there is not so much memory.
  public init(count: Int, access: SharedBufferAccess = .readOnly) throws {
    self = try Self.make(count, access)
  }
  /// Elements that `fill` writes.
  ///
  /// - Parameters:
  ///   - count: how many; all their memory is taken now.
  ///   - access: what other processes may do with it.
  ///   - fill: gets the elements; their bytes are all zero at first.
  /// - Throws: ``SharedBufferError``, and what `fill` throws.
  public init(count: Int, access: SharedBufferAccess = .readOnly, fill: (UnsafeMutableBufferPointer<Element>) throws -> Void) throws {
    self = try Self.make(count, access)
    unsafe try fill(UnsafeMutableBufferPointer(start: base, count: count))
  }
  /// The elements of a collection, copied.
  ///
  /// - Throws: ``SharedBufferError``, with code `noMemory` where there is not so much memory.
  public init(copying elements: some Collection<Element>, access: SharedBufferAccess = .readOnly) throws {
    let count = elements.count
    self = try Self.make(count, access)
    let target = unsafe UnsafeMutableBufferPointer(start: base, count: count)
    let isCopied: Void? = elements.withContiguousStorageIfAvailable { source in
      _ = unsafe target.update(fromContentsOf: source)
    }
    if isCopied == nil { _ = unsafe target.update(fromContentsOf: elements) }
  }
  private static func make(_ count: Int, _ access: SharedBufferAccess) throws -> SharedBuffer {
    precondition(count >= 0, "A SharedBuffer cannot have \(count) elements")
    if access == .readWrite && !elementsAreNumbers {
      throw SharedBufferError(
        code: .unsuitableElement,
        message: "\(Element.self) has values that not every pattern of bits stands for, so memory that other processes write cannot "
          + "hold it. Use a number in its place, such as UInt8, or share it .readOnly.")
    }
    let size = count.multipliedReportingOverflow(by: MemoryLayout<Element>.stride)
    do throws(SystemError) {
      // A file in memory must have a byte.
      let byteCount = size.overflow ? Int.max : Swift.max(1, size.partialValue)
      return SharedBuffer(try SealedMemory(byteCount: byteCount, isOpen: access == .readWrite), offset: 0, count: count)
    } catch {
      throw SharedBufferError(error, count: count, of: Element.self)
    }
  }
  /// Whether every pattern of bits is an element.
  ///
  /// An optional that needs no further byte keeps its nil in a pattern that is no value. Enumerations with values may use a byte
  /// for the case and keep that to themselves; they are known by the kind of their metadata, where they are not fields of something else.
  static var elementsAreNumbers: Bool {
    // SAFETY: metadata begins with its kind, which is part of the ABI: 0x201 an enumeration, 0x202 an optional.
    let kind = unsafe unsafeBitCast(Element.self as Any.Type, to: UnsafePointer<Int>.self).pointee
    return MemoryLayout<Element?>.size > MemoryLayout<Element>.size && kind != 0x201 && kind != 0x202
  }

  // MARK: Using it

  /// A part of it: the same memory, with indices from 0 on.
  public func extracting(_ range: Range<Int>) -> SharedBuffer {
    precondition(range.lowerBound >= 0 && range.upperBound <= count, "The range \(range) is not within 0..<\(count)")
    return unsafe SharedBuffer(memory, offset: base + range.lowerBound - first, count: range.count)
  }
  /// Where the memory begins, as elements.
  private var first: UnsafeMutablePointer<Element> { unsafe memory.address.assumingMemoryBound(to: Element.self) }

  /// Calls `body` with the elements, which lie where they are while it runs.
  @inlinable public func withUnsafeBufferPointer<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(self) {} }
    return unsafe try body(UnsafeBufferPointer(start: base, count: count))
  }
  /// Calls `body` with the elements, to be written.
  ///
  /// Traps where this process may not write it: ``isWritable``.
  @inlinable public func withUnsafeMutableBufferPointer<Result, Failure: Error>(
    _ body: (UnsafeMutableBufferPointer<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    checkWritable()
    defer { withExtendedLifetime(self) {} }
    return unsafe try body(UnsafeMutableBufferPointer(start: base, count: count))
  }
  /// Calls `body` with the elements as a span, which is checked and cannot escape.
  ///
  /// Nobody may write them meanwhile.
  @inlinable public func withSpan<Result, Failure: Error>(_ body: (Span<Element>) throws(Failure) -> Result) throws(Failure) -> Result {
    defer { withExtendedLifetime(self) {} }
    return try body(unsafe Span(_unsafeStart: base, count: count))
  }
  /// Calls `body` with the elements as a span, to be written.
  ///
  /// Nobody else may access them meanwhile. Traps where this process may not write it: ``isWritable``.
  @inlinable public func withMutableSpan<Result, Failure: Error>(
    _ body: (inout MutableSpan<Element>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    checkWritable()
    defer { withExtendedLifetime(self) {} }
    var span = unsafe MutableSpan(_unsafeStart: base, count: count)
    return try body(&span)
  }
  @inlinable func checkWritable() {
    precondition(
      isWritable, "Another process made this SharedBuffer for reading only: make it with 'access: .readWrite', or return a new one")
  }
  /// Whether both are the same elements of the same memory.
  public func isTriviallyIdentical(to other: SharedBuffer) -> Bool { unsafe base == other.base && count == other.count }
}

/// What processes may do with a ``SharedBuffer`` that another one made.
public enum SharedBufferAccess: String, Codable, Sendable, Hashable, CaseIterable {
  /// Read it; only the process that made it may write.
  case readOnly
  /// Read and write it.
  case readWrite
}

extension SharedBuffer: RandomAccessCollection {
  /// 0.
  public var startIndex: Int { 0 }
  /// ``count``.
  public var endIndex: Int { count }
  /// The element at an index; another index than one of `0..<count` is a trap, and so is writing where ``isWritable`` is false.
  @inlinable public subscript(index: Int) -> Element {
    get {
      precondition(index >= 0 && index < count, "Index out of range")
      defer { withExtendedLifetime(self) {} }
      return unsafe base[index]
    }
    nonmutating set {
      precondition(index >= 0 && index < count, "Index out of range")
      checkWritable()
      unsafe base[index] = newValue
      withExtendedLifetime(self) {}
    }
  }
  /// The elements where they lie, for the algorithms of the standard library.
  @inlinable public func withContiguousStorageIfAvailable<Result>(
    _ body: (UnsafeBufferPointer<Element>) throws -> Result
  ) rethrows -> Result? {
    unsafe try withUnsafeBufferPointer(body)
  }
}

extension SharedBuffer: CustomStringConvertible {
  /// Its size and its first elements.
  public var description: String {
    let some = prefix(8).map { "\($0)" } + (count > 8 ? ["…"] : [])
    return "SharedBuffer<\(Element.self)>(\(count): [\(some.joined(separator: ", "))])"
  }
}
