/// The segments of one message, each read once at most.
///
/// A segment is read into the array that was asked for. It stays here until the decoding ends, because a type may look at a value twice.
@safe
final class SegmentStore {
  private struct Loaded {
    let bytes: WireBytes
    /// Keeps `bytes` alive.
    let owner: any Sendable
  }

  var source: (any SegmentSource)? {
    get { state.value.source }
    set { state.value.source = newValue }
  }

  private struct State {
    var source: (any SegmentSource)?
    var loaded: [Int: Loaded] = [:]
    /// The position of the value that refers to a segment.
    ///
    /// A second one would let a small message ask for the same memory many times.
    var homes: [Int: Int] = [:]
  }

  private let state = Cell(State())
  /// Called with memory of at least `largeByteCount` before it is touched first.
  var prepareLarge: ((UnsafeMutableRawBufferPointer) -> Void)?

  /// From which size on huge pages pay: 64 MiB first touched costs 24 ms with pages of 4 KiB and 4 ms with those.
  ///
  /// Unit: bytes.
  private static let largeByteCount = 4 << 20

  func removeAll() {
    if source != nil { state.value = State() }
  }

  /// Makes an array of a segment.
  /// - Parameter position: Where the value lies that refers to it.
  func array<Block: BlockArray>(_ type: Block.Type, segment: Int, head: BlockHead, at position: Int) throws -> Block {
    try check(segment, head, at: position)
    if let known = state.value.loaded[segment] {
      try Room.need(head.byteCount)
      return try unsafe Block.make(count: head.count) { destination in unsafe known.bytes.copy(to: destination) }
    }
    if let landed = source?.landed(segment: segment), Swift.type(of: landed) == Block.self, let array = landed as? Block {
      // SAFETY: as below.
      state.value.loaded[segment] = unsafe array.withBlock { bytes in unsafe Loaded(bytes: WireBytes(bytes), owner: array) }
      return array
    }
    try Room.need(head.byteCount)
    let array = try unsafe Block.make(count: head.count) { destination in
      if destination.count >= Self.largeByteCount { unsafe prepareLarge?(destination) }
      try unsafe source?.read(segment: segment, into: destination)
    }
    // SAFETY: `owner` holds the array, whose storage is therefore not changed while `bytes` is used.
    state.value.loaded[segment] = unsafe array.withBlock { bytes in unsafe Loaded(bytes: WireBytes(bytes), owner: array) }
    return array
  }

  /// The elements of a segment as they are, and what keeps them alive.
  func bytes(segment: Int, head: BlockHead, at position: Int) throws -> (bytes: WireBytes, owner: any Sendable) {
    try check(segment, head, at: position)
    if let known = state.value.loaded[segment] { return (known.bytes, known.owner) }
    let raw = BlockHead(kind: .uint8, count: head.byteCount, byteCount: head.byteCount, place: head.place, end: head.end)
    _ = try array([UInt8].self, segment: segment, head: raw, at: position)
    guard let known = state.value.loaded[segment] else { throw ReadFailure.corrupted("There is no segment \(segment).") }
    return (known.bytes, known.owner)
  }

  private func check(_ segment: Int, _ head: BlockHead, at position: Int) throws(ReadFailure) {
    guard let byteCount = source?.byteCount(ofSegment: segment) else { throw .corrupted("There is no segment \(segment).") }
    guard byteCount == head.byteCount else {
      throw .corrupted("Segment \(segment) has \(byteCount) bytes, the message says \(head.byteCount).")
    }
    let home = state.value.homes[segment] ?? position
    guard home == position else { throw .corrupted("Segment \(segment) belongs to the values at bytes \(home) and \(position).") }
    state.value.homes[segment] = position
  }
}
