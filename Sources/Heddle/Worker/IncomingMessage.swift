import HeddleWire

/// A job that comes in parts: its main bytes first, then each segment when the decoder wants it.
@safe final class IncomingMessage: SegmentSource {
  private let shape: MessageShape
  private let read: (UnsafeMutableRawBufferPointer) -> Void
  private var mainBytes: UnsafeMutableRawBufferPointer
  private var nextSegment = 0
  /// Segments that came before they were wanted.
  private var early: [Int: UnsafeMutableRawBufferPointer] = unsafe [:]

  init(shape: MessageShape, read: @escaping (UnsafeMutableRawBufferPointer) -> Void) {
    self.shape = shape
    unsafe self.read = unsafe read
    unsafe mainBytes = .allocate(byteCount: max(shape.mainByteCount, 1), alignment: 16)
  }
  deinit {
    unsafe mainBytes.deallocate()
    unsafe early.values.forEach { buffer in unsafe buffer.deallocate() }
  }
  func main() -> UnsafeRawBufferPointer {
    let bytes = unsafe UnsafeMutableRawBufferPointer(rebasing: mainBytes[..<shape.mainByteCount])
    unsafe read(bytes)
    return UnsafeRawBufferPointer(bytes)
  }
  func byteCount(ofSegment index: Int) -> Int? { shape.segmentByteCounts.indices.contains(index) ? shape.segmentByteCounts[index] : nil }
  func read(segment index: Int, into target: UnsafeMutableRawBufferPointer) throws {
    while nextSegment < index { keep() }
    if let buffer = unsafe early[index] {
      unsafe target.copyMemory(from: UnsafeRawBufferPointer(buffer))
    } else {
      nextSegment = index + 1
      unsafe read(target)
    }
  }
  /// Reads what the decoder did not want, so that the next frame is the next job.
  func skipRest() {
    while nextSegment < shape.segmentByteCounts.count {
      keep()
      unsafe early.removeValue(forKey: nextSegment - 1)?.deallocate()
    }
  }
  private func keep() {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: shape.segmentByteCounts[nextSegment], alignment: 16)
    unsafe read(buffer)
    unsafe early[nextSegment] = unsafe buffer
    nextSegment += 1
  }
}
