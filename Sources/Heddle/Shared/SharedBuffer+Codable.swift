import HeddleSystem
import HeddleWire

/// In the place of memory that came but that this process cannot hold.
package final class UnusableMemory: Sendable {
  /// A sentence.
  package let reason: String
  init(reason: String) { self.reason = reason }
}

// What travels in the message is which of its attachments the memory is, and which part of it.
extension SharedBuffer: Codable {
  private enum CodingKeys: String, CodingKey { case sharedMemory, offset, count, stride }
  private static var stride: Int { MemoryLayout<Element>.stride }

  /// Lets it travel in a job or a result.
  ///
  /// - Throws: `EncodingError.invalidValue` for any encoder but an executor's: it cannot be written down, only handed over.
  public func encode(to encoder: any Encoder) throws {
    guard let attaching = encoder as? any AttachingEncoder else {
      if let other = encoder as? any SharedPartEncoder {
        let offset = unsafe (UnsafeMutableRawPointer(base) - memory.address) / Self.stride
        return try other.encode(
          SharedPart(
            memory: memory, offset: offset, count: count, stride: Self.stride, element: Element.self, isTrusted: memory.isTrusted))
      }
      let description =
        "A SharedBuffer is memory, which only an executor can hand to another process, in a job or its output. "
        + "To write its elements with \(type(of: encoder)), encode Array(buffer)."
      throw EncodingError.invalidValue(self, .init(codingPath: encoder.codingPath, debugDescription: description))
    }
    let number = attaching.attach(memory)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(number, forKey: .sharedMemory)
    try container.encode(unsafe (UnsafeMutableRawPointer(base) - memory.address) / Self.stride, forKey: .offset)
    try container.encode(count, forKey: .count)
    try container.encode(Self.stride, forKey: .stride)
  }
  /// The memory that came with a job or a result.
  ///
  /// - Throws: `DecodingError`: for any decoder but an executor's; where it was sent with elements of another size; where a worker made it and
  ///   not every pattern of bits is an element; where this process can open or map no more.
  public init(from decoder: any Decoder) throws {
    guard let attached = decoder as? any AttachmentDecoder else {
      if let other = decoder as? any SharedPartDecoder {
        let part = try other.sharedPart(of: Element.self, stride: Self.stride)
        guard part.isTrusted || Self.elementsAreNumbers else { throw Self.notOfNumbers(decoder) }
        self.init(part.memory, offset: part.offset, count: part.count)
        return
      }
      let description = "A SharedBuffer only comes in a job or its output, through an executor; \(type(of: decoder)) has none."
      throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: description))
    }
    let container = try decoder.container(keyedBy: CodingKeys.self)
    let number = try container.decode(Int.self, forKey: .sharedMemory)
    let offset = try container.decode(Int.self, forKey: .offset)
    let count = try container.decode(Int.self, forKey: .count)
    let stride = try container.decode(Int.self, forKey: .stride)
    func fail(_ description: String) -> DecodingError {
      .dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: description))
    }
    let attachment = attached.attachment(number)
    if let unusable = attachment as? UnusableMemory {
      throw fail("The memory of a SharedBuffer came, but this process cannot hold it: \(unusable.reason)")
    }
    guard let memory = attachment as? SealedMemory else {
      attached.accuse("it spoke of shared memory that it had not sent")
      throw fail("There is no shared memory \(number) with this message")
    }
    let end = offset.addingReportingOverflow(count)
    guard stride > 0, offset >= 0, count >= 0, !end.overflow, end.partialValue <= memory.byteCount / stride else {
      let claim = "\(count) elements of \(stride) bytes from element \(offset) on"
      attached.accuse("it spoke of \(claim) in \(memory.byteCount) bytes of shared memory")
      throw fail("\(claim) are not within \(memory.byteCount) bytes of shared memory")
    }
    guard stride == Self.stride else {
      let description = "This SharedBuffer was sent with elements of \(stride) bytes; \(Element.self) has \(Self.stride)."
      throw DecodingError.typeMismatch(Self.self, .init(codingPath: decoder.codingPath, debugDescription: description))
    }
    guard memory.isTrusted || Self.elementsAreNumbers else { throw Self.notOfNumbers(decoder) }
    self.init(memory, offset: offset, count: count)
  }
  private static func notOfNumbers(_ decoder: any Decoder) -> DecodingError {
    let description =
      "\(Element.self) has values that not every pattern of bits stands for, so memory that a worker made cannot hold it. "
      + "Use a number in its place, such as UInt8."
    return .dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: description))
  }
}
