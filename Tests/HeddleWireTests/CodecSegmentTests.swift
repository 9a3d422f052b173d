import Foundation
import HeddleWire
import Testing

@Suite struct `Codec blocks and segments` {
  func check<Element: Codable & Equatable>(_ element: Element, stride: Int, sourceLocation: SourceLocation = #_sourceLocation) throws {
    for count in [0, 1, 3, 65_536 / stride - 1, 65_536 / stride, 100_000] {
      let array = [Element](repeating: element, count: count)
      let message = try Message(["a": array, "b": array])
      #expect(message.segments.count == (count * stride >= 65_536 ? 2 : 0), sourceLocation: sourceLocation)
      let source = ListSource(message.segments)
      #expect(
        try message.decoded(as: [String: [Element]].self, source: source) == ["a": array, "b": array], sourceLocation: sourceLocation)
      #expect(source.reads.sorted() == Array(message.segments.indices), sourceLocation: sourceLocation)
    }
  }

  @Test func `arrays of every fixed-width type, empty, short and large`() throws {
    try check(Int8.min, stride: 1)
    try check(UInt8.max, stride: 1)
    try check(Int16.min, stride: 2)
    try check(UInt16.max, stride: 2)
    try check(Int32.min, stride: 4)
    try check(UInt32.max, stride: 4)
    try check(Int64.min, stride: 8)
    try check(UInt64.max, stride: 8)
    try check(Int.min, stride: 8)
    try check(UInt.max, stride: 8)
    try check(Float.pi, stride: 4)
    try check(Double.pi, stride: 8)
    try check(true, stride: 1)
  }

  struct Several: Codable, Equatable {
    var a: [Float], b: [Double], c: [Int]

    init(a: [Float], b: [Double], c: [Int]) { (self.a, self.b, self.c) = (a, b, c) }

    enum CodingKeys: CodingKey { case a, b, c }

    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      c = try container.decode([Int].self, forKey: .c)
      a = try container.decode([Float].self, forKey: .a)
      b = try container.decode([Double].self, forKey: .b)
      // A second look at the same value; the segment is not read again.
      guard try container.decode([Int].self, forKey: .c) == c else { throw CancellationError() }
      var elements = try container.nestedUnkeyedContainer(forKey: .b)
      guard try elements.decode(Double.self) == b[0], try elements.decode(Float.self) == Float(b[1]) else { throw CancellationError() }
    }
  }

  @Test func `segments are read once, in any order`() throws {
    let value = Several(a: Array(repeating: 1, count: 20_000), b: Array(repeating: 2, count: 20_000), c: Array(0..<20_000))
    let message = try Message(value)
    #expect(message.segments.count == 3)
    #expect(message.bytes.count < 200)
    let source = ListSource(message.segments)
    #expect(try message.decoded(as: Several.self, source: source) == value)
    #expect(source.reads == [2, 0, 1])
  }

  @Test func `a segment refers to the array's own memory`() throws {
    var array = [Float](repeating: 1, count: 100_000)
    let address = unsafe array.withUnsafeBytes { $0.baseAddress }
    let encoder = MessageEncoder()
    try encoder.encode(array)
    unsafe #expect(encoder.segments[0].bytes.baseAddress == address)
    array[0] = 2
    #expect(unsafe encoder.segments[0].bytes.loadUnaligned(as: Float.self) == 1)
  }

  @Test func `a block can be read as any array of numbers`() throws {
    for count in [5, 100_000] {
      let ints = Array(0..<count)
      #expect(try Message(ints).decoded(as: [Int32].self) == ints.map(Int32.init))
      #expect(try Message(ints).decoded(as: [Double].self) == ints.map(Double.init))
      #expect(try Message(ints).decoded(as: Set<Int>.self) == Set(ints))
      #expect(try Message(ints).decoded(as: [Int?].self) == ints)
      #expect(throws: DecodingError.self) { try Message(ints).decoded(as: [String].self) }
      #expect(throws: DecodingError.self) { try Message(ints.map { $0 + 254 }).decoded(as: [UInt8].self) }
    }
    #expect(try Message([1.5, 2] as [Float]).decoded(as: [Double].self) == [1.5, 2])
    #expect(try Message([Int?](arrayLiteral: 1, 2)).decoded(as: [Int].self) == [1, 2])
    #expect(try Message([1.5, 2] as Set<Float>).decoded(as: [Float].self).sorted() == [1.5, 2])
    #expect(try Message([1, 2]).decoded(as: AnyValue.self) == .list([.int(1), .int(2)]))
  }

  @Test func `Data of 8 MiB takes one copy and one segment`() throws {
    let data = Data(repeating: 5, count: 8 << 20)
    let message = try Message(data)
    #expect(message.segments.map(\.count) == [8 << 20])
    #expect(try message.decoded(as: [UInt8].self).count == 8 << 20)
  }

  @Test func `memory for a segment is prepared before it is filled`() throws {
    let message = try Message([UInt8](repeating: 1, count: 5 << 20))
    let decoder = MessageDecoder()
    var prepared: [Int] = []
    unsafe decoder.prepareLargeArray = { memory in prepared.append(memory.count) }
    _ = try message.decoded(as: [UInt8].self, decoder: decoder)
    #expect(prepared == [5 << 20])
  }

  /// Segments that came into arrays of their own.
  final class LandedSource: SegmentSource {
    let landings: [LandingArray]
    var reads = 0
    init(_ segments: [[UInt8]], kinds: [UInt8]) {
      landings = zip(segments, kinds).map { bytes, kind in
        let landing = LandingArray(kind: kind, byteCount: bytes.count)!
        unsafe landing.bytes.copyBytes(from: bytes)
        return landing
      }
    }
    func byteCount(ofSegment index: Int) -> Int? { landings.indices.contains(index) ? landings[index].bytes.count : nil }
    func landed(segment index: Int) -> (any Sendable)? { landings[index].owner }
    func read(segment index: Int, into destination: UnsafeMutableRawBufferPointer) throws {
      reads += 1
      unsafe destination.copyMemory(from: UnsafeRawBufferPointer(landings[index].bytes))
    }
  }
  struct Many: Codable, Equatable {
    var floats: [Float], doubles: [Double]?, ints: [Int], bytes: [[UInt8]], table: [String: [Int32]?], data: Data
  }

  @Test func `what came into its array is not copied again, anywhere in a value`() throws {
    let value = Many(
      floats: (0..<20_000).map(Float.init), doubles: (0..<20_000).map(Double.init), ints: Array(0..<20_000),
      bytes: [Array(repeating: 3, count: 70_000), Array(repeating: 4, count: 70_000)], table: ["a": (0..<20_000).map(Int32.init)],
      data: Data(repeating: 5, count: 70_000))
    let encoder = MessageEncoder()
    try encoder.encode(value)
    let segments = encoder.segments
    #expect(segments.count == 7, "each is a block of memory")
    let source = LandedSource(segments.map { unsafe Array($0.bytes) }, kinds: segments.map(\.kind))
    #expect(try unsafe MessageDecoder().decode(Many.self, from: encoder.bytes, segments: source) == value)
    #expect(source.reads == 0)
    // As another type it is converted, element by element.
    try encoder.encode(value.ints)
    let ints = LandedSource(encoder.segments.map { unsafe Array($0.bytes) }, kinds: encoder.segments.map(\.kind))
    #expect(try unsafe MessageDecoder().decode([Double].self, from: encoder.bytes, segments: ints) == value.ints.map(Double.init))
    #expect(try unsafe MessageDecoder().decode([Int].self, from: encoder.bytes, segments: ints) == value.ints)
    #expect(ints.reads == 1)
  }
  @Test func `a kind that is none, or whose elements must be looked at, does not land`() throws {
    #expect(LandingArray(kind: 0, byteCount: 8) == nil && LandingArray(kind: 200, byteCount: 8) == nil)
    #expect(LandingArray(kind: 9, byteCount: 7) == nil && LandingArray(kind: 11, byteCount: 8) == nil)
  }
  @Test func `attachments travel beside the message, however it is encoded`() throws {
    final class Thing: Sendable {}
    struct Held: Codable {
      var thing: Thing
      init(_ thing: Thing) { self.thing = thing }
      func encode(to encoder: any Encoder) throws {
        guard let attaching = encoder as? any AttachingEncoder else { throw CancellationError() }
        var container = encoder.singleValueContainer()
        try container.encode(attaching.attach(thing))
      }
      init(from decoder: any Decoder) throws {
        let number = try decoder.singleValueContainer().decode(Int.self)
        guard let thing = (decoder as? any AttachmentDecoder)?.attachment(number) as? Thing else { throw CancellationError() }
        self.thing = thing
      }
    }
    /// Writes to a container after another was opened, so that only the tree can follow.
    struct Odd: Encodable {
      var first: Held, second: Held
      func encode(to encoder: any Encoder) throws {
        var outer = encoder.unkeyedContainer()
        var inner = outer.nestedUnkeyedContainer()
        try outer.encode(first)
        try inner.encode(second)
      }
    }
    let (a, b) = (Thing(), Thing())
    let encoder = MessageEncoder()
    try encoder.encode([Held(a), Held(b), Held(a)])
    #expect(encoder.attachments.count == 2)
    let decoder = MessageDecoder()
    let list = try unsafe decoder.decode([Held].self, from: encoder.bytes, segments: nil, attachments: encoder.attachments)
    #expect(list[0].thing === a && list[1].thing === b && list[2].thing === a)
    #expect(throws: CancellationError.self) { try unsafe decoder.decode([Held].self, from: encoder.bytes, segments: nil) }
    try encoder.encode(Odd(first: Held(a), second: Held(b)))
    #expect(encoder.attachments.count == 2 && encoder.attachments.contains { $0 === a } && encoder.attachments.contains { $0 === b })
    try encoder.encode(1)
    #expect(!encoder.hasAttachments)
  }

  @Test func `a segment that is missing, of another size or used twice is an error`() throws {
    let array = [UInt8](repeating: 1, count: 70_000)
    let message = try Message([array, array])
    #expect(throws: DecodingError.self) { try message.decoded(as: [[UInt8]].self, source: ListSource([])) }
    #expect(throws: DecodingError.self) { try message.decoded(as: [[UInt8]].self, source: ListSource([array, [1]])) }
    var twice = message
    let second = try #require(twice.bytes.lastIndex(of: 1))
    twice.bytes[second] = 0
    #expect(throws: DecodingError.self) { try twice.decoded(as: [[UInt8]].self) }
  }
}
