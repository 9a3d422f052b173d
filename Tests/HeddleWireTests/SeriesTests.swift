import Foundation
import HeddleWire
import Testing

@Suite struct `Series` {
  /// What a decoder finds in a series, with an error's name in the place of a value.
  func outcomes<Value: Decodable>(
    _ type: Value.Type, _ bytes: [UInt8], _ decoder: MessageDecoder = MessageDecoder()
  ) -> [Result<Value, any Error>] {
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
    defer { unsafe copy.deallocate() }
    unsafe copy.copyBytes(from: bytes)
    do { unsafe try decoder.beginSeries(UnsafeRawBufferPointer(copy)) } catch { return [.failure(error)] }
    defer { decoder.endSeries() }
    var outcomes: [Result<Value, any Error>] = []
    // A value has a byte at least.
    while decoder.hasNext, outcomes.count <= bytes.count { outcomes.append(Result { try decoder.decodeNext(type) }) }
    return outcomes
  }
  func series<Value: Codable>(_ values: [Value], byteLimit: Int = 1 << 16, _ encoder: MessageEncoder = MessageEncoder()) -> (Int, [UInt8]) {
    let count = encoder.encodeSeries(values[...], byteLimit: byteLimit)
    return (count, unsafe Array(encoder.bytes))
  }
  func roundTrip<Value: Codable & Equatable>(_ values: [Value], sourceLocation: SourceLocation = #_sourceLocation) throws {
    let (count, bytes) = series(values)
    #expect(count == values.count, sourceLocation: sourceLocation)
    #expect(try outcomes(Value.self, bytes).map { try $0.get() } == values, sourceLocation: sourceLocation)
  }

  /// A class and its superclass write to one container, as the flat way cannot follow where they take turns.
  struct Turns: Codable, Equatable {
    var number: Int
    enum CodingKeys: CodingKey { case a, b, c }
    init(_ number: Int) { self.number = number }
    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      var list = try container.nestedUnkeyedContainer(forKey: .a)
      number = try list.decode(Int.self) + container.decode(Int.self, forKey: .b) + list.decode(Int.self)
    }
    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      var list = container.nestedUnkeyedContainer(forKey: .a)
      try list.encode(number)
      try container.encode(0, forKey: .b)
      try list.encode(0)
    }
  }
  /// Refuses to be encoded, or decoded.
  struct Fussy: Codable, Equatable {
    struct Refusal: Error {}
    var number: Int
    var travels = true
    enum CodingKeys: CodingKey { case number, travels }
    init(_ number: Int, travels: Bool = true) { (self.number, self.travels) = (number, travels) }
    init(from decoder: any Decoder) throws {
      let container = try decoder.container(keyedBy: CodingKeys.self)
      number = try container.decode(Int.self, forKey: .number)
      travels = try container.decode(Bool.self, forKey: .travels)
      if number < 0 { throw Refusal() }
    }
    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(number, forKey: .number)
      if !travels { throw Refusal() }
      try container.encode(travels, forKey: .travels)
    }
  }

  @Test func `values come as they went`() throws {
    try roundTrip((0..<1000).map { ["key": $0, "key \($0 % 7)": -$0] })
    try roundTrip((0..<100).map(Turns.init))
    try roundTrip(["", "text", String(repeating: "é", count: 500)])
    try roundTrip([1, nil, 3])
    try roundTrip((0..<50).map { [Double](repeating: 0.5, count: $0) })
    try roundTrip((0..<20).map { ListNode.chain($0 + 1) })
    try roundTrip([[String: [Int]]](repeating: [:], count: 30))
  }
  @Test func `it ends before what does not fit, and can go on from there`() throws {
    let encoder = MessageEncoder()
    var rest = (0..<5000).map { ["key \($0)": String(repeating: "x", count: $0 % 90)] }[...]
    let all = rest
    var arrived: [[String: String]] = []
    while !rest.isEmpty {
      let count = encoder.encodeSeries(rest, byteLimit: 2_000)
      #expect(unsafe count > 0 && encoder.bytes.count <= 2_000)
      arrived += try unsafe outcomes([String: String].self, Array(encoder.bytes)).map { try $0.get() }
      rest = rest.dropFirst(count)
      if count == 0 { break }
    }
    #expect(arrived == Array(all))
    #expect(series([String(repeating: "x", count: 3000)], byteLimit: 2_000).0 == 0)
  }
  @Test func `it ends before a value with large arrays or that cannot be encoded`() throws {
    let large = [Float](repeating: 1, count: 100_000)
    #expect(series([[1], [2], large, [3]]).0 == 2)
    #expect(series([large]).0 == 0)
    let encoder = MessageEncoder()
    let (count, bytes) = series([Fussy(1), Fussy(2), Fussy(3, travels: false), Fussy(4)], encoder)
    #expect(count == 2)
    #expect(try outcomes(Fussy.self, bytes).map { try $0.get() } == [Fussy(1), Fussy(2)])
    #expect(encoder.segments.isEmpty)
    // The encoder is as good as before.
    #expect(try Message(Fussy(5), encoder: encoder).decoded() == Fussy(5))
  }
  @Test func `a value that cannot be decoded is the only one that is missing`() throws {
    let (_, bytes) = series([Fussy(1), Fussy(-1), Fussy(2)])
    let outcomes = outcomes(Fussy.self, bytes)
    #expect(outcomes.map { (try? $0.get())?.number } == [1, nil, 2])
    #expect(throws: Fussy.Refusal.self) { try outcomes[1].get() }
    // As another type that it is not: each says so, with its place.
    struct Other: Decodable { var number: String }
    let others = self.outcomes(Other.self, bytes)
    #expect(others.count == 3)
    for other in others {
      #expect { try other.get() } throws: { error in
        guard case DecodingError.typeMismatch(_, let context) = error else { return false }
        return context.codingPath.map(\.stringValue) == ["number"]
      }
    }
  }
  @Test func `an encoder that was kept does not write into the values behind its own`() throws {
    final class Keeper: @unchecked Sendable { var encoder: (any Encoder)? }
    struct Meddling: Codable {
      static let keeper = Keeper()
      var number: Int
      enum CodingKeys: CodingKey { case number }
      init(_ number: Int) { self.number = number }
      init(from decoder: any Decoder) throws { number = try decoder.container(keyedBy: CodingKeys.self).decode(Int.self, forKey: .number) }
      func encode(to encoder: any Encoder) throws {
        var stale = Meddling.keeper.encoder?.container(keyedBy: CodingKeys.self)
        try? stale?.encode(99, forKey: .number)
        var single = Meddling.keeper.encoder?.singleValueContainer()
        try? single?.encode(98)
        Meddling.keeper.encoder = encoder
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(number, forKey: .number)
      }
    }
    let (count, bytes) = series((0..<10).map(Meddling.init))
    #expect(count == 10)
    #expect(try outcomes(Meddling.self, bytes).map { try $0.get().number } == Array(0..<10))
  }
  @Test func `damaged series give values or errors, never a trap, and an end`() throws {
    var random = SeededGenerator(state: 11)
    let subjects = [series((0..<20).map { ["a": $0, "b": -$0] }).1, series((0..<5).map { ["k": $0] }).1]
    let decoder = MessageDecoder()
    for subject in subjects {
      for end in 0..<subject.count { _ = outcomes([String: Int].self, Array(subject[..<end]), decoder) }
      for _ in 0..<3000 {
        var bytes = subject
        `Codec against damaged messages`.mutate(&bytes, other: subjects[1], using: &random)
        let outcomes = outcomes([String: Int].self, bytes, decoder)
        #expect(outcomes.count <= max(1, bytes.count))
      }
      #expect(outcomes([String: Int].self, subject, decoder).count > 4)
    }
  }
}
