import Heddle
import HeddleSystem

/// An array as a worker sends it: a `frozenset` of pairs, which no result holds for anything else, says where its elements are (in memory
/// that came beside the result, or in the bytes) and what they are.
///
/// `Bridge/shared.py` writes it. Nothing of it is believed.
struct MarshaledArray {
  /// The elements' letter, canonical; nil: of a type that only who asked for it knows.
  let letter: UInt8?
  /// Unit: bytes.
  let stride: Int
  let count: Int
  /// Its product is `count`.
  let shape: [Int]
  /// Whether it is bytes to who asks for bytes, as a `memoryview` is.
  let isRaw: Bool
  private let place: Place

  private enum Place {
    case memory(SealedMemory, byteOffset: Int)
    case inline(ArraySlice<UInt8>)
  }

  /// - Throws: `ReadFault`, which accuses the worker of all but what this process lacks: the bridge writes no array that cannot be.
  init(_ index: MarshalIndex, _ entry: Int) throws {
    var fields: [String: Int] = [:]
    var pair = entry + 1
    while pair < index.next(entry) {
      guard index.code(pair) == MarshalCode.tuple, index.count(pair) == 2, index.code(pair + 1) == MarshalCode.string else {
        throw ReadFault("it is no array", accusation: "it sent something that is no array as one")
      }
      fields[String(decoding: index.content(pair + 1), as: UTF8.self)] = pair + 2
      pair = index.next(pair)
    }
    func number(_ entry: Int?) throws -> Int {
      guard let entry, index.code(entry) == MarshalCode.int || index.code(entry) == MarshalCode.long,
        let value = index.integer(entry, as: Int.self), value >= 0
      else { throw ReadFault("it is no array", accusation: "it sent something that is no array as one") }
      return value
    }
    func has(_ field: String, _ code: UInt8) -> Int? { fields[field].flatMap { index.code($0) == code ? $0 : nil } }
    count = try number(fields["count"])
    stride = try number(fields["stride"])
    let offset = try number(fields["offset"])
    guard let format = has("format", MarshalCode.string), let extents = has("shape", MarshalCode.tuple), index.count(extents) <= 64 else {
      throw ReadFault("it is no array", accusation: "it sent something that is no array as one")
    }
    let text = index.content(format)
    letter = text.first.map(ElementFormat.canonical)
    isRaw = has("raw", MarshalCode.true) != nil
    var shape: [Int] = []
    var extent = extents + 1
    for _ in 0..<index.count(extents) {
      shape.append(try number(extent))
      extent = index.next(extent)
    }
    self.shape = shape
    let product = shape.reduce(into: (1, false)) { product, extent in
      let (value, overflow) = product.0.multipliedReportingOverflow(by: extent)
      product = (value, product.1 || overflow)
    }
    let size = count.multipliedReportingOverflow(by: stride)
    let start = offset.multipliedReportingOverflow(by: stride)
    guard count > 0, stride > 0, !product.1, product.0 == count, !size.overflow, !start.overflow, text.count <= 1,
      letter.flatMap(ElementFormat.byteCount) ?? stride == stride
    else {
      throw ReadFault(
        "its \(count) elements of \(stride) bytes cannot be",
        accusation: "it sent an array of \(count) elements of \(stride) bytes that cannot be")
    }
    if let bytes = has("bytes", MarshalCode.bytes) {
      guard index.content(bytes).count == size.partialValue, offset == 0 else {
        throw ReadFault("its elements are not all there", accusation: "it sent an array whose elements are not all there")
      }
      place = .inline(index.content(bytes))
      return
    }
    let number = try number(fields["sharedMemory"])
    let attachment = index.attachments.indices.contains(number) ? index.attachments[number] : nil
    if let unusable = attachment as? UnusableMemory {
      throw ReadFault("its memory came, but this process cannot hold it: \(unusable.reason)")
    }
    guard let memory = attachment as? SealedMemory else {
      throw ReadFault("it is in no memory that came", accusation: "it spoke of shared memory that it had not sent")
    }
    let end = start.partialValue.addingReportingOverflow(size.partialValue)
    guard !end.overflow, end.partialValue <= memory.byteCount else {
      let claim = "\(count) elements of \(stride) bytes from element \(offset) on"
      throw ReadFault(
        "\(claim) are not within \(memory.byteCount) bytes of shared memory",
        accusation: "it spoke of \(claim) in \(memory.byteCount) bytes of shared memory")
    }
    place = .memory(memory, byteOffset: start.partialValue)
  }

  /// Why there is no array.
  struct ReadFault: Error {
    let sentence: String
    /// What that says of the worker, where an honest one cannot have sent it.
    let accusation: String?
    init(_ sentence: String, accusation: String? = nil) {
      self.sentence = sentence
      self.accusation = accusation
    }
  }

  /// Whether whoever asks for bytes gets its bytes, and not a list of numbers that fit a byte.
  var isBytes: Bool { isRaw || letter == UInt8(ascii: "B") }

  /// Calls `body` with the bytes of the elements.
  ///
  /// A worker may write them meanwhile where it may write that memory: they are numbers, and any bits are one.
  func withBytes<Result>(_ body: (UnsafeRawBufferPointer) throws -> Result) rethrows -> Result {
    switch place {
    case .memory(let memory, let offset):
      defer { withExtendedLifetime(memory) {} }
      // SAFETY: `init` looked that this is within the memory, which is mapped as long as `memory` lives.
      return unsafe try body(UnsafeRawBufferPointer(start: memory.address + offset, count: count * stride))
    case .inline(let bytes): return unsafe try bytes.withUnsafeBytes(body)
    }
  }
  var bytes: [UInt8] { unsafe withBytes { unsafe [UInt8]($0) } }

  /// Its elements as they lie there; nil: they are of another type, or in rows.
  func elements<Element: BitwiseCopyable>(_ type: Element.Type) -> [Element]? {
    guard shape.count == 1, letter != nil, letter == ElementFormat.letter(of: type), Element.self != Bool.self else { return nil }
    return unsafe withBytes { bytes in
      unsafe [Element](unsafeUninitializedCapacity: count) { target, filled in
        // SAFETY: `count` elements of `stride` bytes, which is their size, as the letter says.
        unsafe UnsafeMutableRawBufferPointer(target).copyMemory(from: bytes)
        filled = count
      }
    }
  }

  /// It as a part of memory with elements of that type: where it lies, or a copy.
  ///
  /// - Throws: `ReadFault`; `SystemError` where there is no memory for the copy.
  func part(of element: Any.Type, stride wanted: Int) throws -> SharedPart {
    let known = ElementFormat.letter(of: element)
    let fits = isRaw ? count * stride % wanted == 0 : stride == wanted && (letter == nil || known == nil || letter == known)
    guard fits else {
      let own = letter.map(ElementFormat.name) ?? "another type"
      throw ReadFault("its elements are \(own) of \(stride) bytes; \(element) has \(wanted)")
    }
    let count = isRaw ? count * stride / wanted : count
    switch place {
    case .memory(let memory, let offset):
      guard offset % wanted == 0 else { throw ReadFault("it begins within an element of \(element)") }
      return SharedPart(
        memory: memory, offset: offset / wanted, count: count, stride: wanted, element: element, isTrusted: memory.isTrusted)
    case .inline(let bytes): return try .copy(of: bytes, count: count, stride: wanted, element: element)
    }
  }

  /// The same as marshal would have it without memory: bytes, or lists of numbers.
  ///
  /// - Throws: `ReadFault` where nobody knows what the elements are.
  func spelledOut(asBytes: Bool) throws -> [UInt8] {
    var writer = MarshalWriter()
    if asBytes {
      writer.write(bytes: bytes)
      return writer.bytes
    }
    guard let letter, ElementFormat.byteCount(of: letter) != nil else {
      throw ReadFault("only a SharedBuffer or bytes can hold its elements of \(stride) bytes")
    }
    unsafe withBytes { unsafe write($0, letter, shape[...], &writer) }
    return writer.bytes
  }
  private func write(_ bytes: UnsafeRawBufferPointer, _ letter: UInt8, _ shape: ArraySlice<Int>, _ writer: inout MarshalWriter) {
    guard let first = shape.first else { return }
    writer.beginList(count: first)
    if shape.count > 1 {
      let size = bytes.count / first
      for row in 0..<first {
        unsafe write(UnsafeRawBufferPointer(rebasing: bytes[row * size..<(row + 1) * size]), letter, shape.dropFirst(), &writer)
      }
      return
    }
    func each<Element: BitwiseCopyable>(_ type: Element.Type, _ body: (Element) -> Void) {
      for place in 0..<first { body(unsafe bytes.loadUnaligned(fromByteOffset: place * stride, as: type)) }
    }
    switch letter {
    // Anything may stand there, so not as a Bool.
    case UInt8(ascii: "?"): each(UInt8.self) { writer.write($0 != 0) }
    case UInt8(ascii: "b"): each(Int8.self) { writer.write($0) }
    case UInt8(ascii: "h"): each(Int16.self) { writer.write($0) }
    case UInt8(ascii: "H"): each(UInt16.self) { writer.write($0) }
    case UInt8(ascii: "i"): each(Int32.self) { writer.write($0) }
    case UInt8(ascii: "I"): each(UInt32.self) { writer.write($0) }
    case UInt8(ascii: "l"): each(Int64.self) { writer.write($0) }
    case UInt8(ascii: "L"): each(UInt64.self) { writer.write($0) }
    case UInt8(ascii: "f"): each(Float.self) { writer.write(Double($0)) }
    case UInt8(ascii: "d"): each(Double.self) { writer.write($0) }
    default: each(UInt8.self) { writer.write($0) }
    }
  }
}

extension SharedPart {
  /// Memory of this process with what a worker sent within its message.
  static func copy(of bytes: ArraySlice<UInt8>, count: Int, stride: Int, element: Any.Type) throws -> SharedPart {
    let memory = try SealedMemory(byteCount: max(1, bytes.count), isOpen: true)
    // SAFETY: so many bytes were asked for.
    unsafe UnsafeMutableRawBufferPointer(start: memory.address, count: bytes.count).copyBytes(from: bytes)
    return SharedPart(memory: memory, offset: 0, count: count, stride: stride, element: element, isTrusted: false)
  }
}
