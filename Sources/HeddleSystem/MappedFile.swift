import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// SAFETY: the range is mapped read-only as long as this object lives, and never changes here.
/// A file in the address space, for reading; no descriptor stays open.
@safe public final class MappedFile: @unchecked Sendable {
  /// What the file holds.
  ///
  /// Valid as long as this object lives. A file that somebody shortens meanwhile cannot be read past its end: so only files that are
  /// loaded as code are opened this way, which the same would break anyhow.
  public let bytes: UnsafeRawBufferPointer

  /// Maps the whole file.
  public init(path: String) throws(SystemError) {
    let number = unsafe heddle_open_for_reading(path)
    guard number >= 0 else { throw SystemError("open \(path)") }
    let descriptor = Descriptor(owning: number)
    let count = descriptor.fileSize
    let address = unsafe mmap(nil, max(count, 1), PROT_READ, MAP_PRIVATE, descriptor.number, 0)
    guard let address = unsafe address, unsafe address != UnsafeMutableRawPointer(bitPattern: -1) else { throw SystemError("map \(path)") }
    unsafe bytes = UnsafeRawBufferPointer(start: address, count: count)
  }
  deinit { unsafe munmap(UnsafeMutableRawPointer(mutating: bytes.baseAddress!), max(bytes.count, 1)) }
}
