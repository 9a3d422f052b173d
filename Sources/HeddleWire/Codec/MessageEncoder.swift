/// Encodes values into a message that stands alone: one at a time, or a series of small ones.
///
/// Reusable, so that buffers and what it learned about types serve the next message. Not `Sendable`: one owner at a time.
public final class MessageEncoder {
  private let writer = FlatWriter.take()
  /// Types whose containers are not used in LIFO order: a flat attempt is known to be in vain.
  @exclusivity(unchecked) private var treeTypes: Set<ObjectIdentifier> = []

  /// An encoder that can be used again and again.
  public init() {}

  deinit { writer.giveBack() }

  /// The message without its segments; valid until the next `encode` or `reset`.
  public var bytes: UnsafeRawBufferPointer { unsafe withWriter { writer in unsafe writer.buffer.bytes } }

  /// The same where that is all of it; nil: it has segments or attachments.
  public var plainBytes: UnsafeRawBufferPointer? {
    unsafe withWriter { writer in
      let isPlain = writer.state.value.segments.isEmpty && writer.state.value.attachments.isEmpty
      return unsafe isPlain ? writer.buffer.bytes : nil
    }
  }

  /// The blocks of 64 KiB and more, kept by reference, in order of their numbers; valid until the next `encode` or `reset`.
  public var segments: [Segment] { writer.segments }

  /// Whether there are segments, without a look at them.
  public var hasSegments: Bool { withWriter { writer in !writer.state.value.segments.isEmpty } }

  /// What travels beside the message, in order of its numbers; valid until the next `encode` or `reset`.
  public var attachments: [Attachment] { writer.attachments }

  /// Whether there are attachments, without a look at them.
  public var hasAttachments: Bool { withWriter { writer in !writer.state.value.attachments.isEmpty } }

  /// Replaces the content by `value`.
  ///
  /// `encode(to:)` of the value may run twice; see README.md, "Flat and tree".
  /// - Throws: `EncodingError`, `NoMemory`, and what the value's own `encode(to:)` throws. The content is empty then and the encoder usable.
  public func encode<Value: Encodable>(_ value: Value) throws {
    try withWriter { writer in
      do {
        if writer.writeBare(value) { return try checkSize(of: value, writer) }
        writer.beginMessage()
        try append(value, to: writer)
        writer.endMessage()
        try checkSize(of: value, writer)
      } catch {
        writer.reset()
        throw error
      }
    }
  }

  /// Replaces the content by a series: values one behind the other, with one table of keys, for `MessageDecoder.beginSeries`.
  ///
  /// It ends before a value that would make it larger than `byteLimit`, that has large arrays or attachments, or that cannot be encoded;
  /// `encode` says what is wrong with that one.
  ///
  /// - Parameter byteLimit: unit: bytes.
  /// - Returns: how many values it has; of none nothing is to be decoded.
  public func encodeSeries<Value: Encodable>(_ values: ArraySlice<Value>, byteLimit: Int) -> Int {
    withWriter { writer in
      writer.beginMessage()
      let count = unsafe values.withUnsafeBufferPointer { values in
        for index in values.indices {
          let start = writer.start
          // SAFETY: an index of the buffer; a subscript would copy the value.
          let isAppended = unsafe (try? append((values.baseAddress! + index).pointee, to: writer)) != nil
          let isPlain = writer.state.value.segments.isEmpty && writer.state.value.attachments.isEmpty && writer.buffer.missing == nil
          if isAppended && isPlain && writer.buffer.count &+ writer.symbols.tableByteCount <= byteLimit { continue }
          writer.abandonValue(at: start)
          return index
        }
        return values.count
      }
      writer.endMessage()
      return count
    }
  }

  /// Drops the content, what it refers to, and a scratch buffer that grew past 1 MiB.
  public func reset() {
    writer.reset()
  }

  /// Calls `body` with the writer, without counting a reference.
  @inline(__always)
  private func withWriter<Result>(_ body: (FlatWriter) throws -> Result) rethrows -> Result {
    unsafe try Unmanaged.passUnretained(writer)._withUnsafeGuaranteedRef(body)
  }

  /// Appends a value to the message.
  @inline(__always)
  private func append<Value: Encodable>(_ value: Value, to writer: FlatWriter) throws {
    let start = writer.start
    if unsafe treeTypes.isEmpty || !treeTypes.contains(ObjectIdentifier(Value.self)) {
      do {
        try writer.append(value)
        // An error that came out is the value's answer; one that was swallowed left half a value behind.
        if !writer.isViolated && !writer.hasFailed { return }
        try answer(nil, writer)
      } catch {
        try answer(error, writer)
      }
    }
    try appendTree(value, at: start, to: writer)
  }

  /// Throws what is the value's own error; otherwise the tree has to say.
  @inline(never)
  private func answer(_ error: (any Error)?, _ writer: FlatWriter) throws {
    if let error, !writer.isViolated { throw error }
    if let failure = writer.failure { throw failure }
    // The tree would need more.
    try checkMemory(writer)
  }

  @inline(never)
  private func appendTree<Value: Encodable>(_ value: Value, at start: FlatWriter.Start, to writer: FlatWriter) throws {
    let context = TreeContext(blocks: writer.blocks)
    let root = try context.node(for: value, codingPath: [])
    if let failure = context.failure { throw failure }
    unsafe treeTypes.insert(ObjectIdentifier(Value.self))
    writer.abandonValue(at: start)
    writer.attachments = context.attachments
    try writer.append(root)
    if let failure = writer.failure { throw failure }
    writer.finishValue(at: start.position, depth: 0)
  }

  @inline(__always)
  private func checkSize<Value>(of value: Value, _ writer: FlatWriter) throws {
    if writer.buffer.missing != nil || writer.buffer.count > WireLimit.message { try refuseSize(of: value, writer) }
  }

  @inline(never)
  private func refuseSize<Value>(of value: Value, _ writer: FlatWriter) throws {
    try checkMemory(writer)
    let description = "The value takes \(writer.buffer.count) bytes without its large arrays; a message holds \(WireLimit.message)."
    throw EncodingError.invalidValue(value, .init(codingPath: [], debugDescription: description))
  }

  private func checkMemory(_ writer: FlatWriter) throws(NoMemory) {
    // Not an `EncodingError`: that holds the value, and to print it would take more of what is missing.
    if let byteCount = writer.buffer.missing { throw NoMemory(byteCount: byteCount) }
  }
}
