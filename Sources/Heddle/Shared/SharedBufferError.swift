import HeddleSystem

/// Why there is no ``SharedBuffer``.
public struct SharedBufferError: Error, Sendable, CustomStringConvertible {
  /// The causes.
  public enum Code: String, Sendable, Hashable, Codable, CaseIterable {
    /// The machine, or the control group that this process is in, has not so much memory left.
    ///
    /// /dev/shm does not matter: the memory is not taken from there.
    case noMemory
    /// This process may open no more descriptors; each buffer needs one.
    case noDescriptor
    /// The element type has values that not every pattern of bits stands for, and other processes may write the memory.
    case unsuitableElement
    /// The system refused for another reason: see the message.
    case refused
  }
  /// The cause.
  public var code: Code
  /// A sentence that says what happened and what to try.
  public var message: String

  /// An error with that cause.
  public init(code: Code, message: String) {
    self.code = code
    self.message = message
  }
  init<Element>(_ error: SystemError, count: Int, of type: Element.Type) {
    let size = "\(count) elements of \(type), \(MemoryLayout<Element>.stride) bytes each,"
    if error.isOutOfMemory {
      let room = MemoryRoom.available().map { " About \($0.megabytes) are left to this process and those that share its limits." } ?? ""
      self.init(code: .noMemory, message: "There is no memory for \(size) to be shared.\(room) Share less at once, or raise the limit.")
    } else if error.isOutOfDescriptors {
      self.init(
        code: .noDescriptor,
        message: "\(size) cannot be shared: \(error.reason). Each SharedBuffer holds a descriptor; raise the limit (ulimit -n), or put "
          + "several into one and pass parts of it (extracting).")
    } else {
      self.init(
        code: .refused, message: "\(size) cannot be shared: \(error). The limit of file sizes (ulimit -f) holds for shared memory too.")
    }
  }
  /// The code and the message.
  public var description: String { "\(code): \(message)" }
}
