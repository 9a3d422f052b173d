import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// One end of a pair of sockets through which shared memory is handed to another process: one message for all that goes with a frame.
public struct HandoverSocket: ~Copyable, Sendable {
  /// The socket.
  public let descriptor: Descriptor

  /// An end that was inherited, or one of a pair.
  public init(_ descriptor: consuming Descriptor) { self.descriptor = descriptor }
  /// Both ends.
  public static func pair() throws(SystemError) -> Descriptor.Pair {
    var fds: [Int32] = [-1, -1]
    guard unsafe heddle_message_socket_pair(&fds) == 0 else { throw SystemError("make a socket pair") }
    return Descriptor.Pair(first: Descriptor(owning: fds[0]), second: Descriptor(owning: fds[1]))
  }
  /// The most that one message carries.
  public static var limit: Int { Int(HEDDLE_HANDOVER_LIMIT) }

  /// What became of a message.
  public enum Sent {
    case sent
    /// The other side is behind, or too many descriptors are under way on this machine: later.
    case full
    /// There is no other side any more.
    case closed
  }
  /// Sends memory without blocking, or, with `wait`, blocks while the other side is behind.
  public func send(_ memories: [SealedMemory], wait: Bool = false) -> Sent {
    let error = unsafe heddle_send_descriptors(
      descriptor.number, memories.map { $0.file.number }, memories.map { UInt64($0.byteCount) }, Int32(memories.count), wait)
    switch error {
    case 0: return .sent
    case EAGAIN, EWOULDBLOCK, ENOBUFS, ENOMEM, ETOOMANYREFS: return .full
    default: return .closed
    }
  }

  /// What came with a frame.
  public enum Received {
    case memories([SealedMemory])
    /// This process cannot hold it: a sentence why.
    case unusable(String)
    /// The other side has not sent what it said: a sentence about it.
    case lie(String)
  }
  /// Takes the message that was sent with a frame; without blocking, since it was sent before the frame.
  ///
  /// - Parameters:
  ///   - socket: an end's number, whose owner lives on.
  ///   - isTrusted: see `SealedMemory.adopt`.
  public static func receive(_ count: Int, from socket: Int32, isTrusted: Bool) -> Received {
    var fds = [Int32](repeating: -1, count: max(count, 1))
    var sizes = [UInt64](repeating: 0, count: max(count, 1))
    let error = unsafe heddle_receive_descriptors(socket, &fds, &sizes, Int32(clamping: count))
    if error == EMFILE || error == ENFILE || error == ENOMEM {
      return .unusable("\(SystemError("receive \(count) descriptors", code: error))")
    }
    guard error == 0 else { return .lie("it announced shared memory and did not send it") }
    var memories: [SealedMemory] = []
    var failure: Received?
    for (fd, size) in zip(fds, sizes) {
      // Also after a failure: each has to be closed.
      let file = Descriptor(owning: fd)
      if failure != nil { continue }
      do throws(SealedMemory.Refusal) {
        memories.append(try SealedMemory.adopt(file, byteCount: size, isTrusted: isTrusted))
      } catch {
        switch error {
        case .lie(let sentence): failure = .lie(sentence)
        case .system(let error): failure = .unusable("\(error)")
        }
      }
    }
    return failure ?? .memories(memories)
  }
}
