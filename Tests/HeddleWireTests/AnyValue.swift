/// Any value, written with all kinds of containers and read by trying one type after the other, as hand-written JSON types do.
enum AnyValue: Codable, Equatable {
  case null
  case bool(Bool)
  case int(Int)
  case double(Double)
  case text(String)
  case list([AnyValue])
  case dictionary([String: AnyValue])

  struct Name: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// Reads something and then fails.
  private struct Impossible: Decodable {
    init(from decoder: any Decoder) throws {
      var container = try decoder.unkeyedContainer()
      _ = try container.decode(AnyValue.self)
      throw CancellationError()
    }
  }

  init(from decoder: any Decoder) throws {
    if let container = try? decoder.container(keyedBy: Name.self) {
      var values: [String: AnyValue] = [:]
      for key in container.allKeys.reversed() { values[key.stringValue] = try container.decode(AnyValue.self, forKey: key) }
      self = .dictionary(values)
      return
    }
    if var container = try? decoder.unkeyedContainer() {
      var values: [AnyValue] = []
      while !container.isAtEnd {
        // A type that fails first: it must not move the position.
        _ = try? container.decode(Impossible.self)
        values.append(try container.decode(AnyValue.self))
      }
      self = .list(values)
      return
    }
    let container = try decoder.singleValueContainer()
    if container.decodeNil() {
      self = .null
    } else if let value = try? container.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? container.decode(Int.self) {
      self = .int(value)
    } else if let value = try? container.decode(Double.self) {
      self = .double(value)
    } else {
      self = .text(try container.decode(String.self))
    }
  }

  func encode(to encoder: any Encoder) throws {
    switch self {
    case .null:
      var container = encoder.singleValueContainer()
      try container.encodeNil()
    case .bool(let value): try value.encode(to: encoder)
    case .int(let value):
      var container = encoder.singleValueContainer()
      try container.encode(value)
    case .double(let value): try value.encode(to: encoder)
    case .text(let value):
      var container = encoder.singleValueContainer()
      try container.encode(value)
    case .list(let values):
      var container = encoder.unkeyedContainer()
      for value in values {
        if case .list(let inner) = value, inner.count == 2 {
          var nested = container.nestedUnkeyedContainer()
          for value in inner { try nested.encode(value) }
        } else if case .null = value {
          try container.encodeNil()
        } else {
          try container.encode(value)
        }
      }
    case .dictionary(let values):
      var container = encoder.container(keyedBy: Name.self)
      for (name, value) in values {
        let key = Name(stringValue: name)
        if case .dictionary(let inner) = value, inner.count == 1 {
          var nested = container.nestedContainer(keyedBy: Name.self, forKey: key)
          for (name, value) in inner { try nested.encode(value, forKey: Name(stringValue: name)) }
        } else if case .int(let number) = value {
          try container.encode(number, forKey: key)
        } else {
          try container.encode(value, forKey: key)
        }
      }
    }
  }

  /// A random value; doubles are never whole numbers, which JSON could not tell from integers.
  static func random(depth: Int, using random: inout SeededGenerator) -> AnyValue {
    switch Int.random(in: 0..<(depth > 0 ? 9 : 5), using: &random) {
    case 0: .null
    case 1: .bool(.random(using: &random))
    case 2: .int(Int(truncatingIfNeeded: random.next() &>> UInt64.random(in: 0..<64, using: &random)))
    case 3: .double(Double(Int.random(in: -1_000...1_000, using: &random)) + 0.5)
    case 4: .text(text(using: &random))
    case 5, 6: .list((0..<Int.random(in: 0..<5, using: &random)).map { _ in self.random(depth: depth - 1, using: &random) })
    default:
      .dictionary(
        Dictionary(
          (0..<Int.random(in: 0..<5, using: &random)).map { _ in
            (text(using: &random), self.random(depth: depth - 1, using: &random))
          }, uniquingKeysWith: { first, _ in first }))
    }
  }

  private static func text(using random: inout SeededGenerator) -> String {
    String((0..<Int.random(in: 0..<20, using: &random)).map { _ in "aZ9 é漢\u{0}🧵\"\\".randomElement(using: &random)! })
  }
}

/// SplitMix64: the same numbers in every run.
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed &>> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed &>> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed &>> 31)
  }
}
