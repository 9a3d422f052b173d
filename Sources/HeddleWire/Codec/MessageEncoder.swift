/// Encodes one value at a time into a message that stands alone.
///
/// Reusable, so that buffers and what it learned about types serve the next message. Not `Sendable`: one owner at a time.
public final class MessageEncoder {
  private let current: Cell<FlatWriter>
  private let blocks = BlockTypes()
  /// Types whose containers are not used in LIFO order: a flat attempt is known to be in vain.
  @exclusivity(unchecked) private var treeTypes: Set<ObjectIdentifier> = []

  /// An encoder that can be used again and again.
  public init() {
    current = Cell(FlatWriter(blocks: blocks))
  }

  deinit { writer.releaseBoxes() }

  private var writer: FlatWriter {
    @inline(__always) get { current.value }
  }

  /// The message without its segments; valid until the next `encode` or `reset`.
  public var bytes: UnsafeRawBufferPointer { unsafe withWriter { writer in unsafe writer.buffer.bytes } }

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
    do {
      try encodeFlatOrTree(value)
    } catch {
      dropStaleContainers()
      writer.reset()
      throw error
    }
    dropStaleContainers()
  }

  /// Drops the content, what it refers to, and a scratch buffer that grew past 1 MiB.
  public func reset() {
    writer.reset()
  }

  private func encodeFlatOrTree<Value: Encodable>(_ value: Value) throws {
    let isWritten = try withWriter { writer in
      if unsafe !treeTypes.isEmpty && treeTypes.contains(ObjectIdentifier(Value.self)) { return false }
      if writer.writeBare(value) {
        if writer.buffer.missing != nil || writer.buffer.count > WireLimit.message { try refuseSize(of: value) }
        return true
      }
      writer.beginMessage()
      do {
        try writer.append(value)
      } catch {
        return try answer(error, writer)
      }
      // An error that came out is the value's answer; one that was swallowed left half a value behind.
      if writer.isViolated || writer.hasFailed { return try answer(nil, writer) }
      writer.endMessage()
      if writer.buffer.missing != nil || writer.buffer.count > WireLimit.message { try refuseSize(of: value) }
      return true
    }
    if !isWritten { try encodeTree(value) }
  }

  /// Calls `body` with the writer, without counting a reference.
  @inline(__always)
  private func withWriter<Result>(_ body: (FlatWriter) throws -> Result) rethrows -> Result {
    // SAFETY: nobody but `dropStaleContainers` gives the writer away.
    unsafe try Unmanaged.passUnretained(writer)._withUnsafeGuaranteedRef(body)
  }

  @inline(never)
  private func refuseSize<Value>(of value: Value) throws {
    try checkMemory()
    guard writer.buffer.count <= WireLimit.message else {
      let description = "The value takes \(writer.buffer.count) bytes without its large arrays; a message holds \(WireLimit.message)."
      throw EncodingError.invalidValue(value, .init(codingPath: [], debugDescription: description))
    }
  }

  /// Throws what is the value's own error; false where the tree has to say.
  @inline(never)
  private func answer(_ error: (any Error)?, _ writer: FlatWriter) throws -> Bool {
    if let error, !writer.isViolated { throw error }
    if let failure = writer.failure { throw failure }
    // The tree would need more.
    try checkMemory()
    return false
  }

  @inline(never)
  private func encodeTree<Value: Encodable>(_ value: Value) throws {
    let context = TreeContext(blocks: blocks)
    let root = try context.node(for: value, codingPath: [])
    if let failure = context.failure { throw failure }
    unsafe treeTypes.insert(ObjectIdentifier(Value.self))
    dropStaleContainers()
    let fresh = self.writer
    fresh.beginMessage()
    fresh.attachments = context.attachments
    try fresh.append(root)
    if let failure = fresh.failure { throw failure }
    fresh.endMessage()
    try refuseSize(of: value)
  }

  private func checkMemory() throws(NoMemory) {
    // Not an `EncodingError`: that holds the value, and to print it would take more of what is missing.
    if let byteCount = writer.buffer.missing { throw NoMemory(byteCount: byteCount) }
  }

  /// Gives the writer away when a container of the value is still held by somebody: a later write to it must not reach a later message.
  private func dropStaleContainers() {
    guard !isKnownUniquelyReferenced(&current.value) else { return }
    let stale = writer
    current.value = FlatWriter(blocks: blocks)
    writer.takeContent(of: stale)
    stale.retire()
  }
}
