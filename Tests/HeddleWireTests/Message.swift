import HeddleWire

/// A message as another process would get it: copies of bytes and segments, nothing of the encoder.
struct Message: Sendable {
  var bytes: [UInt8]
  var segments: [[UInt8]]

  /// Encodes with an encoder of its own unless one is given.
  init(_ value: some Encodable, encoder: MessageEncoder = MessageEncoder()) throws {
    try encoder.encode(value)
    bytes = unsafe Array(encoder.bytes)
    segments = encoder.segments.map { segment in unsafe Array(segment.bytes) }
  }

  init(bytes: [UInt8], segments: [[UInt8]] = []) {
    self.bytes = bytes
    self.segments = segments
  }

  func decoded<Value: Decodable>(
    as type: Value.Type = Value.self, decoder: MessageDecoder = MessageDecoder(), source: ListSource? = nil
  ) throws -> Value {
    let source = source ?? ListSource(segments)
    // An exact allocation, so that a read beyond the end is one that the address sanitizer sees.
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { unsafe copy.deallocate() }
    unsafe copy.copyBytes(from: bytes)
    return try unsafe decoder.decode(type, from: UnsafeRawBufferPointer(copy), segments: source)
  }
}

/// Segments from memory; notes how often each was read.
final class ListSource: SegmentSource {
  struct Missing: Error {}

  let segments: [[UInt8]]
  private(set) var reads: [Int] = []

  init(_ segments: [[UInt8]]) {
    self.segments = segments
  }

  func byteCount(ofSegment index: Int) -> Int? {
    segments.indices.contains(index) ? segments[index].count : nil
  }

  func read(segment index: Int, into destination: UnsafeMutableRawBufferPointer) throws {
    guard segments.indices.contains(index) else { throw Missing() }
    reads.append(index)
    unsafe destination.copyBytes(from: segments[index])
  }
}

/// Encodes and decodes with fresh coders.
func roundTrip<Value: Codable>(_ value: Value) throws -> Value {
  try Message(value).decoded(as: Value.self)
}

/// Four bytes, lowest first.
func littleEndian(_ number: Int) -> [UInt8] {
  (0..<4).map { place in UInt8(truncatingIfNeeded: number >> (8 * place)) }
}
