/// Any value that a Python function takes or gives: `None`, numbers, text, bytes, lists and dictionaries of them.
///
/// Use it as a call's `Output` where the shape of the result is not known. A tuple and a set arrive as a list. Literals work:
/// `let value: PythonValue = ["name": "a.jpg", "size": [640, 480]]`.
public enum PythonValue: Sendable, Hashable {
  /// `None`.
  case none
  /// `True` or `False`.
  case bool(Bool)
  /// An `int` of up to 64 bits.
  case int(Int)
  /// An `int` of any length, in decimal; from Python only where `int` cannot hold it.
  case bigInteger(String)
  /// A `float`.
  case double(Double)
  /// A `str`.
  case string(String)
  /// A `bytes`.
  case bytes([UInt8])
  /// A `list`; also a `tuple` or a `set` that Python returned.
  case list([PythonValue])
  /// A `dict`, in its order, which counts when two are compared.
  case dictionary([Pair])

  /// A key of a dictionary and its value.
  public struct Pair: Sendable, Hashable {
    /// The key; Python takes no list or dictionary here.
    public var key: PythonValue
    /// The value.
    public var value: PythonValue

    /// A pair of a key and a value.
    public init(key: PythonValue, value: PythonValue) {
      self.key = key
      self.value = value
    }
  }

  /// The value under a key of a dictionary; nil where there is none, or where this is no dictionary.
  public subscript(key: String) -> PythonValue? {
    guard case .dictionary(let pairs) = self else { return nil }
    return pairs.last { $0.key == .string(key) }?.value
  }
  /// The element of a list; nil where there is none, or where this is no list.
  public subscript(index: Int) -> PythonValue? {
    guard case .list(let values) = self, values.indices.contains(index) else { return nil }
    return values[index]
  }
}

extension PythonValue: ExpressibleByNilLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByStringLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  /// `None`.
  public init(nilLiteral: ()) { self = .none }
  /// A `bool`.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// An `int`.
  public init(integerLiteral value: Int) { self = .int(value) }
  /// A `float`.
  public init(floatLiteral value: Double) { self = .double(value) }
  /// A `str`.
  public init(stringLiteral value: String) { self = .string(value) }
  /// A `list`.
  public init(arrayLiteral elements: PythonValue...) { self = .list(elements) }
  /// A `dict`.
  public init(dictionaryLiteral elements: (PythonValue, PythonValue)...) {
    self = .dictionary(elements.map { Pair(key: $0.0, value: $0.1) })
  }
}

extension PythonValue: Codable {
  /// Decodes whatever is there.
  ///
  /// From a result of Python every value arrives as it is; other formats may know no bytes or long integers.
  public init(from decoder: any Decoder) throws {
    if let keyed = try? decoder.container(keyedBy: AnyKey.self) {
      self = .dictionary(
        try keyed.allKeys.map { Pair(key: .string($0.stringValue), value: try keyed.decode(PythonValue.self, forKey: $0)) })
      return
    }
    if var unkeyed = try? decoder.unkeyedContainer() {
      var values: [PythonValue] = []
      while !unkeyed.isAtEnd { values.append(try unkeyed.decode(PythonValue.self)) }
      self = .list(values)
      return
    }
    let single = try decoder.singleValueContainer()
    if single.decodeNil() {
      self = .none
    } else if let value = try? single.decode(Bool.self) {
      self = .bool(value)
    } else if let value = try? single.decode(Int.self) {
      self = .int(value)
    } else if let value = try? single.decode(Double.self) {
      self = .double(value)
    } else {
      self = .string(try single.decode(String.self))
    }
  }

  /// Encodes the value as what it is; to Python exactly.
  ///
  /// To other formats bytes go as numbers, a long integer as text, and a dictionary that has other keys than text as a list of keys and
  /// values in turn.
  public func encode(to encoder: any Encoder) throws {
    switch self {
    case .list(let values):
      var container = encoder.unkeyedContainer()
      for value in values { try container.encode(value) }
      return
    case .dictionary(let pairs):
      let keys = pairs.compactMap { if case .string(let key) = $0.key { AnyKey(stringValue: key) } else { nil } }
      if keys.count == pairs.count {
        var container = encoder.container(keyedBy: AnyKey.self)
        for (key, pair) in zip(keys, pairs) { try container.encode(pair.value, forKey: key) }
      } else {
        var container = encoder.unkeyedContainer()
        for pair in pairs {
          try container.encode(pair.key)
          try container.encode(pair.value)
        }
      }
      return
    default: break
    }
    var container = encoder.singleValueContainer()
    switch self {
    case .none: try container.encodeNil()
    case .bool(let value): try container.encode(value)
    case .int(let value): try container.encode(value)
    case .double(let value): try container.encode(value)
    case .bigInteger(let value), .string(let value): try container.encode(value)
    case .bytes(let value): try container.encode(value)
    case .list, .dictionary: break
    }
  }

  private struct AnyKey: CodingKey {
    var stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }
}
