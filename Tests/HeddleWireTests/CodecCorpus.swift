import Foundation

// Types whose values must come back from the codec as they come back from Foundation's coders. Each shows one way of being Codable.

struct Plain: Codable, Equatable {
  var id: Int
  var name: String
  var ratio: Double
  var small: Float
  var flag: Bool
  var bytes: [UInt8]
  var maybe: Int?
  var other: String?
}

enum Shape: Codable, Equatable {
  case point
  case circle(radius: Double)
  case box(Int, Int)
  case named(_ name: String, size: Int?)
}

indirect enum Expression: Codable, Equatable {
  case number(Int)
  case sum(Expression, Expression)
  case negation(of: Expression)
}

enum Suit: String, Codable, CodingKeyRepresentable, Hashable { case clubs, hearts }

struct Place: Codable, Hashable { var x: Int, y: Int }

struct Generic<Value: Codable & Equatable, Other: Codable & Equatable>: Codable, Equatable {
  var value: Value
  var others: [Other]
}

struct Nothing: Codable, Equatable {}

struct Holder: Codable, Equatable {
  var nothing = Nothing()
  var nothings = [Nothing(), Nothing()]
}

final class ListNode: Codable, Equatable {
  var value: Int
  var next: ListNode?

  init(_ value: Int, _ next: ListNode?) {
    self.value = value
    self.next = next
  }

  static func == (left: ListNode, right: ListNode) -> Bool { left.value == right.value && left.next == right.next }

  static func chain(_ count: Int) -> ListNode {
    (1..<count).reduce(ListNode(0, nil)) { rest, value in ListNode(value, rest) }
  }
}

struct TreeOf: Codable, Equatable {
  var label: String
  var children: [TreeOf]
}

/// Classes: how a subclass passes its superclass a place to write to.
class Base: Codable, Equatable {
  var id: Int

  init(id: Int) { self.id = id }

  static func == (left: Base, right: Base) -> Bool { left.isEqual(to: right) }
  func isEqual(to other: Base) -> Bool { id == other.id }
}

final class WithSuper: Base {
  var name: String
  var tail: Int

  enum CodingKeys: CodingKey { case name, tail }

  init(id: Int, name: String, tail: Int) {
    self.name = name
    self.tail = tail
    super.init(id: id)
  }

  required init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    tail = try container.decode(Int.self, forKey: .tail)
    try super.init(from: container.superDecoder())
  }

  override func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
    try super.encode(to: container.superEncoder())
    try container.encode(tail, forKey: .tail)
  }

  override func isEqual(to other: Base) -> Bool {
    (other as? WithSuper).map { $0.id == id && $0.name == name && $0.tail == tail } ?? false
  }
}

/// Takes the super encoder first and uses it last.
final class LateSuper: Base {
  var name: String

  enum CodingKeys: CodingKey { case name, base }

  init(id: Int, name: String) {
    self.name = name
    super.init(id: id)
  }

  required init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    name = try container.decode(String.self, forKey: .name)
    try super.init(from: container.superDecoder(forKey: .base))
  }

  override func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    let base = container.superEncoder(forKey: .base)
    try container.encode(name, forKey: .name)
    try super.encode(to: base)
  }

  override func isEqual(to other: Base) -> Bool { (other as? LateSuper).map { $0.id == id && $0.name == name } ?? false }
}

/// Shares one container with its superclass.
final class SharedContainer: Base {
  var name: String

  enum CodingKeys: CodingKey { case name }

  init(id: Int, name: String) {
    self.name = name
    super.init(id: id)
  }

  required init(from decoder: any Decoder) throws {
    name = try decoder.container(keyedBy: CodingKeys.self).decode(String.self, forKey: .name)
    try super.init(from: decoder)
  }

  override func encode(to encoder: any Encoder) throws {
    try super.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(name, forKey: .name)
  }

  override func isEqual(to other: Base) -> Bool { (other as? SharedContainer).map { $0.id == id && $0.name == name } ?? false }
}

/// Reads in another order than it writes, adds and leaves out keys.
struct Reordered: Codable, Equatable {
  var a: Int, b: String, c: [Int]

  enum CodingKeys: String, CodingKey { case a, b = "B", c = "é", extra, missing }

  init(a: Int, b: String, c: [Int]) { (self.a, self.b, self.c) = (a, b, c) }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    c = try container.decode([Int].self, forKey: .c)
    guard container.contains(.extra), !container.contains(.missing), try container.decodeNil(forKey: .extra) else {
      throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "contains"))
    }
    a = try container.decode(Int.self, forKey: .a)
    b = try container.decodeIfPresent(String.self, forKey: .missing) ?? container.decode(String.self, forKey: .b)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encodeNil(forKey: .extra)
    try container.encode(a, forKey: .a)
    try container.encode(b, forKey: .b)
    try container.encode(c, forKey: .c)
  }
}

/// Writes to two nested containers in turns.
struct Interleaved: Codable, Equatable {
  var left: [Int], right: [Int]

  enum CodingKeys: CodingKey { case left, right, deep }

  init(left: [Int], right: [Int]) { (self.left, self.right) = (left, right) }

  init(from decoder: any Decoder) throws {
    let deep = try decoder.container(keyedBy: CodingKeys.self).nestedContainer(keyedBy: CodingKeys.self, forKey: .deep)
    var rights = try deep.nestedUnkeyedContainer(forKey: .right)
    var lefts = try deep.nestedUnkeyedContainer(forKey: .left)
    (left, right) = ([], [])
    while !lefts.isAtEnd || !rights.isAtEnd {
      if !lefts.isAtEnd { left.append(try lefts.decode(Int.self)) }
      if !rights.isAtEnd { right.append(try rights.decode(Int.self)) }
    }
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    var deep = container.nestedContainer(keyedBy: CodingKeys.self, forKey: .deep)
    var lefts = deep.nestedUnkeyedContainer(forKey: .left)
    var rights = deep.nestedUnkeyedContainer(forKey: .right)
    for index in 0..<max(left.count, right.count) {
      if index < left.count { try lefts.encode(left[index]) }
      if index < right.count { try rights.encode(right[index]) }
    }
  }
}

/// Writes a key twice; the last value counts.
struct Twice: Codable, Equatable {
  var value: Int

  enum CodingKeys: CodingKey { case value, other }

  init(value: Int) { self.value = value }

  init(from decoder: any Decoder) throws {
    value = try decoder.container(keyedBy: CodingKeys.self).decode(Int.self, forKey: .value)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode("wrong", forKey: .value)
    try container.encode(1, forKey: .other)
    try container.encode(value, forKey: .value)
  }
}

/// Swallows the error of a value that failed half-way, and writes another in its place.
struct Swallowing: Codable, Equatable {
  var value: Int

  enum CodingKeys: CodingKey { case value, failing }

  struct Failing: Encodable {
    func encode(to encoder: any Encoder) throws {
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encode(1, forKey: .value)
      throw CancellationError()
    }
  }

  init(value: Int) { self.value = value }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    guard !container.contains(.failing) else {
      throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "half a value"))
    }
    value = try container.decode(Int.self, forKey: .value)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try? container.encode(Failing(), forKey: .failing)
    try container.encode(value, forKey: .value)
  }
}

/// Compares the coding paths that it is shown, on both ways.
struct PathWitness: Codable, Equatable {
  var paths: [String]

  struct Inner: Codable, Equatable {
    var path: String

    init() { path = "" }

    init(from decoder: any Decoder) throws {
      let written = try decoder.singleValueContainer().decode(String.self)
      let read = Inner.text(decoder.codingPath)
      guard read == written else { throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: written)) }
      path = written
    }

    func encode(to encoder: any Encoder) throws {
      var container = encoder.singleValueContainer()
      try container.encode(Inner.text(encoder.codingPath))
    }

    static func text(_ path: [any CodingKey]) -> String { path.map(\.stringValue).joined(separator: "/") }
  }

  enum CodingKeys: CodingKey { case first, list, nested, dictionary }

  init() { paths = [] }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    paths = [Inner.text(container.codingPath)]
    paths += try container.decode([String: Inner].self, forKey: .dictionary).values.map(\.path).sorted()
    paths += try container.decode([[Inner]].self, forKey: .list).joined().map(\.path)
    paths += [try container.decode(Inner.self, forKey: .first).path]
    let nested = try container.nestedContainer(keyedBy: CodingKeys.self, forKey: .nested)
    paths += [Inner.text(nested.codingPath), try nested.decode(Inner.self, forKey: .first).path]
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(Inner(), forKey: .first)
    try container.encode([[Inner(), Inner()], [], [Inner()]], forKey: .list)
    var nested = container.nestedContainer(keyedBy: CodingKeys.self, forKey: .nested)
    guard Inner.text(nested.codingPath) == Inner.text(encoder.codingPath) + "/nested" else { throw CancellationError() }
    try nested.encode(Inner(), forKey: .first)
    try container.encode(["a": Inner(), "b": Inner()], forKey: .dictionary)
  }
}
