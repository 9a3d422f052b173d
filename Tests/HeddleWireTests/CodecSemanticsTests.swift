import Foundation
import HeddleWire
import Testing

/// Hands its decoder to a closure.
struct Probe: Decodable {
  @TaskLocal static var body: (@Sendable (any Decoder) throws -> Void)?

  init(from decoder: any Decoder) throws { try Probe.body?(decoder) }
}

@Suite struct `Codec semantics` {
  enum Key: String, CodingKey { case a, b, c, d, absent }

  /// Calls `body` with the decoder of a message.
  func decode(_ value: some Encodable, _ body: @escaping @Sendable (any Decoder) throws -> Void) throws {
    try Probe.$body.withValue(body) { _ = try Message(value).decoded(as: Probe.self) }
  }

  func mismatch(_ body: () throws -> some Any, sourceLocation: SourceLocation = #_sourceLocation) {
    #expect(sourceLocation: sourceLocation) { _ = try body() } throws: { error in
      if case DecodingError.typeMismatch = error { true } else { false }
    }
  }

  @Test func `a wrong type is a mismatch and leaves the position`() throws {
    struct Mixed: Encodable {
      func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        try container.encode("text")
        try container.encode(3.0)
        try container.encode(["a": 1])
        try container.encodeNil()
        try container.encode(300)
      }
    }
    try decode(Mixed()) { decoder in
      var container = try decoder.unkeyedContainer()
      mismatch { try container.decode(Int.self) }
      mismatch { try container.decode([Int].self) }
      mismatch { try container.nestedContainer(keyedBy: Key.self) }
      #expect(container.currentIndex == 0)
      #expect(try container.decode(String.self) == "text")
      mismatch { try container.decode(Int.self) }
      #expect(try container.decode(Double.self) == 3)
      mismatch { try container.decode(Bool.self) }
      mismatch { try container.nestedUnkeyedContainer() }
      #expect(try container.decode([String: Int].self) == ["a": 1])
      #expect(throws: DecodingError.self) { try container.decode(Int.self) }
      #expect(try container.decodeNil())
      #expect(try !container.decodeNil())
      #expect(throws: DecodingError.self) { try container.decode(UInt8.self) }
      var copy = container
      #expect(try copy.decode(Double.self) == 300)
      #expect(copy.isAtEnd && !container.isAtEnd)
      #expect(try container.decode(UInt16.self) == 300)
      #expect(throws: DecodingError.self) { try container.decode(Int.self) }
      #expect(throws: DecodingError.self) { try container.decodeNil() }
    }
  }

  @Test func `keys are found in any order, missing, extra and again`() throws {
    try decode(["a": 1, "b": 2, "c": 3]) { decoder in
      let container = try decoder.container(keyedBy: Key.self)
      for key in [Key.c, .a, .a, .b, .c] { #expect(try container.decode(Int.self, forKey: key) == ["a": 1, "b": 2, "c": 3][key.rawValue]) }
      #expect(Set(container.allKeys) == [.a, .b, .c])
      #expect(container.contains(.b) && !container.contains(.absent))
      #expect(try container.decodeIfPresent(Int.self, forKey: .absent) == nil)
      #expect(try container.decodeIfPresent([Int].self, forKey: .absent) == nil)
      mismatch { try container.decodeIfPresent(String.self, forKey: .a) }
      #expect { try container.decode(Int.self, forKey: .absent) } throws: { error in
        if case DecodingError.keyNotFound(let key, _) = error { key.stringValue == "absent" } else { false }
      }
      // Several containers of one decoder, read in turns.
      let other = try decoder.container(keyedBy: Key.self)
      #expect(try other.decode(Int.self, forKey: .b) == container.decode(Int.self, forKey: .b))
      // A super that was never written reads as nil.
      #expect(try container.superDecoder().singleValueContainer().decodeNil())
      #expect(try container.superDecoder(forKey: .absent).codingPath.map(\.stringValue) == ["absent"])
      #expect(throws: DecodingError.self) { try container.superDecoder().container(keyedBy: Key.self) }
    }
  }

  @Test func `errors name the place`() throws {
    struct Deep: Codable { var list: [[String: Plain]] }
    struct Wrong: Codable { var list: [[String: Shape]] }
    let value = Wrong(list: [[:], ["x": .point]])
    #expect { try Message(value).decoded(as: Deep.self) } throws: { error in
      guard case DecodingError.keyNotFound(_, let context) = error else { return false }
      return context.codingPath.map(\.stringValue) == ["list", "Index 1", "x"]
    }
    #expect { try Message(["a": [1, 300]]).decoded(as: [String: [UInt8]].self) } throws: { error in
      guard case DecodingError.dataCorrupted(let context) = error else { return false }
      return context.codingPath.map(\.stringValue) == ["a", "Index 1"] && context.debugDescription.contains("300 does not fit in UInt8")
    }
  }

  @Test func `floating-point numbers convert as in JSON`() throws {
    #expect(try Message(3).decoded(as: Double.self) == 3)
    #expect(try Message(0.1).decoded(as: Float.self) == 0.1)
    #expect(try Message(0.1 as Float).decoded(as: Double.self) == Double(0.1 as Float))
    #expect(try Message(Double.infinity).decoded(as: Float.self) == .infinity)
    #expect(throws: DecodingError.self) { try Message(1e300).decoded(as: Float.self) }
    mismatch { try Message(3.0).decoded(as: Int.self) }
  }

  @Test func `a value that encodes nothing is an empty container`() throws {
    struct Silent: Encodable { func encode(to encoder: any Encoder) throws {} }
    #expect(try Message(Silent()).decoded(as: [String: Int].self) == [:])
    #expect(try Message([Silent(), Silent()]).decoded(as: [Nothing].self).count == 2)
    #expect(try Message(["a": Silent()]).decoded(as: [String: [String: Int]].self) == ["a": [:]])
  }

  @Test func `nesting is limited both ways`() throws {
    struct Nest: Codable {
      var depth: Int
      init(depth: Int) { self.depth = depth }
      init(from decoder: any Decoder) throws {
        var container = try decoder.unkeyedContainer()
        depth = container.isAtEnd ? 0 : try container.decode(Nest.self).depth + 1
      }
      func encode(to encoder: any Encoder) throws {
        var container = encoder.unkeyedContainer()
        if depth > 0 { try container.encode(Nest(depth: depth - 1)) }
      }
    }
    #expect(try roundTrip(Nest(depth: 511)).depth == 511)
    #expect(throws: EncodingError.self) { try Message(Nest(depth: 512)) }
    #expect(throws: EncodingError.self) { try Message(Nest(depth: 100_000)) }

    struct Selfish: Codable {
      init() {}
      init(from decoder: any Decoder) throws { _ = try decoder.singleValueContainer().decode(Selfish.self) }
      func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(self)
      }
    }
    #expect(throws: EncodingError.self) { try Message(Selfish()) }
    #expect(throws: DecodingError.self) { try Message(1).decoded(as: Selfish.self) }
    // 600 arrays within each other, which no encoder writes.
    let depth = 600
    var bytes: [UInt8] = [0, 1, 0, 0] + littleEndian(8 + 9 * depth)
    for level in (0..<depth).reversed() {
      bytes += [11] + littleEndian(9 * level) + [level == 0 ? 0 : 1, 0, 0, 0]
    }
    #expect(throws: DecodingError.self) { try Message(bytes: bytes + [0]).decoded(as: Nest.self) }
  }

  @Test func `an encoder is usable after a throw, and its keys are the message's own`() throws {
    struct Failing: Encodable {
      func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode([Float](repeating: 1, count: 100_000), forKey: .a)
        throw CancellationError()
      }
    }
    let encoder = MessageEncoder()
    #expect(throws: CancellationError.self) { try encoder.encode(Failing()) }
    #expect(unsafe encoder.segments.isEmpty && encoder.bytes.isEmpty)
    #expect(try Message(["b": 1], encoder: encoder).decoded() == ["b": 1])
    #expect(try Message(["b": 1], encoder: encoder).bytes == Message(["b": 1]).bytes)
  }

  @Test func `an encoder or container that is kept does not reach the next message while that is written or read`() throws {
    final class Keeper: Encodable {
      var encoder: (any Encoder)?
      func encode(to encoder: any Encoder) throws { self.encoder = encoder }
    }
    struct Meddling: Encodable {
      let keeper: Keeper
      func encode(to encoder: any Encoder) throws {
        // It has the place of this value, in the message before; this value encodes nothing.
        var container = keeper.encoder?.singleValueContainer()
        try? container?.encode("stale")
      }
    }
    let keeper = Keeper()
    let encoder = MessageEncoder()
    try encoder.encode(keeper)
    try encoder.encode(Meddling(keeper: keeper))
    #expect(try unsafe MessageDecoder().decode([String: Int].self, from: encoder.bytes, segments: nil) == [:])

    let decoder = MessageDecoder()
    // SAFETY: set and read on this thread, one after the other.
    nonisolated(unsafe) var stale: KeyedDecodingContainer<Key>?
    try Probe.$body.withValue({ unsafe stale = try $0.container(keyedBy: Key.self) }) {
      _ = try Message(["a": 1]).decoded(as: Probe.self, decoder: decoder)
    }
    let readStale: @Sendable (any Decoder) throws -> Void = { _ in
      let container = unsafe stale
      #expect(throws: DecodingError.self) { try container?.decode(Int.self, forKey: .a) }
    }
    try Probe.$body.withValue(readStale) {
      _ = try Message(["a": 2]).decoded(as: Probe.self, decoder: decoder)
    }
  }

  @Test func `a container that is kept does not reach a later message`() throws {
    final class Keeper: Encodable {
      var container: KeyedEncodingContainer<Key>?
      func encode(to encoder: any Encoder) throws {
        container = encoder.container(keyedBy: Key.self)
        try container?.encode(1, forKey: .a)
      }
    }
    let encoder = MessageEncoder()
    let keeper = Keeper()
    try encoder.encode(keeper)
    let first = unsafe Array(encoder.bytes)
    #expect(throws: (any Error).self) { try keeper.container?.encode(1, forKey: .b) }
    unsafe #expect(Array(encoder.bytes) == first)
    #expect(try Message([1, 2], encoder: encoder).decoded() == [1, 2])

    final class Lazy: Decodable {
      let container: KeyedDecodingContainer<Key>
      init(from decoder: any Decoder) throws { container = try decoder.container(keyedBy: Key.self) }
    }
    let decoder = MessageDecoder()
    let lazy = try Message(["a": 1]).decoded(as: Lazy.self, decoder: decoder)
    #expect(try Message(["a": 2]).decoded(as: [String: Int].self, decoder: decoder) == ["a": 2])
    #expect(throws: DecodingError.self) { try lazy.container.decode(Int.self, forKey: .a) }
    #expect(lazy.container.allKeys.isEmpty && !lazy.container.contains(.a) && lazy.container.codingPath.isEmpty)
  }

  @Test func `a container that outlives its encoder or decoder throws and is not given to anybody else`() throws {
    final class Keeper: Codable {
      var writing: KeyedEncodingContainer<Key>?
      let reading: KeyedDecodingContainer<Key>?
      init() { reading = nil }
      init(from decoder: any Decoder) throws { reading = try decoder.container(keyedBy: Key.self) }
      func encode(to encoder: any Encoder) throws {
        writing = encoder.container(keyedBy: Key.self)
        try writing?.encode(1, forKey: .a)
      }
    }
    struct Plain: Codable, Equatable {
      var a: Int
      var b: [Plain] = []
      enum CodingKeys: CodingKey { case a, b }
    }
    let keeper = Keeper()
    var bytes: [UInt8] = []
    var kept: Keeper?
    do {
      let encoder = MessageEncoder()
      let decoder = MessageDecoder()
      let message = try Message(keeper, encoder: encoder)
      bytes = message.bytes
      kept = try message.decoded(as: Keeper.self, decoder: decoder)
      // The same key type again, while somebody has its container; and inside of itself.
      #expect(try Message(Keeper(), encoder: encoder).bytes == bytes)
      let again = try message.decoded(as: Keeper.self, decoder: decoder)
      #expect(throws: DecodingError.self) { try again.reading?.decode(Int.self, forKey: .a) }
      let tree = Plain(a: 1, b: [Plain(a: 2, b: [Plain(a: 3), Plain(a: 4)]), Plain(a: 5)])
      for _ in 0..<3 { #expect(try Message(tree, encoder: encoder).decoded(decoder: decoder) == tree) }
    }
    // Coder, writer and reader would be gone but for these two.
    #expect(throws: (any Error).self) { try keeper.writing?.encode(2, forKey: .b) }
    #expect(throws: DecodingError.self) { try kept?.reading?.decode(Int.self, forKey: .a) }
  }

  @Test func `a box that nobody holds serves again, however deep values nest`() throws {
    final class Boxes: @unchecked Sendable { var seen: Set<UInt> = [] }
    struct Nest: Codable {
      static let written = Boxes()
      static let read = Boxes()
      var depth: Int
      var inner: [Nest]
      enum CodingKeys: CodingKey { case depth, inner }
      init(_ depth: Int) { (self.depth, inner) = (depth, depth > 1 ? [Nest(depth - 1)] : []) }
      init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        Nest.read.seen.insert(unsafeBitCast(container, to: UInt.self))
        depth = try container.decode(Int.self, forKey: .depth)
        inner = try container.decode([Nest].self, forKey: .inner)
      }
      func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        if depth == 1 { Nest.written.seen.insert(unsafeBitCast(container, to: UInt.self)) }
        try container.encode(depth, forKey: .depth)
        try container.encode(inner, forKey: .inner)
      }
    }
    let (encoder, decoder) = (MessageEncoder(), MessageDecoder())
    for _ in 0..<200 { _ = try Message(Nest(1), encoder: encoder).decoded(as: Nest.self, decoder: decoder) }
    #expect(Nest.written.seen.count == 1 && Nest.read.seen.count == 1)
    for _ in 0..<200 { _ = try Message(Nest(7), encoder: encoder).decoded(as: Nest.self, decoder: decoder) }
    #expect(Nest.read.seen.count == 7)
  }

  @Test func `mixing containers at one place is an error, not a trap`() throws {
    struct Mixing: Encodable {
      func encode(to encoder: any Encoder) throws {
        var list = encoder.unkeyedContainer()
        try list.encode(1)
        var keyed = encoder.container(keyedBy: Key.self)
        try keyed.encode(1, forKey: .a)
      }
    }
    #expect(throws: EncodingError.self) { try Message(Mixing()) }
    struct SingleTwice: Encodable {
      func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode("first")
        try container.encode(2)
      }
    }
    #expect(try Message([SingleTwice()]).decoded() == [2])
  }

  @Test func `reading many keys in odd order does not take quadratic time`() throws {
    let dictionary = Dictionary(uniqueKeysWithValues: (0..<20_000).map { ("key \($0)", $0) })
    try decode(dictionary) { decoder in
      let container = try decoder.container(keyedBy: AnyValue.Name.self)
      let clock = ContinuousClock()
      let spent = try clock.measure {
        for key in container.allKeys.reversed() { _ = try container.decode(Int.self, forKey: key) }
      }
      // 20,000 look-ups by scanning would be 200 million steps, minutes in a debug build.
      #expect(spent < .seconds(5))
    }
  }
}
