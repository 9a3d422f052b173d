import CHeddle
import Glibc

/// Questions about files by their names, and changes of names.
public enum Files {
  /// Whether something has that name.
  public static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
  /// Whether it is a file that this process may start.
  public static func isExecutable(_ path: String) -> Bool {
    unsafe isRegular(path) && access(path, X_OK) == 0
  }
  /// Whether it is a file that can be read twice: no pipe, terminal or folder.
  public static func isRegular(_ path: String) -> Bool {
    var information = stat()
    return unsafe stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG
  }
  /// The path without symbolic links; as it is where there is nothing of that name.
  public static func resolved(_ path: String) -> String {
    guard let real = unsafe realpath(path, nil) else { return path }
    defer { unsafe free(real) }
    return unsafe String(cString: real)
  }
  /// Gives the file another name, in the place of the one that has it.
  public static func rename(_ path: String, to other: String) throws(SystemError) {
    guard unsafe Glibc.rename(path, other) == 0 else { throw SystemError("rename \(path) to \(other)") }
  }
  /// Removes a name; one that is not there is no error.
  public static func remove(_ path: String) { unsafe _ = unlink(path) }
}

extension Descriptor {
  /// How a file is opened.
  public enum Opening: Sendable {
    /// It must be there; it is read.
    case reading
    /// It is made where it is not there; it is read, and what is written goes to its end.
    case appending
    /// It must not be there; it is read and written.
    case creating
  }
  /// Opens a file, close-on-exec.
  public static func open(_ path: String, for opening: Opening) throws(SystemError) -> Descriptor {
    let flags =
      switch opening {
      case .reading: O_RDONLY
      case .appending: O_RDWR | O_CREAT | O_APPEND
      case .creating: O_RDWR | O_CREAT | O_EXCL
      }
    let number = unsafe Glibc.open(path, flags | O_CLOEXEC, 0o666)
    guard number >= 0 else { throw SystemError("open \(path)") }
    return Descriptor(owning: number)
  }

  /// Takes the file's lock for this process, unless another has it.
  ///
  /// - Returns: Whether it was free. It is free again when the descriptor is closed or the process ends, however it ends.
  public func lockIfFree() -> Bool { flock(number, LOCK_EX | LOCK_NB) == 0 }
  /// Whether the file that is open here is the one that has the name `path` now.
  public func isFile(named path: String) -> Bool {
    var here = stat()
    var there = stat()
    guard unsafe fstat(number, &here) == 0, unsafe stat(path, &there) == 0 else { return false }
    return here.st_ino == there.st_ino && here.st_dev == there.st_dev
  }
  /// The size of the file.
  ///
  /// Unit: bytes.
  public var fileSize: Int {
    var information = stat()
    return unsafe fstat(number, &information) == 0 ? Int(information.st_size) : 0
  }
  /// Cuts the file to `size` bytes.
  public func truncate(to size: Int) { _ = ftruncate(number, off_t(size)) }
  /// Returns once what was written is on the disk.
  ///
  /// Blocks.
  public func synchronize() throws(SystemError) {
    guard fsync(number) == 0 else { throw SystemError("write to the disk") }
  }
  /// Goes to the start of the file.
  public func rewind() { lseek(number, 0, SEEK_SET) }

  /// Reads standard input, which belongs to nobody; otherwise as `read`.
  ///
  /// Blocks.
  public static func readStandardInput(into buffer: inout [UInt8], limit: Int) throws(SystemError) {
    try readBlock(0, into: &buffer, limit: limit)
  }
  /// Reads up to `limit` bytes into `buffer`, in place of what it held; empty at the end of the file.
  ///
  /// Blocks.
  public func readBlock(into buffer: inout [UInt8], limit: Int) throws(SystemError) {
    try Self.readBlock(number, into: &buffer, limit: limit)
  }
  private static func readBlock(_ number: Int32, into buffer: inout [UInt8], limit: Int) throws(SystemError) {
    var failure: SystemError?
    buffer = unsafe [UInt8](unsafeUninitializedCapacity: limit) { memory, count in
      var result: Int
      repeat { result = unsafe Glibc.read(number, memory.baseAddress!, limit) } while result < 0 && errno == EINTR
      if result < 0 { failure = SystemError("read") }
      count = max(result, 0)
    }
    if let failure { throw failure }
  }
  /// `count` bytes from `offset` on, fewer where the file ends before.
  ///
  /// Blocks.
  public func readSlice(at offset: Int, count: Int) throws(SystemError) -> [UInt8] {
    var failure: SystemError?
    let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { memory, filled in
      while filled < count {
        let result = unsafe pread(number, memory.baseAddress! + filled, count - filled, off_t(offset + filled))
        if result > 0 {
          filled += result
        } else if result == 0 || errno != EINTR {
          if result < 0 { failure = SystemError("read") }
          return
        }
      }
    }
    if let failure { throw failure }
    return bytes
  }
  /// Writes all of `bytes`, in one call where the system takes them in one.
  ///
  /// Blocks.
  public func writeAll(_ bytes: [UInt8]) throws(SystemError) {
    try Self.writeAll(bytes, to: number)
  }
  /// Writes all of `bytes` to a descriptor that belongs to nobody: standard output or standard error.
  ///
  /// Blocks.
  public static func writeAll(_ bytes: [UInt8], to number: Int32) throws(SystemError) {
    var failure: SystemError?
    unsafe bytes.withUnsafeBytes { memory in
      var written = 0
      while written < memory.count {
        let result = unsafe Glibc.write(number, memory.baseAddress! + written, memory.count - written)
        if result >= 0 {
          written += result
        } else if errno == EAGAIN {
          // Somebody made the terminal or pipe non-blocking; that is no reason to lose a row.
          var ready = pollfd(fd: number, events: Int16(POLLOUT), revents: 0)
          _ = unsafe poll(&ready, 1, -1)
        } else if errno != EINTR {
          failure = SystemError("write")
          return
        }
      }
    }
    if let failure { throw failure }
  }
}

extension SystemError {
  /// The disk is full.
  public static func diskFull(_ action: String) -> SystemError { SystemError(action, code: ENOSPC) }
  /// Something is wrong with the disk or the file.
  public static func inputOutput(_ action: String) -> SystemError { SystemError(action, code: EIO) }
  /// Whether the reader of a pipe is gone.
  public var isBrokenPipe: Bool { code == EPIPE }
  /// Whether the disk, or what the user may have of it, is full.
  public var isDiskFull: Bool { code == ENOSPC || code == EDQUOT || code == EFBIG }
  /// Whether there is not so much memory, or address space.
  public var isOutOfMemory: Bool { code == ENOMEM || code == ENOSPC || code == EOVERFLOW }
  /// Whether this process, or the machine, may open no more files.
  public var isOutOfDescriptors: Bool { code == EMFILE || code == ENFILE }
  /// Whether there is no such file.
  public var isMissingFile: Bool { code == ENOENT }
  /// What the system calls the error.
  public var reason: String { unsafe String(cString: strerror(code)) }
}
