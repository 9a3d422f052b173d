import CHeddle

/// What a worker wrote when a signal ended it: where in its code it was.
///
/// A handler in the worker writes it (CHeddle/death.c) and nothing in it is believed: it says where to look, not what to do.
public struct DeathNote: Sendable, Hashable {
  /// The signal.
  public var signal: Int32
  /// `si_code`: positive, a fault of the code itself; otherwise somebody sent the signal.
  public var code: Int32
  /// `si_addr`: of a fault of memory, the address that was used.
  public var address: UInt64
  /// The process that sent the signal; nil for a fault of the code itself.
  public var sender: Int32?
  /// The stack pointer.
  public var stack: UInt64
  /// The process that this is about, as it says.
  public var pid: Int32
  /// Where the code was, the innermost function first; from the second on, where a call returns to.
  public var frames: [Frame]

  /// A place in code.
  public struct Frame: Sendable, Hashable {
    /// In the worker's memory.
    public var address: UInt64
    /// In the file that is mapped there.
    ///
    /// Unit: bytes.
    public var fileOffset: UInt64
    /// The file's path; nil: no file is mapped there.
    public var path: String?
  }

  /// Reads a note; nil: `words` holds none.
  ///
  /// - Parameter words: As long as a `heddle_death_note`, private to this process.
  public init?(words bytes: UnsafeRawBufferPointer) {
    func word(_ offset: Int) -> UInt64 { unsafe bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) }
    guard bytes.count >= Self.byteCount, let signal = Int32(exactly: word(0)), signal > 0 else { return nil }
    self.signal = signal
    code = Int32(truncatingIfNeeded: word(8))
    address = word(16)
    sender = code <= 0 ? Int32(truncatingIfNeeded: word(24)) : nil
    stack = word(32)
    pid = Int32(truncatingIfNeeded: word(40))
    frames = []
    for index in 0..<Int(min(word(48), UInt64(HEDDLE_DEATH_FRAMES))) {
      let offset = Self.framesOffset + 24 * index
      let path = word(offset + 16)
      frames.append(
        unsafe Frame(
          address: word(offset), fileOffset: word(offset + 8),
          path: path >= 1 && path <= UInt64(HEDDLE_DEATH_PATHS) ? Self.path(Int(path) - 1, bytes) : nil))
    }
  }
  /// What the worker of this memory left, if it left anything.
  public init?(_ memory: ChannelMemory) {
    guard unsafe memory.otherWord(RegionLayout.deathNote).pointee.load(ordering: .acquiring) != 0 else { return nil }
    // Copied before it is looked at: what the worker started may still write there.
    let copy = unsafe [UInt8](UnsafeRawBufferPointer(start: memory.other + RegionLayout.deathNote, count: Self.byteCount))
    guard let note = unsafe copy.withUnsafeBytes({ unsafe DeathNote(words: $0) }) else { return nil }
    self = note
  }

  /// The size of a note.
  ///
  /// Unit: bytes.
  public static let byteCount = MemoryLayout<heddle_death_note>.size
  private static let framesOffset = 56
  private static let pathsOffset = framesOffset + 24 * Int(HEDDLE_DEATH_FRAMES)

  private static func path(_ index: Int, _ bytes: UnsafeRawBufferPointer) -> String? {
    let length = Int(HEDDLE_DEATH_PATH)
    let start = pathsOffset + index * length
    let path = unsafe [UInt8](bytes[start..<start + length].prefix { $0 != 0 })
    return path.isEmpty ? nil : String(decoding: path, as: UTF8.self)
  }
}
