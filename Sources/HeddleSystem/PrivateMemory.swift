import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Large blocks of memory of this process: reserved at once, but only what is touched costs anything.
public enum PrivateMemory {
  /// nil: the address space or the limit does not allow so much.
  @unsafe public static func allocate(_ byteCount: Int) -> UnsafeMutableRawBufferPointer? {
    let address = unsafe mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    guard let address = unsafe address, unsafe address != UnsafeMutableRawPointer(bitPattern: -1) else { return nil }
    let memory = unsafe UnsafeMutableRawBufferPointer(start: address, count: byteCount)
    unsafe prepare(memory)
    return unsafe memory
  }
  /// Asks for huge pages where they pay, for memory that is about to be touched first.
  @unsafe public static func prepare(_ memory: UnsafeMutableRawBufferPointer) {
    // First touched page by page, 64 MiB cost 24 ms; with huge pages 4.
    if memory.count >= 4 << 20, let address = memory.baseAddress { unsafe heddle_advise_huge_pages(address, memory.count) }
  }
  /// Whether malloc would get so much now.
  ///
  /// Swift ends the program where an allocation of its own fails, so one asks before each whose size another process says, or a large value.
  /// Little is not asked for: where that is missing nothing goes on anyway.
  public static func isThere(_ byteCount: Int) -> Bool { byteCount < unasked || heddle_memory_is_there(byteCount) }
  /// Unit: bytes.
  private static let unasked = 1 << 20
  /// Gives memory from `allocate` back.
  @unsafe public static func free(_ memory: UnsafeMutableRawBufferPointer) { unsafe munmap(memory.baseAddress!, memory.count) }
}
