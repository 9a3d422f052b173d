import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// SAFETY: it never changes; the descriptor and the size may be used from any thread.
/// Memory that two processes see: an unnamed file, so that no name is left behind whoever dies.
@safe public struct SharedMemory: ~Copyable, @unchecked Sendable {
  /// The file without a name.
  public let file: Descriptor
  /// Its size.
  ///
  /// Unit: bytes.
  public let byteCount: Int

  /// Makes a file of that size, all zero.
  public init(byteCount: Int) throws(SystemError) {
    let number = heddle_memory_file(byteCount)
    guard number >= 0 else { throw SystemError("make \(byteCount) bytes of shared memory") }
    file = Descriptor(owning: number)
    self.byteCount = byteCount
  }
  /// Takes over a file that the other side made.
  public init(adopting file: consuming Descriptor, byteCount: Int) {
    self.file = file
    self.byteCount = byteCount
  }
  /// Maps a part of the file.
  public func map(offset: Int, byteCount: Int, writable: Bool) throws(SystemError) -> Mapping {
    let protection = writable ? PROT_READ | PROT_WRITE : PROT_READ
    let address = unsafe mmap(nil, byteCount, protection, MAP_SHARED, file.number, off_t(offset))
    guard let address = unsafe address, unsafe address != UnsafeMutableRawPointer(bitPattern: -1) else {
      throw SystemError("map \(byteCount) bytes of shared memory")
    }
    return unsafe Mapping(address: address, byteCount: byteCount)
  }
  /// Maps a part of the file twice in a row, so that what runs past its end is contiguous.
  public func mapTwice(offset: Int, byteCount: Int, writable: Bool) throws(SystemError) -> Mapping {
    guard let address = unsafe heddle_map_twice(file.number, offset, byteCount, writable) else {
      throw SystemError("map \(byteCount) bytes of shared memory")
    }
    return unsafe Mapping(address: address, byteCount: 2 * byteCount)
  }

  // SAFETY: the range is mapped as long as this owner lives; who reads and writes what in it is the ring's protocol.
  /// A part of the address space; unmapped exactly once.
  @safe public struct Mapping: ~Copyable, @unchecked Sendable {
    /// Where it begins here.
    public let address: UnsafeMutableRawPointer
    /// How long it is here.
    ///
    /// Unit: bytes.
    public let byteCount: Int

    @unsafe init(address: UnsafeMutableRawPointer, byteCount: Int) {
      unsafe self.address = address
      self.byteCount = byteCount
    }
    deinit { unsafe munmap(address, byteCount) }
  }
}
