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
    // First touched page by page, 64 MiB cost 24 ms; with huge pages 4.
    if byteCount >= 4 << 20 { unsafe heddle_advise_huge_pages(address, byteCount) }
    return unsafe UnsafeMutableRawBufferPointer(start: address, count: byteCount)
  }
  /// Gives memory from `allocate` back.
  @unsafe public static func free(_ memory: UnsafeMutableRawBufferPointer) { unsafe munmap(memory.baseAddress!, memory.count) }
}
