/// Decodes messages of a `MessageEncoder`, one at a time.
///
/// Reusable, so that what it learned about types serves the next message. Not `Sendable`: one owner at a time.
@safe
public final class MessageDecoder {
  private let reader = MessageReader.take()
  /// Where the next value of a series is.
  @exclusivity(unchecked) private var next = 0

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

  deinit {
    reader.end()
    reader.giveBack()
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
    // The commonest output of tiny jobs needs none of what a message may need.
    if Value.self == Int.self, let number = unsafe WireBytes(bytes).bareInteger { return unsafe unsafeBitCast(number, to: Value.self) }
    return try withReader { reader in
      defer { reader.end() }
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

  /// Calls `body` with the reader, without counting a reference.
  @inline(__always)
  private func withReader<Result>(_ body: (MessageReader) throws -> Result) rethrows -> Result {
    unsafe try Unmanaged.passUnretained(reader)._withUnsafeGuaranteedRef(body)
  }

  // MARK: Series

  /// Begins to decode what `MessageEncoder.encodeSeries` wrote.
  ///
  /// - Parameter bytes: as for `decode`, until `endSeries`.
  /// - Throws: `DecodingError` where it is no message; there is no value then.
  public func beginSeries(_ bytes: UnsafeRawBufferPointer) throws {
    try withReader { reader in
      do throws(ReadFailure) {
        unsafe next = Int(try unsafe reader.begin(WireBytes(bytes)).position)
      } catch {
        endSeries()
        throw reader.decodingError(error, Any.self, codingPath: [])
      }
    }
  }
  /// Whether a value follows.
  public var hasNext: Bool { withReader { reader in unsafe next < reader.bytes.count } }
  /// Decodes the value that follows.
  ///
  /// - Throws: as `decode`; the values behind it are not concerned, unless nobody can say where they begin: then there are none.
  public func decodeNext<Value: Decodable>(_ type: Value.Type) throws -> Value {
    try withReader { reader in
      let place = try nextPlace(reader)
      return try reader.value(type, at: place)
    }
  }
  /// Passes over the value that follows.
  public func skipNext() { _ = try? withReader { reader in try nextPlace(reader) } }
  /// Forgets the series.
  public func endSeries() {
    withReader { reader in reader.end() }
    unsafe next = 0
  }

  @inline(__always)
  private func nextPlace(_ reader: MessageReader) throws -> MessageReader.Place {
    let start = unsafe next
    do throws(ReadFailure) {
      unsafe next = try reader.end(ofValueAt: start)
    } catch {
      unsafe next = .max
      throw reader.decodingError(error, Any.self, codingPath: [])
    }
    return unsafe reader.beginNext(at: start, limit: next)
  }
}
