import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

// SAFETY: the fields never change; the range is mapped as long as this object lives. Who reads and writes what in it is its users' affair.
/// Memory that several processes use at once: a file without a name whose size is fixed for ever, mapped once in each of them.
///
/// The kernel counts its users: it is freed when the last mapping and the last descriptor have gone, however that happened.
@safe public final class SealedMemory: @unchecked Sendable {
  /// The file.
  public let file: Descriptor
  /// How long it is.
  ///
  /// Unit: bytes; at least 1.
  public let byteCount: Int
  /// Where it begins here.
  public let address: UnsafeMutableRawPointer
  /// Whether this process may write it; otherwise a write is a SIGSEGV.
  public let isWritable: Bool
  /// Whether other processes may map it for writing.
  public let isOpen: Bool
  /// Whether the process that made it, or one that may write it, is believed: its content is what it should be.
  public let isTrusted: Bool
  private let identity: Identity
  private let serial: UInt64

  /// Makes memory of that size, all zero, that this process may write.
  ///
  /// All of it is taken now, so that none is missing later.
  ///
  /// - Parameters:
  ///   - byteCount: at least 1.
  ///   - isOpen: whether processes that get it may write it too. Otherwise the kernel keeps them from it.
  /// - Throws: `SystemError`; with ENOMEM also where there is not so much memory without somebody being killed for it.
  public convenience init(byteCount: Int, isOpen: Bool) throws(SystemError) {
    let action = "make \(byteCount) bytes of shared memory"
    guard MemoryRoom.hasRoom(for: byteCount) else { throw SystemError(action, code: ENOMEM) }
    let number = heddle_sealed_file(byteCount)
    guard number >= 0 else { throw SystemError(action) }
    let file = Descriptor(owning: number)
    let facts = try Self.look(at: file)
    let address = unsafe try Self.map(file, byteCount, isWritable: true)
    var error = unsafe heddle_take_memory(number, address, byteCount)
    // After the mapping, which stays writable.
    if error == 0 && !isOpen { error = heddle_seal_against_writing(number) }
    guard error == 0 else {
      unsafe munmap(address, byteCount)
      throw SystemError(action, code: error)
    }
    unsafe self.init(
      file, byteCount, address, Identity(facts), Self.nextSerial(), isWritable: true, isOpen: isOpen, isTrusted: true)
    Self.enter(self)
  }
  private init(
    _ file: consuming Descriptor, _ byteCount: Int, _ address: UnsafeMutableRawPointer, _ identity: Identity, _ serial: UInt64,
    isWritable: Bool, isOpen: Bool, isTrusted: Bool
  ) {
    self.file = file
    self.byteCount = byteCount
    unsafe self.address = unsafe address
    self.identity = identity
    self.serial = serial
    self.isWritable = isWritable
    self.isOpen = isOpen
    self.isTrusted = isTrusted
  }
  deinit {
    unsafe munmap(address, byteCount)
    let (identity, serial) = (self.identity, self.serial)
    Self.known.withLock { known in if known[identity]?.serial == serial { known[identity] = nil } }
  }

  /// Why a file is not taken over.
  public enum Refusal: Error {
    /// It is not what was said: a sentence why, about whoever sent it.
    case lie(String)
    /// This process can hold no more.
    case system(SystemError)
  }

  /// The memory behind a descriptor that another process sent: what this process has mapped already, or a new mapping.
  ///
  /// - Parameters:
  ///   - byteCount: what the other side says.
  ///   - isTrusted: whether the other side is believed. Of one that is not, a file is taken only if nothing that happens to it later can
  ///     become a signal here: its size is sealed, and every page of it is there.
  public static func adopt(_ file: consuming Descriptor, byteCount: UInt64, isTrusted: Bool) throws(Refusal) -> SealedMemory {
    let facts: heddle_sealed_facts
    do throws(SystemError) { facts = try look(at: file) } catch { throw .system(error) }
    guard facts.is_sealed else { throw .lie("it sent as shared memory a descriptor of something else") }
    guard facts.size == byteCount, byteCount >= 1, byteCount <= UInt64(Int.max) else {
      throw .lie("it sent shared memory of \(facts.size) bytes as \(byteCount)")
    }
    guard facts.is_whole || isTrusted else { throw .lie("it sent shared memory of \(byteCount) bytes that are not all there") }
    let identity = Identity(facts)
    if let mine = known.withLock({ $0[identity]?.memory }), mine.byteCount == Int(byteCount) { return mine }
    let address: UnsafeMutableRawPointer
    do throws(SystemError) { unsafe address = try map(file, Int(byteCount), isWritable: facts.is_writable) } catch { throw .system(error) }
    let memory = unsafe SealedMemory(
      file, Int(byteCount), address, identity, nextSerial(), isWritable: facts.is_writable, isOpen: facts.is_writable, isTrusted: isTrusted)
    enter(memory)
    return memory
  }
  private static func look(at file: borrowing Descriptor) throws(SystemError) -> heddle_sealed_facts {
    var facts = heddle_sealed_facts()
    let error = unsafe heddle_look_at_sealed_file(file.number, &facts)
    guard error == 0 else { throw SystemError("look at shared memory", code: error) }
    return facts
  }
  private static func map(
    _ file: borrowing Descriptor, _ byteCount: Int, isWritable: Bool
  ) throws(SystemError) -> UnsafeMutableRawPointer {
    let address = unsafe mmap(nil, byteCount, isWritable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, file.number, 0)
    guard let address = unsafe address, unsafe address != UnsafeMutableRawPointer(bitPattern: -1) else {
      throw SystemError("map \(byteCount) bytes of shared memory")
    }
    return unsafe address
  }

  // MARK: What is mapped here

  /// Which file it is, for as long as somebody has it open.
  private struct Identity: Hashable {
    var device: UInt64
    var inode: UInt64
    init(_ facts: heddle_sealed_facts) {
      device = facts.device
      inode = facts.inode
    }
  }
  private struct Known {
    weak var memory: SealedMemory?
    var serial: UInt64
  }
  /// So that memory which comes back to a process is the same there, at the same address.
  private static let known = Locked<[Identity: Known]>([:])
  private static let serials = Locked<UInt64>(0)
  private static func nextSerial() -> UInt64 {
    serials.withLock { serial in
      serial += 1
      return serial
    }
  }
  private static func enter(_ memory: SealedMemory) {
    known.withLock { $0[memory.identity] = Known(memory: memory, serial: memory.serial) }
  }
}
