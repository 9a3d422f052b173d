import Glibc
import Heddle
import HeddleSystem
import Testing

/// What a worker hands over that is not what it says.
enum Lie: String, Codable, CaseIterable, Sendable, CustomTestStringConvertible {
  case unsealed, growable, shrinkable, pipe, socket, temporaryFile, fileInSharedMemory, hugePages, tooLong, tooShort, endless, full
  case notThere, empty, several, without, twoInOne
  var testDescription: String { rawValue }

  /// Descriptors to send, and the sizes that are said.
  var message: (descriptors: [Int32], sizes: [UInt64])? {
    switch self {
    case .unsealed: ([file(seals: 0)], [4096])
    case .growable: ([file(seals: 2)], [4096])
    case .shrinkable: ([file(seals: 4)], [4096])
    case .pipe:
      {
        var ends: [Int32] = [0, 0]
        unsafe Glibc.pipe(&ends)
        return ([ends[0]], [4096])
      }()
    case .socket: ([3], [4096])
    case .temporaryFile: ([open("/tmp", 0o20200000 | O_RDWR, 0o600)].map { sized($0) }, [4096])
    case .fileInSharedMemory: ([open("/dev/shm", 0o20200000 | O_RDWR, 0o600)].map { sized($0) }, [4096])
    // Sealed, and with no page behind it: where the machine has no huge pages a touch is a SIGBUS.
    case .hugePages: ([file(seals: 6, flags: 4, size: 2 << 20)], [2 << 20])
    case .tooLong: ([file(seals: 6)], [8192])
    case .tooShort: ([file(seals: 6)], [1024])
    case .endless: ([file(seals: 6)], [.max])
    case .full: ([file(seals: 6)], [0])
    // Sealed, but its pages are still to be found when somebody reads them.
    case .notThere: ([file(seals: 6, isWhole: false, size: 1 << 30)], [1 << 30])
    case .empty: ([], [])
    case .several: ([file(seals: 6), file(seals: 6)], [4096])
    case .without: ([], [4096])
    case .twoInOne: ([file(seals: 6), file(seals: 6)], [4096, 4096])
    }
  }
  private func sized(_ number: Int32) -> Int32 {
    ftruncate(number, 4096)
    return number
  }
  private func file(seals: Int32, flags: UInt32 = 0, isWhole: Bool = true, size: Int = 4096) -> Int32 {
    let number = memoryFile("heddle-lie", flags: 2 | flags)
    ftruncate(number, off_t(size))
    if isWhole && flags == 0 { _ = allocated(number, offset: 0, count: size) }
    // fcntl(2) with a number is hidden from Swift by its overlay's types; F_ADD_SEALS is 1033.
    if seals != 0 { _ = fcntl(number, 1033, seals) }
    return number
  }
}
/// Sends a lie, and then an honest result, which the lie is taken for.
private struct Lies: Job {
  var lie: Lie
  func run() async throws -> SharedBuffer<UInt8> {
    let (descriptors, sizes) = lie.message!
    let honest = try SharedBuffer<UInt8>(count: 4096)
    guard send(descriptors, sizes) else { throw Refusal(code: Int(errno), reason: "not sent") }
    for number in descriptors where number != 3 { close(number) }
    return honest
  }
  private func send(_ descriptors: [Int32], _ sizes: [UInt64]) -> Bool {
    // struct cmsghdr: length, level, type; then the descriptors.
    var control = [UInt8](repeating: 0, count: 16 + (descriptors.count * 4 + 7) / 8 * 8)
    unsafe control.withUnsafeMutableBytes { bytes in
      unsafe bytes.storeBytes(of: 16 + descriptors.count * 4, as: Int.self)
      unsafe bytes.storeBytes(of: SOL_SOCKET, toByteOffset: 8, as: Int32.self)
      unsafe bytes.storeBytes(of: 1, toByteOffset: 12, as: Int32.self)
      for (index, number) in descriptors.enumerated() { unsafe bytes.storeBytes(of: number, toByteOffset: 16 + 4 * index, as: Int32.self) }
    }
    var sizes = sizes
    return unsafe sizes.withUnsafeMutableBytes { data in
      unsafe control.withUnsafeMutableBytes { control in
        var part = unsafe iovec(iov_base: data.baseAddress, iov_len: data.count)
        return unsafe withUnsafeMutablePointer(to: &part) { part in
          var message = unsafe msghdr()
          unsafe message.msg_iov = part
          unsafe message.msg_iovlen = 1
          if !descriptors.isEmpty {
            unsafe message.msg_control = control.baseAddress
            unsafe message.msg_controllen = control.count
          }
          return unsafe sendmsg(7, &message, 0) >= 0
        }
      }
    }
  }
}
/// A result that speaks of memory in a way that cannot be.
private struct Forged: Codable, Sendable {
  var claim: Claim
  var buffer: SharedBuffer<Int32>?
  enum Claim: String, Codable, CaseIterable, Sendable, CustomTestStringConvertible {
    case number, negativeNumber, count, negativeCount, offset, negativeOffset, overflow, stride
    var testDescription: String { rawValue }
  }
  enum CodingKeys: String, CodingKey { case claim, buffer, real }
  struct Spoken: Codable {
    var sharedMemory = 0
    var offset = 0
    var count = 16
    var stride = 4
  }
  init(claim: Claim) { self.claim = claim }
  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(claim, forKey: .claim)
    try container.encode(try SharedBuffer<Int32>(count: 16), forKey: .real)
    var spoken = Spoken()
    switch claim {
    case .number: spoken.sharedMemory = 1
    case .negativeNumber: spoken.sharedMemory = -1
    case .count: spoken.count = 17
    case .negativeCount: spoken.count = -1
    case .offset: spoken.offset = 1
    case .negativeOffset: spoken.offset = -1
    case .overflow: (spoken.offset, spoken.count) = (Int.max, Int.max)
    case .stride: (spoken.stride, spoken.count) = (0, Int.max)
    }
    try container.encode(spoken, forKey: .buffer)
  }
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    claim = try container.decode(Claim.self, forKey: .claim)
    buffer = try container.decode(SharedBuffer<Int32>.self, forKey: .buffer)
  }
}
private struct Forges: Job {
  var claim: Forged.Claim
  func run() async throws -> Forged { Forged(claim: claim) }
}
/// Hands over writable memory, and then does what it can to it.
private struct Undermines: Job {
  var written: String
  func run() async throws -> SharedBuffer<Int32> {
    let buffer = try SharedBuffer<Int32>(copying: 0..<4096, access: .readWrite)
    let copy = dup(ownBuffer()!)
    let path = written
    Task.detached {
      while access(path, F_OK) != 0 { usleep(500) }
      // Refused. Taking its pages away is not: then they are zeros.
      let isShrunk = ftruncate(copy, 0) == 0
      let isPunched = allocated(copy, mode: 3, offset: 0, count: 16384) == 0
      append([isShrunk ? 1 : 0, isPunched ? 1 : 0], to: path + ".done")
    }
    return buffer
  }
}

extension Core {
  /// What a worker says of a buffer is not believed.
  @Suite struct SharedBufferLies {
    @Test(arguments: Lie.allCases) func `a worker that hands over something else is stopped with a reason`(lie: Lie) async throws {
      try await withSubject(.processes, workers: 1) { pool in
        let before = try await pool.submit(ProcessNumber()).value
        let result = await pool.submit(Lies(lie: lie)).result
        if lie == .hugePages, (result.error as? Refusal) != nil { return }
        let error = result.jobError
        #expect(error?.code == .workerDied && error?.message.contains("stopped because") == true, "\(result)")
        let after = try await pool.submit(ProcessNumber()).value
        #expect(before != after)
      }
    }
    @Test(arguments: Forged.Claim.allCases)
    fileprivate func `a worker that speaks of a buffer in a way that cannot be is stopped`(claim: Forged.Claim) async throws {
      try await withSubject(.processes, workers: 1) { pool in
        let before = try await pool.submit(ProcessNumber()).value
        let error = await pool.submit(Forges(claim: claim)).result.jobError
        #expect(error?.code == .notDecodable, "\(error as Any)")
        try await eventually("the end of the worker") { kill(before, 0) != 0 }
        let after = try await pool.submit(ProcessNumber()).value
        #expect(before != after)
      }
    }
    @Test func `a buffer whose worker takes its pages away can be read`() async throws {
      let scratch = Scratch()
      try await withSubject(.processes, workers: 1) { pool in
        let buffer = try await pool.submit(Undermines(written: scratch.path("go"))).value
        #expect(buffer[4095] == 4095)
        append([1], to: scratch.path("go"))
        try await eventually("the attack") { scratch.count("go.done") == 2 }
        #expect(bytes(of: scratch.path("go.done")) == [0, 1])
        #expect(buffer.allSatisfy { $0 == 0 })
      }
    }
  }
}
