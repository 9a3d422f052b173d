import HeddleSystem
import HeddleWire

/// A job that comes in parts: its main bytes first, then each segment when the decoder wants it.
///
/// What there is no memory for is not kept.
@safe final class IncomingMessage: SegmentSource {
  private let shape: MessageShape
  /// Takes the next bytes: so many, into the target or to nowhere.
  private let read: (UnsafeMutableRawBufferPointer?, Int) -> Void
  private var mainBytes: UnsafeMutableRawBufferPointer?
  private var nextSegment = 0
  /// Segments that came before they were wanted.
  private var early: [Int: UnsafeMutableRawBufferPointer] = unsafe [:]

  init(shape: MessageShape, read: @escaping (UnsafeMutableRawBufferPointer?, Int) -> Void) {
    self.shape = shape
    unsafe self.read = unsafe read
  }
  deinit {
    unsafe mainBytes?.deallocate()
    unsafe early.values.forEach { buffer in unsafe buffer.deallocate() }
  }
  var mainByteCount: Int { shape.mainByteCount }
  /// The main bytes, once; nil: there is no memory for them.
  func main() -> UnsafeRawBufferPointer? {
    unsafe mainBytes = unsafe Self.room(shape.mainByteCount)
    unsafe read(mainBytes, shape.mainByteCount)
    return unsafe mainBytes.map { UnsafeRawBufferPointer($0) }
  }
  func byteCount(ofSegment index: Int) -> Int? { shape.segmentByteCounts.indices.contains(index) ? shape.segmentByteCounts[index] : nil }
  func read(segment index: Int, into target: UnsafeMutableRawBufferPointer) throws {
    while nextSegment < index {
      unsafe early[nextSegment] = unsafe Self.room(shape.segmentByteCounts[nextSegment])
      unsafe pass(into: early[nextSegment])
    }
    if index == nextSegment {
      unsafe pass(into: target)
    } else if let buffer = unsafe early[index] {
      unsafe target.copyMemory(from: UnsafeRawBufferPointer(buffer))
    } else {
      throw NoMemory(byteCount: shape.segmentByteCounts[index])
    }
  }
  /// Reads what the decoder did not want, so that the next frame is the next job.
  func skipRest() { while nextSegment < shape.segmentByteCounts.count { unsafe pass(into: nil) } }
  private func pass(into target: UnsafeMutableRawBufferPointer?) {
    unsafe read(target, shape.segmentByteCounts[nextSegment])
    nextSegment += 1
  }
  private static func room(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    guard PrivateMemory.isThere(byteCount) else { return nil }
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: max(byteCount, 1), alignment: 16)
    return unsafe UnsafeMutableRawBufferPointer(rebasing: memory[..<byteCount])
  }
}
