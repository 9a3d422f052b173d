/// What travels beside a message because it cannot be written into it: memory that both sides are to see.
///
/// The codec knows nothing of it but its place in the list.
public typealias Attachment = any AnyObject & Sendable

/// The encoder of a message that can have attachments; any other encoder has no place for them.
public protocol AttachingEncoder: Encoder {
  /// Lets an object travel beside the message.
  ///
  /// - Returns: Its number, for the message; the same again for the same object.
  func attach(_ attachment: Attachment) -> Int
}

/// The decoder of a message that can have attachments.
public protocol AttachmentDecoder: Decoder {
  /// What came as number `number`; nil where the message has none of that number, which is not to be believed.
  func attachment(_ number: Int) -> Attachment?
  /// Notes that the message cannot be what an honest sender wrote: a sentence about it.
  func accuse(_ sentence: String)
}

extension [Attachment] {
  /// The place of an object, where it is put unless it is there.
  public mutating func place(of attachment: Attachment) -> Int {
    if let place = firstIndex(where: { $0 === attachment }) { return place }
    append(attachment)
    return count - 1
  }
}

extension FlatEncoder: AttachingEncoder {
  func attach(_ attachment: Attachment) -> Int { message == writer.message ? writer.attach(attachment) : 0 }
}
extension TreeEncoder: AttachingEncoder {
  func attach(_ attachment: Attachment) -> Int { context.attachments.place(of: attachment) }
}
extension WireDecoder: AttachmentDecoder {
  func attachment(_ number: Int) -> Attachment? { message == reader.message ? reader.attachment(number) : nil }
  func accuse(_ sentence: String) {
    if message == reader.message { reader.accusation = reader.accusation ?? sentence }
  }
}
