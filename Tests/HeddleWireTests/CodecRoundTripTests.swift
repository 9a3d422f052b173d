import Foundation
import HeddleWire
import Testing

@Suite struct `Codec round trips` {
  /// The value comes back from Heddle as it comes back from JSON and from property lists, alone and inside other values.
  func check<Value: Codable & Equatable>(
    _ value: Value, json: Bool = true, list: Bool = true, sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let ours = try roundTrip(value)
    #expect(ours == value, sourceLocation: sourceLocation)
    if json {
      let theirs = try JSONDecoder().decode([Value].self, from: JSONEncoder().encode([value]))
      #expect([ours] == theirs, sourceLocation: sourceLocation)
    }
    if list {
      let theirs = try PropertyListDecoder().decode([Value].self, from: PropertyListEncoder().encode([value]))
      #expect([ours] == theirs, sourceLocation: sourceLocation)
    }
    #expect(try roundTrip([value, value]) == [value, value], sourceLocation: sourceLocation)
    #expect(try roundTrip(["key": value]) == ["key": value], sourceLocation: sourceLocation)
    #expect(try roundTrip(Generic(value: value, others: [1])) == Generic(value: value, others: [1]), sourceLocation: sourceLocation)
    // Reused coders know keys and types of the message before.
    let encoder = MessageEncoder()
    let decoder = MessageDecoder()
    for _ in 0..<3 {
      #expect(try Message(value, encoder: encoder).decoded(decoder: decoder) == value, sourceLocation: sourceLocation)
      #expect(try Message([3], encoder: encoder).decoded(decoder: decoder) == [3], sourceLocation: sourceLocation)
    }
  }

  @Test func `synthesized structs and enums`() throws {
    try check(Plain(id: -7, name: "Ada", ratio: 0.1, small: 1.5, flag: true, bytes: [1, 2, 255], maybe: 3, other: nil))
    for shape in [Shape.point, .circle(radius: 2), .box(1, 2), .named("n", size: nil), .named("n", size: 3)] { try check(shape) }
    try check(Expression.sum(.number(1), .negation(of: .sum(.number(2), .number(3)))))
    try check(Generic(value: Generic(value: "a", others: [1.5]), others: [Generic(value: [1], others: ["x"])]))
    try check(Holder())
    try check(Nothing())
    try check(
      TreeOf(label: "root", children: [TreeOf(label: "a", children: []), TreeOf(label: "b", children: [TreeOf(label: "c", children: [])])]))
    try check(Suit.clubs)
  }

  @Test func `optionals collapse as in JSON`() throws {
    try check([Int?.none, 3], list: false)
    #expect(try roundTrip(Int?.none) == nil)
    #expect(try roundTrip(Int??.some(.some(4))) == 4)
    #expect(try roundTrip(Int??.some(.none)) == Int??.none)
    #expect(try roundTrip(["a": Int?.none, "b": 2]) == ["a": nil, "b": 2])
  }

  @Test func `dictionaries with any key`() throws {
    try check(["a": 1, "": 2, "漢字🧵": 3, "A": 4, "é": 5, "nul\u{0}": 6], list: false)
    try check([1: "a", -5: "b"])
    try check([Suit.clubs: 1, .hearts: 2])
    try check([Place(x: 1, y: 2): "a"])
    try check(Dictionary(uniqueKeysWithValues: (0..<10_000).map { ("key \($0)", $0) }))
    let nested = Dictionary(
      uniqueKeysWithValues: (0..<100).map { ("k\($0)", Dictionary(uniqueKeysWithValues: (0..<100).map { ("k\($0)", $0) })) })
    try check(nested)
  }

  @Test func `keys that are equal as strings are one key`() throws {
    #expect(try roundTrip(["e\u{301}": 1]) == ["\u{e9}": 1])
  }

  @Test func `classes with super`() throws {
    try check(WithSuper(id: 1, name: "n", tail: 2))
    try check(LateSuper(id: 1, name: "n"))
    try check(SharedContainer(id: 1, name: "n"))
    try check([LateSuper(id: 1, name: "n"), LateSuper(id: 2, name: "m")])
  }

  @Test func `hand-written conformances`() throws {
    try check(Reordered(a: 1, b: "b", c: [1, 2, 3]), list: false)
    try check(Interleaved(left: [1, 2, 3], right: [4]))
    try check(Twice(value: 3))
    try check(Swallowing(value: 3), list: false)
    // Each path was compared with the one that the encoder showed at that place.
    let paths = [
      "", "/dictionary/a", "/dictionary/b", "/list/Index 0/Index 0", "/list/Index 0/Index 1", "/list/Index 2/Index 0", "/first", "/nested",
      "/nested/first",
    ]
    #expect(try roundTrip([PathWitness()])[0].paths == paths.map { "Index 0" + $0 })
  }

  @Test func `recursive types`() throws {
    try check(ListNode.chain(200))
    #expect(try roundTrip(ListNode.chain(300)) == ListNode.chain(300))
  }

  @Test func `Foundation's types`() throws {
    for count in [0, 1, 100, 1 << 20] { try check(Data((0..<count).map { UInt8(truncatingIfNeeded: $0) }), list: count < 1000) }
    try check([Data([1, 2]), Data(), Data(repeating: 3, count: 70_000)])
    try check(Date(timeIntervalSince1970: 1.5), list: false)
    try check(Decimal(string: "123456789.000000000123456789")!, list: false)
    try check(URL(string: "https://example.org/a?b=c#d")!)
    try check(URL(string: "relative", relativeTo: URL(string: "https://example.org"))!.absoluteURL)
    try check(UUID())
    try check(IndexSet([1, 2, 5]))
    try check(DateComponents(year: 2026, month: 11))
  }

  @Test func `numbers at their edges`() throws {
    try check([Int.min, Int.max, 0, -1, 63, 64, -64, -65])
    try check([UInt64.max, UInt64(Int64.max) + 1, 0], list: false)
    for value in [Int128.min, .max, 0, -1, Int128(Int64.min) - 1, Int128(UInt64.max) + 1] { #expect(try roundTrip(value) == value) }
    for value in [UInt128.max, 0, UInt128(Int128.max) + 1] { #expect(try roundTrip(value) == value) }
    for value in [Double.greatestFiniteMagnitude, .infinity, -.infinity, -0.0, .leastNonzeroMagnitude, .pi] {
      #expect(try roundTrip(value).bitPattern == value.bitPattern)
      #expect(try roundTrip([value, 1] as Set).contains(value))
    }
    #expect(try roundTrip(Double.nan).isNaN)
    #expect(try roundTrip(Float.greatestFiniteMagnitude) == .greatestFiniteMagnitude)
    #expect(try roundTrip(Float.signalingNaN).isNaN)
    #if arch(x86_64) || arch(arm64)
      #expect(try roundTrip(Float16(1.5)) == 1.5)
    #endif
  }

  @Test func `other types of the standard library`() throws {
    try check(1..<5)
    try check(1...5)
    try check(Set([1, 2, 3]))
    try check(Set(["a", "b"]))
    try check([[1], [], [2, 3]])
    try check(ContiguousArray([1, 2]))
    try check([true, false])
    #expect(try roundTrip(Duration.seconds(3)) == .seconds(3))
    for text in ["", "a\u{0}b", "🧵👩‍👩‍👧‍👦", String(repeating: "long 漢 ", count: 20_000)] { try check(text, list: false) }
  }

  @Test func `random values`() throws {
    var random = SeededGenerator(state: 42)
    let encoder = MessageEncoder()
    let decoder = MessageDecoder()
    for _ in 0..<4_000 {
      let value = AnyValue.random(depth: 5, using: &random)
      #expect(try Message(value, encoder: encoder).decoded(decoder: decoder) == value)
    }
  }
}
