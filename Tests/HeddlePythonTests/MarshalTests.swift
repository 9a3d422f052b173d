import Foundation
import Testing

@testable import HeddlePython

/// A type whose containers are asked for and filled in an order that no synthesised conformance uses.
private struct Interleaved: Codable, Equatable {
  var a = 1, b = [2, 3], c = ["x": 4], d = 5

  private enum Keys: String, CodingKey { case a, b, c, d, nested }
  init() {}
  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Keys.self)
    let nested = try container.nestedContainer(keyedBy: Keys.self, forKey: .nested)
    d = try nested.decode(Int.self, forKey: .d)
    c = try nested.decode([String: Int].self, forKey: .c)
    a = try container.decode(Int.self, forKey: .a)
    var list = try container.nestedUnkeyedContainer(forKey: .b)
    b = []
    while !list.isAtEnd { b.append(try list.decode(Int.self)) }
  }
  func encode(to encoder: any Encoder) throws {
    var first = encoder.container(keyedBy: Keys.self)
    var list = first.nestedUnkeyedContainer(forKey: .b)
    var nested = first.nestedContainer(keyedBy: Keys.self, forKey: .nested)
    try list.encode(b[0])
    try first.encode(a, forKey: .a)
    try nested.encode(c, forKey: .c)
    try list.encode(b[1])
    var again = first.nestedContainer(keyedBy: Keys.self, forKey: .nested)
    try again.encode(d, forKey: .d)
  }
}

private class Base: Codable {
  var base = "base"
  init() {}
}
private final class Derived: Base {
  var extra = [1.5, .infinity]
  private enum Keys: CodingKey { case extra }
  override init() { super.init() }
  required init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Keys.self)
    extra = try container.decode([Double].self, forKey: .extra)
    try super.init(from: container.superDecoder())
  }
  override func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Keys.self)
    try super.encode(to: container.superEncoder())
    try container.encode(extra, forKey: .extra)
  }
}

private indirect enum Tree: Codable, Hashable {
  case leaf(Int)
  case node(left: Tree, right: Tree?)
}
private enum IntOrText: Codable, Hashable {
  case int(Int)
  case text(String)
  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    do { self = .int(try container.decode(Int.self)) } catch { self = .text(try container.decode(String.self)) }
  }
  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    switch self {
    case .int(let value): try container.encode(value)
    case .text(let value): try container.encode(value)
    }
  }
}
private struct Mixed: Codable, Equatable {
  var values: [IntOrText]
  init(_ values: [IntOrText]) { self.values = values }
  init(from decoder: any Decoder) throws {
    var container = try decoder.unkeyedContainer()
    values = []
    while !container.isAtEnd {
      if let value = try? container.decode(Int.self) {
        values.append(.int(value))
      } else {
        values.append(.text(try container.decode(String.self)))
      }
    }
  }
  func encode(to encoder: any Encoder) throws { try values.encode(to: encoder) }
}

struct MarshalTests {
  private func roundTrip<T: Codable>(_ value: T) throws -> T {
    try MarshalDecoder().decode(T.self, from: MarshalEncoder().encode(value))
  }
  private func expectRoundTrip<T: Codable & Equatable>(_ value: T, _ location: SourceLocation = #_sourceLocation) throws {
    #expect(try roundTrip(value) == value, sourceLocation: location)
  }

  @Test func `any codable type comes back as it was`() throws {
    try expectRoundTrip(Interleaved())
    try expectRoundTrip(Tree.node(left: .leaf(1), right: .node(left: .leaf(2), right: nil)))
    try expectRoundTrip(Mixed([.int(1), .text("a"), .int(-5)]))
    try expectRoundTrip([Int?.none, 1, nil])
    try expectRoundTrip([Int??.some(.some(1))])
    try expectRoundTrip([Tree.leaf(1): IntOrText.text("x")])
    try expectRoundTrip([1: "a", -2: "b"])
    try expectRoundTrip(Dictionary(uniqueKeysWithValues: (0..<100).map { ("key \($0)", $0) }))
    try expectRoundTrip(Data([0, 255, 7]))
    try expectRoundTrip([UInt8](0...255))
    try expectRoundTrip([Data([1]), Data()])
    try expectRoundTrip(Date(timeIntervalSinceReferenceDate: 1234.5678))
    try expectRoundTrip(URL(string: "https://example.org/a?b=c")!)
    try expectRoundTrip(Decimal(string: "123456789012345678901234567890.5")!)
    try expectRoundTrip(UUID())
    try expectRoundTrip(1..<5)
    try expectRoundTrip(Set([1, 2, 3]))
    try expectRoundTrip("text \u{1F600} \0 é")
    try expectRoundTrip((0..<1000).map { Double($0) / 3 })
    try expectRoundTrip([Int.min, .max, 0, -1, 1 << 31, 1 << 15])
    try expectRoundTrip([[1.5], [], [2]] as [[Float]])
    try expectRoundTrip([UInt64.max, 0])
    try expectRoundTrip([Int128.max, .min, 1 << 100])
    try expectRoundTrip(UInt128.max)
    try expectRoundTrip([Int16.min, .max])
    try expectRoundTrip([true, false])
    try expectRoundTrip(["a": ["b": [PythonValue.int(1), .none, .bytes([1])]]])
    let derived = try roundTrip(Derived())
    #expect(derived.base == "base" && derived.extra == [1.5, .infinity])
    #expect(try roundTrip([Double.nan])[0].isNaN)
    #expect(try roundTrip(-0.0).sign == .minus)
  }

  @Test func `a python value is what was sent`() throws {
    let value: PythonValue = [
      "none": nil, "bool": true, "int": 5, "big": .bigInteger("-123456789012345678901234567890"), "float": 0.1, "text": "é",
      "bytes": .bytes([0, 1]), "list": [1, [2, []]], .int(3): [:], .bool(false): .double(.infinity), "": "",
    ]
    #expect(try roundTrip(value) == value)
    #expect(value["int"] == 5 && value["list"]?[1]?[0] == 2 && value["no"] == nil && value[0] == nil)
    let json = try JSONEncoder().encode(["k": [1, 2.5, "x", nil, true]] as PythonValue)
    #expect(try JSONDecoder().decode(PythonValue.self, from: json) == ["k": [1, 2.5, "x", nil, true]])
  }

  @Test(arguments: [
    "0", "1", "-1", "32767", "32768", "9223372036854775808", "-9223372036854775809", "1" + String(repeating: "0", count: 500),
  ])
  func `a decimal integer of any length keeps its digits`(decimal: String) throws {
    var writer = MarshalWriter()
    let isWritten = writer.write(decimal: decimal)
    #expect(isWritten)
    #expect(try MarshalIndex(writer.bytes).decimal(0) == decimal)
    for wrong in ["", "-", "1x", "1 ", "0x1", "١"] {
      var writer = MarshalWriter()
      let isWritten = writer.write(decimal: wrong)
      #expect(!isWritten, "\(wrong)")
    }
  }

  @Test func `a wrong type is named with its place`() throws {
    let bytes = try MarshalEncoder().encode(["a": [1, 2], "b": ["x"]] as PythonValue)
    struct Wrong: Decodable { var a: [String] }
    let error = #expect(throws: DecodingError.self) { try MarshalDecoder().decode(Wrong.self, from: bytes) }
    guard case .typeMismatch(_, let context)? = error else {
      Issue.record("\(String(describing: error))")
      return
    }
    #expect(context.codingPath.map(\.stringValue) == ["a", "Index 0"])
    #expect(context.debugDescription == "expected String, but it is a Python int")
    for (value, type) in [(PythonValue.double(1), "float"), (.bool(true), "bool"), (.string("1"), "str"), (.bytes([]), "bytes")] {
      let bytes = try MarshalEncoder().encode(value)
      #expect(throws: DecodingError.self, "\(type)") { try MarshalDecoder().decode(Int.self, from: bytes) }
    }
    for number in [PythonValue.int(300), .int(-1), .bigInteger("99999999999999999999")] {
      let bytes = try MarshalEncoder().encode(number)
      #expect(throws: DecodingError.self) { try MarshalDecoder().decode(UInt8.self, from: bytes) }
    }
    #expect(
      try MarshalDecoder().decode(
        Double.self, from: MarshalEncoder().encode(PythonValue.bigInteger("1" + String(repeating: "0", count: 30)))) == 1e30)
  }

  @Test func `a value inside another can be kept as bytes`() throws {
    struct Row: Codable { var a: MarshaledValue, b: MarshaledValue, c: MarshaledValue }
    let value: PythonValue = ["a": [1, ["k": [:]]], "b": .bigInteger("123456789012345678901234567890"), "c": ["x": "y"]]
    let row = try MarshalDecoder().decode(Row.self, from: MarshalEncoder().encode(value))
    for (part, name) in [(row.a, "a"), (row.b, "b"), (row.c, "c")] {
      #expect(try MarshalDecoder().decode(PythonValue.self, from: part.bytes) == value[name])
    }
    #expect(try MarshalEncoder().encode(row) == MarshalEncoder().encode(value))
  }

  @Test func `no bytes can crash the decoder`() throws {
    let good = try MarshalEncoder().encode(
      ["n": nil, "l": [1, 2.5, .bigInteger("123456789012345678901")], "d": ["k": .bytes([1, 2])], "s": "text"] as PythonValue)
    var generator = SplitMix(state: 42)
    func decodeEverything(_ bytes: [UInt8]) {
      _ = try? MarshalDecoder().decode(PythonValue.self, from: bytes)
      _ = try? MarshalDecoder().decode([String: [Int]].self, from: bytes)
      _ = try? MarshalDecoder().decode(Tree.self, from: bytes)
      _ = try? MarshalDecoder().decode([Double].self, from: bytes)
      _ = try? MarshalDecoder().decode([Data].self, from: bytes)
    }
    for length in good.indices { decodeEverything(Array(good[..<length])) }
    for _ in 0..<20_000 {
      var bytes = good
      for _ in 0...Int.random(in: 0..<4, using: &generator) {
        bytes[Int.random(in: 0..<bytes.count, using: &generator)] = .random(in: 0...255, using: &generator)
      }
      decodeEverything(bytes)
    }
    let codes = Array("NTFigusl([{<>0y.c".utf8)
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
        Bool.random(using: &generator) ? codes.randomElement(using: &generator)! : UInt8.random(in: 0...3, using: &generator)
      }
      decodeEverything(bytes)
    }
    // A count of two billion in five bytes, and a nesting of a million.
    decodeEverything([UInt8(ascii: "["), 0xff, 0xff, 0xff, 0x7f])
    decodeEverything([UInt8](repeating: UInt8(ascii: "{"), count: 1_000_000))
    decodeEverything((0..<1_000_000).flatMap { _ in [UInt8(ascii: "["), 1, 0, 0, 0] })
  }

  /// A small generator with a fixed seed, so that a failure can be had again.
  private struct SplitMix: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state &+= 0x9e37_79b9_7f4a_7c15
      var z = state
      z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
      z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
      return z ^ (z >> 31)
    }
  }
}
