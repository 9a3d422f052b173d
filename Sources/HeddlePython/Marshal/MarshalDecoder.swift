import FoundationEssentials
import HeddleWire

/// Decodes any `Decodable` type from what CPython's `marshal` wrote, version 2.
///
/// A `dict` has keys, of which those that are no text are reached by their Python text (`1`, `True`); a `list`, `tuple` or `set` has
/// none. An `int` is also a floating-point number, a `float` is never an integer, a `bool` is neither. `bytes` are `Data` or `[UInt8]`.
/// The bytes are trusted in nothing: whatever they hold, the outcome is a value or a thrown `DecodingError`.
package struct MarshalDecoder {
  package init() {}

  /// The value that `bytes` hold.
  package func decode<T: Decodable>(_ type: T.Type = T.self, from bytes: [UInt8]) throws -> T {
    if let whole = cast(MarshaledValue(bytes: bytes), T.self) { return whole }
    return try MarshalReader(index: try MarshalIndex(bytes), entry: MarshalIndex.root, path: nil).decode(type)
  }
  /// The value that `bytes` hold and memory beside them.
  ///
  /// - Parameter accuse: is told what no honest worker can have sent.
  func decode<T: Decodable>(_ type: T.Type, from payload: PythonPayload, accuse: @escaping (String) -> Void) throws -> T {
    let index = try MarshalIndex(payload.bytes)
    index.attachments = payload.attachments
    index.accuse = accuse
    return try MarshalReader(index: index, entry: MarshalIndex.root, path: nil).decode(type)
  }
}

/// One value, and the way to it.
struct MarshalReader: Decoder, SingleValueDecodingContainer {
  let index: MarshalIndex
  /// nil: a `super` that is not there, read as `None`.
  let entry: Int?
  let path: CodingStep?

  var codingPath: [any CodingKey] { path?.keys ?? [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }
  var code: UInt8 { entry.map(index.code) ?? MarshalCode.none }

  func container<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    guard code == MarshalCode.dictionary else { throw mismatch([String: Any].self) }
    return KeyedDecodingContainer(KeyedReader<Key>(reader: self, entry: entry!))
  }
  func unkeyedContainer() throws -> any UnkeyedDecodingContainer {
    if code == MarshalCode.array { return try spelledOut().unkeyedContainer() }
    guard isList else { throw mismatch([Any].self) }
    return UnkeyedReader(reader: self, entry: entry!)
  }
  func singleValueContainer() -> any SingleValueDecodingContainer { self }

  var isList: Bool {
    switch code {
    case MarshalCode.list, MarshalCode.tuple, MarshalCode.set: true
    default: false
    }
  }
  func decodeNil() -> Bool { code == MarshalCode.none }
  func decode(_ type: Bool.Type) throws -> Bool {
    guard code == MarshalCode.true || code == MarshalCode.false else { throw mismatch(type) }
    return code == MarshalCode.true
  }
  func decode(_ type: String.Type) throws -> String {
    guard code == MarshalCode.string else { throw mismatch(type) }
    guard let text = String(validating: index.content(entry!), as: UTF8.self) else {
      throw corrupted("the text holds a lone surrogate, which a String cannot; return text.encode(\"utf-8\", \"surrogatepass\") as bytes")
    }
    return text
  }
  func decode(_ type: Double.Type) throws -> Double {
    switch code {
    case MarshalCode.double: return index.double(entry!)
    case MarshalCode.int, MarshalCode.long:
      let value = index.integerAsDouble(entry!)
      guard value.isFinite else { throw corrupted("the int is too large for a Double") }
      return value
    default: throw mismatch(type)
    }
  }
  func decode(_ type: Float.Type) throws -> Float {
    guard code != MarshalCode.none else { throw mismatch(type) }
    let value = try decode(Double.self)
    guard Float(value).isFinite || !value.isFinite else { throw corrupted("\(value) is too large for a Float") }
    return Float(value)
  }
  func integer<I: FixedWidthInteger>(_ type: I.Type) throws -> I {
    guard code == MarshalCode.int || code == MarshalCode.long else { throw mismatch(type) }
    guard let value = index.integer(entry!, as: type) else {
      throw corrupted("the int \(index.decimal(entry!)?.prefix(40) ?? "of many digits") does not fit in \(type)")
    }
    return value
  }
  func decode(_ type: Int.Type) throws -> Int { try integer(type) }
  func decode(_ type: Int8.Type) throws -> Int8 { try integer(type) }
  func decode(_ type: Int16.Type) throws -> Int16 { try integer(type) }
  func decode(_ type: Int32.Type) throws -> Int32 { try integer(type) }
  func decode(_ type: Int64.Type) throws -> Int64 { try integer(type) }
  func decode(_ type: Int128.Type) throws -> Int128 { try integer(type) }
  func decode(_ type: UInt.Type) throws -> UInt { try integer(type) }
  func decode(_ type: UInt8.Type) throws -> UInt8 { try integer(type) }
  func decode(_ type: UInt16.Type) throws -> UInt16 { try integer(type) }
  func decode(_ type: UInt32.Type) throws -> UInt32 { try integer(type) }
  func decode(_ type: UInt64.Type) throws -> UInt64 { try integer(type) }
  func decode(_ type: UInt128.Type) throws -> UInt128 { try integer(type) }

  func decode<T: Decodable>(_ type: T.Type) throws -> T {
    if code == MarshalCode.array, let value = try known(type) { return value }
    if T.self == String.self { return cast(try decode(String.self), T.self)! }
    if T.self == Int.self { return cast(try decode(Int.self), T.self)! }
    if T.self == Double.self { return cast(try decode(Double.self), T.self)! }
    if T.self == Bool.self { return cast(try decode(Bool.self), T.self)! }
    if T.self == [UInt8].self, code == MarshalCode.bytes { return cast([UInt8](index.content(entry!)), T.self)! }
    if T.self == Data.self, code == MarshalCode.bytes { return cast(Data(index.content(entry!)), T.self)! }
    if T.self == [Double].self { return cast(try elements { try $0.decode(Double.self) }, T.self)! }
    if T.self == [Float].self { return cast(try elements { try $0.decode(Float.self) }, T.self)! }
    if T.self == [Int].self { return cast(try elements { try $0.integer(Int.self) }, T.self)! }
    if T.self == [Int32].self { return cast(try elements { try $0.integer(Int32.self) }, T.self)! }
    if T.self == [String].self { return cast(try elements { try $0.decode(String.self) }, T.self)! }
    if T.self == PythonValue.self { return cast(try pythonValue(), T.self)! }
    if T.self == MarshaledValue.self { return cast(MarshaledValue(bytes: Array(ownBytes)), T.self)! }
    if T.self == URL.self { return cast(try url(), T.self)! }
    if T.self == Decimal.self { return cast(try decimal(), T.self)! }
    return try T(from: self)
  }

  /// The elements of a list of primitives.
  private func elements<T>(_ body: (MarshalReader) throws -> T) throws -> [T] {
    if code == MarshalCode.array { return try spelledOut().elements(body) }
    guard isList else { throw mismatch([T].self) }
    var values: [T] = []
    let count = index.count(entry!)
    values.reserveCapacity(count)
    var next = entry! + 1
    for place in 0..<count {
      let reader = MarshalReader(index: index, entry: next, path: path)
      do {
        values.append(try body(reader))
      } catch is DecodingError {
        // Once more with its place, which is not worth its making while all goes well.
        values.append(try body(MarshalReader(index: index, entry: next, path: CodingStep(parent: path, key: IndexKey(place)))))
      }
      next = index.next(next)
    }
    return values
  }
  func pythonValue() throws -> PythonValue {
    switch code {
    case MarshalCode.none: return .none
    case MarshalCode.true: return .bool(true)
    case MarshalCode.false: return .bool(false)
    case MarshalCode.int, MarshalCode.long:
      if let value = index.integer(entry!, as: Int.self) { return .int(value) }
      guard let text = index.decimal(entry!) else { throw corrupted("the int is too long to be written in decimal; return str of it") }
      return .bigInteger(text)
    case MarshalCode.double: return .double(index.double(entry!))
    case MarshalCode.string: return .string(try decode(String.self))
    case MarshalCode.bytes: return .bytes(Array(index.content(entry!)))
    case MarshalCode.array: return try spelledOut(asBytes: array().isRaw).pythonValue()
    case MarshalCode.dictionary:
      var pairs: [PythonValue.Pair] = []
      var next = entry! + 1
      let end = index.next(entry!)
      while next < end {
        let value = index.next(next)
        pairs.append(.init(key: try at(next).pythonValue(), value: try at(value).pythonValue()))
        next = index.next(value)
      }
      return .dictionary(pairs)
    default: return .list(try elements { try $0.pythonValue() })
    }
  }
  private func url() throws -> URL {
    let text = try decode(String.self)
    guard let url = URL(string: text) else { throw corrupted("\"\(text.prefix(80))\" is no URL") }
    return url
  }
  private func decimal() throws -> Decimal {
    let text =
      switch code {
      case MarshalCode.int, MarshalCode.long: index.decimal(entry!) ?? ""
      case MarshalCode.double: index.double(entry!).description
      default: try decode(String.self)
      }
    guard let value = Decimal(string: text) else { throw corrupted("\"\(text.prefix(80))\" is no Decimal") }
    return value
  }
  private var ownBytes: ArraySlice<UInt8> { entry.map(index.ownBytes) ?? [MarshalCode.none] }
  private func at(_ entry: Int) -> MarshalReader { MarshalReader(index: index, entry: entry, path: path) }

  func mismatch(_ type: Any.Type) -> DecodingError {
    if code == MarshalCode.none {
      return .valueNotFound(type, .init(codingPath: codingPath, debugDescription: "expected \(type), but it is None"))
    }
    return .typeMismatch(
      type, .init(codingPath: codingPath, debugDescription: "expected \(type), but it is a Python \(MarshalCode.typeName(code))"))
  }
  func corrupted(_ sentence: String) -> DecodingError {
    .dataCorrupted(.init(codingPath: codingPath, debugDescription: sentence))
  }
}

private struct UnkeyedReader: UnkeyedDecodingContainer {
  private let reader: MarshalReader
  private var next: Int
  private(set) var currentIndex = 0
  private let total: Int

  init(reader: MarshalReader, entry: Int) {
    self.reader = reader
    next = entry + 1
    total = reader.index.count(entry)
  }
  var codingPath: [any CodingKey] { reader.codingPath }
  var count: Int? { total }
  var isAtEnd: Bool { currentIndex == total }

  private func current(_ type: Any.Type) throws -> MarshalReader {
    let path = CodingStep(parent: reader.path, key: IndexKey(currentIndex))
    guard !isAtEnd else {
      throw DecodingError.valueNotFound(type, .init(codingPath: path.keys, debugDescription: "the list has only \(total) elements"))
    }
    return MarshalReader(index: reader.index, entry: next, path: path)
  }
  private mutating func advance() {
    next = reader.index.next(next)
    currentIndex += 1
  }
  /// Moves on only where `body` succeeds, so that another type can be tried on the same element.
  private mutating func take<T>(_ type: Any.Type, _ body: (MarshalReader) throws -> T) throws -> T {
    let value = try body(current(type))
    advance()
    return value
  }
  mutating func decodeNil() throws -> Bool {
    let isNil = try current((Any?).self).decodeNil()
    if isNil { advance() }
    return isNil
  }
  mutating func decode<T: Decodable>(_ type: T.Type) throws -> T { try take(type) { try $0.decode(type) } }
  mutating func nestedContainer<Key: CodingKey>(keyedBy type: Key.Type) throws -> KeyedDecodingContainer<Key> {
    try take(KeyedDecodingContainer<Key>.self) { try $0.container(keyedBy: type) }
  }
  mutating func nestedUnkeyedContainer() throws -> any UnkeyedDecodingContainer {
    try take((any UnkeyedDecodingContainer).self) { try $0.unkeyedContainer() }
  }
  mutating func superDecoder() throws -> any Decoder { try take((any Decoder).self) { $0 } }
}

private struct KeyedReader<Key: CodingKey>: KeyedDecodingContainerProtocol {
  private let reader: MarshalReader
  private let fields: Fields

  init(reader: MarshalReader, entry: Int) {
    self.reader = reader
    fields = Fields(index: reader.index, dictionary: entry)
  }
  var codingPath: [any CodingKey] { reader.codingPath }
  var allKeys: [Key] { fields.names.compactMap(Key.init(stringValue:)) }
  func contains(_ key: Key) -> Bool { fields.find(key.stringValue) != nil }

  private func reader(_ key: some CodingKey, entry: Int?) -> MarshalReader {
    MarshalReader(index: reader.index, entry: entry, path: CodingStep(parent: reader.path, key: key))
  }
  private func value(_ key: Key) throws -> MarshalReader {
    guard let entry = fields.find(key.stringValue) else {
      throw DecodingError.keyNotFound(
        key, .init(codingPath: codingPath, debugDescription: "the dictionary has no key \"\(key.stringValue)\""))
    }
    return reader(key, entry: entry)
  }
  func decodeNil(forKey key: Key) throws -> Bool { try value(key).decodeNil() }
  func decode<T: Decodable>(_ type: T.Type, forKey key: Key) throws -> T { try value(key).decode(type) }
  func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type, forKey key: Key) throws -> KeyedDecodingContainer<Nested> {
    try value(key).container(keyedBy: type)
  }
  func nestedUnkeyedContainer(forKey key: Key) throws -> any UnkeyedDecodingContainer { try value(key).unkeyedContainer() }
  func superDecoder() -> any Decoder { reader(SuperKey(), entry: fields.find(SuperKey().stringValue)) }
  func superDecoder(forKey key: Key) -> any Decoder { reader(key, entry: fields.find(key.stringValue)) }
}

/// The keys of a dictionary and where their values are.
private final class Fields {
  private let index: MarshalIndex
  /// Numbers of keys; the value of each follows it.
  private var keys: [Int] = []
  /// Where the next key is expected: most types read their keys in the order in which they were written.
  private var hint = 0
  /// Made when a key of a large dictionary is looked for out of order.
  private var table: [String: Int]?
  /// Dictionaries up to this many keys are searched one by one.
  private static let tableThreshold = 16

  init(index: MarshalIndex, dictionary: Int) {
    self.index = index
    var next = dictionary + 1
    let end = index.next(dictionary)
    while next < end {
      keys.append(next)
      next = index.next(index.next(next))
    }
  }

  var names: [String] { keys.compactMap(name) }

  /// A key as text; nil where it has none that could be asked for.
  private func name(_ key: Int) -> String? {
    switch index.code(key) {
    case MarshalCode.string: String(validating: index.content(key), as: UTF8.self)
    case MarshalCode.int, MarshalCode.long: index.decimal(key)
    case MarshalCode.true: "True"
    case MarshalCode.false: "False"
    case MarshalCode.none: "None"
    case MarshalCode.double: index.double(key).description
    default: nil
    }
  }
  private func isNamed(_ key: Int, _ text: String) -> Bool {
    guard index.code(key) == MarshalCode.string else { return name(key) == text }
    let content = index.content(key)
    return content.count == text.utf8.count && content.elementsEqual(text.utf8)
  }

  func find(_ text: String) -> Int? {
    if hint < keys.count, isNamed(keys[hint], text) {
      defer { hint += 1 }
      return index.next(keys[hint])
    }
    if keys.count <= Self.tableThreshold {
      guard let place = keys.firstIndex(where: { isNamed($0, text) }) else { return nil }
      hint = place + 1
      return index.next(keys[place])
    }
    if table == nil {
      table = Dictionary(keys.enumerated().compactMap { place, key in name(key).map { ($0, place) } }, uniquingKeysWith: { $1 })
    }
    guard let place = table?[text] else { return nil }
    hint = place + 1
    return index.next(keys[place])
  }
}
