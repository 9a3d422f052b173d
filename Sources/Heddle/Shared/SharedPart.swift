package import HeddleSystem

/// A part of shared memory and what lies in it, for the codecs of workers that are not Swift.
package struct SharedPart: Sendable {
  package var memory: SealedMemory
  /// Where it begins.
  ///
  /// Unit: elements.
  package var offset: Int
  /// How many elements it has.
  package var count: Int
  /// Unit: bytes.
  package var stride: Int
  /// Of what type the elements are.
  package var element: Any.Type
  /// Whether every element is one: false where a worker may have written it.
  package var isTrusted: Bool

  package init(memory: SealedMemory, offset: Int, count: Int, stride: Int, element: Any.Type, isTrusted: Bool) {
    self.memory = memory
    self.offset = offset
    self.count = count
    self.stride = stride
    self.element = element
    self.isTrusted = isTrusted
  }
}

/// An encoder that writes a part of memory in a form of its own, and lets the memory travel beside the message.
package protocol SharedPartEncoder: Encoder {
  func encode(_ part: SharedPart) throws
}

/// A decoder that reads a part of memory in a form of its own.
package protocol SharedPartDecoder: Decoder {
  /// The part, which lies within its memory, with elements of `stride` bytes each.
  ///
  /// - Throws: `DecodingError` where it is none, or one of other elements.
  func sharedPart(of element: Any.Type, stride: Int) throws -> SharedPart
}
