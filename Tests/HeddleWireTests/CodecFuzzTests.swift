import Foundation
import HeddleWire
import Testing

/// Messages as a crashed or hostile process might leave them: a thrown error or a value, never a trap.
@Suite struct `Codec against damaged messages` {
  /// A message and the ways to read it.
  struct Subject {
    var message: Message
    var read: (Message, MessageDecoder) throws -> Void

    init<Value: Codable>(_ value: Value) throws {
      message = try Message(value)
      read = { message, decoder in
        _ = try message.decoded(as: Value.self, decoder: decoder)
      }
    }
  }

  static func subjects() throws -> [Subject] {
    var random = SeededGenerator(state: 7)
    return try [
      Subject(Plain(id: -7, name: "Ada", ratio: 0.1, small: 1.5, flag: true, bytes: [1, 2, 255], maybe: 3, other: "é")),
      Subject([Shape.box(1, 2), .named("n", size: 3), .point]),
      Subject(Expression.sum(.number(1), .negation(of: .number(2)))),
      Subject(["a": [1: "x"], "b": [:]]),
      Subject([Place(x: 1, y: 2): [UInt64.max]]),
      Subject(WithSuper(id: 1, name: "n", tail: 2)),
      Subject(ListNode.chain(20)),
      Subject([Data([1, 2, 3]), Data(repeating: 1, count: 300)]),
      Subject([[true, false], [true]]),
      Subject([Int128.max, 1]),
      Subject(Dictionary(uniqueKeysWithValues: (0..<40).map { ("key \($0)", $0) })),
      Subject(Reordered(a: 1, b: "b", c: [1, 2])),
      Subject(AnyValue.random(depth: 5, using: &random)),
      Subject(AnyValue.list((0..<8).map { _ in AnyValue.random(depth: 3, using: &random) })),
    ]
  }

  /// Messages with segments, whose 8,192 elements are read one by one after most mutations, which takes 100 ms in a debug build.
  static func largeSubjects() throws -> [Subject] {
    try [Subject([[Double](repeating: 1, count: 8_192), [2]]), Subject(["k": [Int](repeating: 1, count: 8_192)])]
  }

  static func mutate(_ bytes: inout [UInt8], other: [UInt8], using random: inout SeededGenerator) {
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      guard !bytes.isEmpty else { return }
      let place = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<7, using: &random) {
      case 0: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 1: bytes[place] = UInt8.random(in: 0...20, using: &random)
      case 2: bytes.removeSubrange(place...)
      case 3: bytes.insert(contentsOf: other.prefix(Int.random(in: 0...other.count, using: &random)).suffix(20), at: place)
      case 4: for index in place..<min(place + 4, bytes.count) { bytes[index] = 0xFF }
      case 5: bytes.insert(contentsOf: [0xFF, 0xFF, 0xFF, 0xFF, 0x7F], at: place)
      default: bytes.remove(at: place)
      }
    }
  }

  /// HEDDLE_FUZZ_FRAMES says how many are tried; the usual number suits a debug build.
  static let mutationCount = ProcessInfo.processInfo.environment["HEDDLE_FUZZ_FRAMES"].flatMap { Int($0) } ?? 240_000
  /// Messages that once gave an outcome that none before them had; a line each: the reader's number, then the bytes.
  static let corpusPath = URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("Corpus/messages.txt").path

  @Test func `each message of the corpus gives a value or an error`() throws {
    let subjects = try Self.subjects()
    let text = try String(contentsOfFile: Self.corpusPath, encoding: .utf8)
    let decoder = MessageDecoder()
    var count = 0
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard fields.count == 2, let reader = Int(fields[0]), subjects.indices.contains(reader) else { continue }
      let digits = Array(fields[1].utf8)
      let bytes = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
        UInt8(String(decoding: digits[$0...$0 + 1], as: UTF8.self), radix: 16)
      }
      do { try subjects[reader].read(Message(bytes: bytes), decoder) } catch is DecodingError {}
      count += 1
    }
    #expect(count > 100)
  }

  @Test(arguments: 0..<4) func `mutations give a value or an error`(part: Int) throws {
    let subjects = try Self.subjects()
    let large = try Self.largeSubjects()
    let environment = ProcessInfo.processInfo.environment
    var random = SeededGenerator(state: UInt64(part) &+ (environment["HEDDLE_TEST_SEED"].flatMap { UInt64($0) } ?? 0) &* 4)
    let decoder = MessageDecoder()
    // Scripts/fuzz.sh asks for what is new, to keep it.
    let record = environment["HEDDLE_FUZZ_RECORD"]
    var outcomes: Set<String> = []
    var thrown = 0
    for round in 0..<Self.mutationCount / 4 {
      let subject = round % 500 == 0 ? large[round / 500 % large.count] : subjects[round % subjects.count]
      var message = subject.message
      // None is left as it was.
      while message.bytes == subject.message.bytes {
        Self.mutate(&message.bytes, other: subjects[Int.random(in: 0..<subjects.count, using: &random)].message.bytes, using: &random)
      }
      // One in four is read as another type.
      let other = Int.random(in: 0..<subjects.count, using: &random)
      let reader = round % 4 == 0 ? subjects[other] : subject
      do {
        try reader.read(message, decoder)
      } catch let error as DecodingError {
        thrown += 1
        guard let record, message.segments.isEmpty, message.bytes.count < 400 else { continue }
        let number = round % 4 == 0 ? other : round % subjects.count
        let outcome = "\(number) \(error)".filter { !$0.isNumber }
        guard outcomes.insert("\(number) \(outcome)").inserted else { continue }
        let line = "\(number) " + message.bytes.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined() + "\n"
        let file = try #require(FileHandle(forWritingAtPath: record))
        try file.seekToEnd()
        file.write(Data(line.utf8))
        try file.close()
      }
    }
    print("fuzz: codec, part \(part): \(Self.mutationCount / 4) changed messages, \(thrown) refused, peak \(Self.peakMemory() >> 20) MiB")
    #expect(thrown > Self.mutationCount / 12)
    #expect(Self.peakMemory() < 1 << 30)
  }

  @Test func `every truncation of every message is an error`() throws {
    for subject in try Self.subjects() + Self.largeSubjects() {
      for count in 0..<subject.message.bytes.count {
        var message = subject.message
        message.bytes.removeSubrange(count...)
        #expect(throws: DecodingError.self) { try subject.read(message, MessageDecoder()) }
      }
    }
  }

  @Test func `a huge count allocates nothing`() throws {
    let header: [UInt8] = [0, 1, 0, 0]
    func message(_ value: [UInt8]) -> Message {
      Message(bytes: header + littleEndian(8 + value.count) + value + [0])
    }
    // An unkeyed container with 2^32-1 elements in no bytes, a block of 2^45-1 elements, a string of 2^62 bytes.
    let huge: [[UInt8]] = [
      [11, 0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF], [12, 7, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x07],
      [9, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x3F], [13, 7, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F, 0],
      [3] + Array(repeating: 0xFF, count: 10),
      [10, 0xFF, 0xFF, 0xFF, 0xFF],
    ]
    for value in huge {
      #expect(throws: DecodingError.self) { try message(value).decoded(as: Data.self) }
      #expect(throws: DecodingError.self) { try message(value).decoded(as: [Int].self) }
      #expect(throws: DecodingError.self) { try message(value).decoded(as: String.self) }
      #expect(throws: DecodingError.self) { try message(value).decoded(as: [String: Int].self) }
      #expect(throws: DecodingError.self) { try message(value).decoded(as: AnyValue.self) }
    }
    // A count is not handed out before it is checked, because arrays and Data take it for their capacity.
    struct CountProbe: Decodable {
      init(from decoder: any Decoder) throws { _ = try decoder.unkeyedContainer().count }
    }
    for value in [huge[0], huge[1], huge[3]] { #expect(throws: DecodingError.self) { try message(value).decoded(as: CountProbe.self) } }
    #expect(throws: DecodingError.self) { try message([9, 2, 0xC3, 0x28]).decoded(as: String.self) }
    #expect(throws: DecodingError.self) { try message([12, 11, 2, 0, 2]).decoded(as: [Bool].self) }
    #expect(throws: DecodingError.self) { try message([12, 11, 2, 0, 2]).decoded(as: [Bool?].self) }
  }

  @Test func `a value that reaches beyond what surrounds it is an error`() throws {
    // Each value ends where the message's value area ends, and what holds it ends before; a decoder that let this pass could be made to read
    // the same bytes at every level.
    func message(_ value: [UInt8], keys: [UInt8] = [0]) -> Message {
      Message(bytes: [0, 1, 0, 0] + littleEndian(8 + value.count) + value + keys)
    }
    let key: [UInt8] = [1, 1, 0x61]
    func list(_ byteCount: Int, _ count: Int, _ content: [UInt8]) -> [UInt8] {
      [11] + littleEndian(byteCount) + littleEndian(count) + content
    }
    func keyed(_ byteCount: Int, _ content: [UInt8]) -> [UInt8] { [10] + littleEndian(byteCount) + content }
    #expect(try message(list(10, 1, list(1, 1, [2]))).decoded(as: [[Bool]].self) == [[true]])
    #expect(throws: DecodingError.self) { try message(list(9, 1, list(1, 1, [2]))).decoded(as: [[Bool]].self) }
    #expect(throws: DecodingError.self) { try message(list(3, 1, [9, 2, 0x61, 0x62])).decoded(as: [String].self) }
    #expect(throws: DecodingError.self) { try message(list(3, 1, [12, 2, 2, 0x61, 0x62])).decoded(as: [[UInt8]].self) }
    #expect(try message(keyed(5, [0, 9, 2, 0x61, 0x62]), keys: key).decoded(as: [String: String].self) == ["a": "ab"])
    #expect(throws: DecodingError.self) { try message(keyed(4, [0, 9, 2, 0x61, 0x62]), keys: key).decoded(as: [String: String].self) }
    #expect(throws: DecodingError.self) {
      try message(keyed(6, [0] + keyed(2, [0, 2])), keys: key).decoded(as: [String: [String: Bool]].self)
    }
  }

  /// Most memory that this process had resident so far.
  ///
  /// Unit: bytes.
  static func peakMemory() -> Int {
    let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") } ?? "VmHWM: 0 kB"
    return (Int(line.split(separator: " ").dropFirst().first ?? "0") ?? 0) * 1024
  }
}
