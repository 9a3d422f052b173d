/// Decodes messages of a `MessageEncoder`, one at a time.
///
/// Reusable, so that what it learned about types serves the next message. Not `Sendable`: one owner at a time.
@safe
public final class MessageDecoder {
  private let current = Cell(MessageReader())

  /// Called with the memory of an array of 4 MiB or more before a segment is read into it, to ask for huge pages.
  public var prepareLargeArray: ((UnsafeMutableRawBufferPointer) -> Void)?

  /// What was found out about the sender of one of the messages since the last call: a sentence.
  public func takeAccusation() -> String? {
    if reader.accusation == nil { return nil }
    return reader.accusation.take()
  }

  /// Notes that a message cannot be what an honest sender wrote: a sentence about it.
  public func accuse(_ sentence: String) { reader.accusation = reader.accusation ?? sentence }

  /// A decoder that can be used again and again.
  public init() {}

  deinit { reader.releaseBoxes() }

  private var reader: MessageReader {
    @inline(__always) get { current.value }
  }

  /// Decodes the value of a message.
  ///
  /// - Parameters:
  ///   - type: Any type that reads what was written.
  ///   - bytes: The message, private memory that nobody writes until this returns. Their content is not trusted.
  ///   - segments: Where the large arrays come from, nil for a message without.
  ///   - attachments: What came beside the message.
  /// - Throws: `DecodingError` for whatever is wrong with the bytes or does not fit the type; what the type's own `init(from:)` or the
  ///   source throws.
  public func decode<Value: Decodable>(
    _ type: Value.Type, from bytes: UnsafeRawBufferPointer, segments: (any SegmentSource)?, attachments: [Attachment] = []
  ) throws -> Value {
    defer { endMessage() }
    // SAFETY: nobody but `endMessage` gives the reader away.
    return unsafe try Unmanaged.passUnretained(reader)._withUnsafeGuaranteedRef { reader in
      let place: MessageReader.Place
      do throws(ReadFailure) {
        place = try unsafe reader.begin(WireBytes(bytes))
      } catch {
        throw reader.decodingError(error, type, codingPath: [])
      }
      if let segments {
        reader.segments.source = segments
        unsafe reader.segments.prepareLarge = prepareLargeArray
      }
      if !attachments.isEmpty { reader.attachments = attachments }
      // SAFETY: the two types are the same one.
      if Value.self == Int.self { return unsafe unsafeBitCast(try reader.integer(at: place), to: Value.self) }
      return try reader.value(type, at: place)
    }
  }

  /// Forgets the message, and gives the reader away when a container is still held by somebody: it must not see a later message.
  private func endMessage() {
    unsafe Unmanaged.passUnretained(reader)._withUnsafeGuaranteedRef { reader in reader.end() }
    guard !isKnownUniquelyReferenced(&current.value) else { return }
    reader.releaseBoxes()
    let accusation = reader.accusation
    current.value = MessageReader()
    reader.accusation = accusation
  }
}
