import CHeddle

/// Whether there is memory for what a message says, or for a message.
///
/// Swift ends the program where an allocation of its own fails, so the codec asks before each whose size is large and not its own choice.
/// What a type allocates in its own `init(from:)` or `encode(to:)` is that type's affair.
enum Room {
  /// Less is not asked for: where that is missing nothing goes on anyway, and asking costs a microsecond.
  ///
  /// Unit: bytes.
  private static let unasked = 1 << 20

  @inline(__always)
  static func isThere(_ byteCount: Int) -> Bool { byteCount < unasked || heddle_memory_is_there(byteCount) }

  /// - Throws: `ReadFailure.noMemory` where there is none.
  @inline(__always)
  static func need(_ byteCount: Int) throws(ReadFailure) {
    if !isThere(byteCount) { throw .noMemory(byteCount) }
  }
}

/// There is no memory in this process for a value, or for its bytes.
public struct NoMemory: Error, CustomStringConvertible {
  /// How much was asked for.
  ///
  /// Unit: bytes.
  public let byteCount: Int

  /// A sentence.
  public var description: String { "there is no memory for \(byteCount) bytes" }

  /// What a decoding or encoding failed for; nil: for another reason.
  public init?(behind error: any Error) {
    if let error = error as? NoMemory {
      self = error
    } else if case DecodingError.dataCorrupted(let context) = error, let error = context.underlyingError as? NoMemory {
      self = error
    } else {
      return nil
    }
  }
  /// So much is missing.
  public init(byteCount: Int) { self.byteCount = byteCount }
}
