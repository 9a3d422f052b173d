/// One place of a flat message: what `encode(to:)` of the value there gets, and its single value container.
///
/// Three words, so that an existential holds it without an allocation; none of them a reference that is counted.
@safe
struct FlatEncoder: Encoder, SingleValueEncodingContainer {
  /// SAFETY: writers are never freed.
  private let target: Unmanaged<FlatWriter>
  /// Where the value's tag goes; -1: nowhere, since what surrounds it is over.
  private let start: Int
  /// The message that this is a place in.
  let message: UInt32
  /// How many containers surround the value.
  private let level: UInt16

  @inline(__always)
  init(_ writer: FlatWriter, start: Int, depth: Int) {
    unsafe target = .passUnretained(writer)
    self.start = start
    message = writer.message
    level = UInt16(truncatingIfNeeded: depth)
  }

  private var depth: Int { Int(level) }
  var writer: FlatWriter { unsafe target.takeUnretainedValue() }

  /// Calls `body` with the writer, without counting a reference.
  @inline(__always)
  private func withWriter<Result>(_ body: (FlatWriter) throws -> Result) rethrows -> Result {
    unsafe try target._withUnsafeGuaranteedRef(body)
  }

  var codingPath: [any CodingKey] { message == writer.message ? writer.codingPath(ofValueAt: start, depth: depth) : [] }
  var userInfo: [CodingUserInfoKey: Any] { [:] }

  func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
    withWriter { writer in writer.keyedContainer(open(.keyed, writer)) }
  }

  func unkeyedContainer() -> any UnkeyedEncodingContainer {
    FlatUnkeyedEncodingContainer(writer: writer, handle: open(.unkeyed, writer))
  }

  func singleValueContainer() -> any SingleValueEncodingContainer { self }

  @inline(__always)
  private func open(_ tag: WireTag, _ writer: FlatWriter) -> FlatWriter.Handle {
    message == writer.message ? writer.open(tag, at: start, depth: depth) : .dead
  }
  @inline(__always)
  private func claim(_ writer: FlatWriter) throws {
    guard message == writer.message else { return try writer.violation() }
    try writer.claim(start, depth: depth)
  }

  func encodeNil() throws {
    try claim(writer)
    writer.buffer.append(byte: WireTag.null.rawValue)
  }

  func encode(_ value: Bool) throws { try write(value) }
  func encode(_ value: String) throws { try write(value) }
  func encode(_ value: Double) throws { try write(value) }
  func encode(_ value: Float) throws { try write(value) }
  func encode(_ value: Int) throws { try write(value) }
  func encode(_ value: Int8) throws { try write(value) }
  func encode(_ value: Int16) throws { try write(value) }
  func encode(_ value: Int32) throws { try write(value) }
  func encode(_ value: Int64) throws { try write(value) }
  func encode(_ value: Int128) throws { try write(value) }
  func encode(_ value: UInt) throws { try write(value) }
  func encode(_ value: UInt8) throws { try write(value) }
  func encode(_ value: UInt16) throws { try write(value) }
  func encode(_ value: UInt32) throws { try write(value) }
  func encode(_ value: UInt64) throws { try write(value) }
  func encode(_ value: UInt128) throws { try write(value) }

  func encode<Value: Encodable>(_ value: Value) throws {
    let writer = writer
    if let block = writer.blockType(for: Value.self) {
      try claim(writer)
      writer.append(block: reinterpret(value, as: block))
    } else {
      guard message == writer.message else { return try writer.violation() }
      try writer.call(value, at: start, depth: depth)
    }
  }

  @inline(__always)
  private func write(_ value: some WireScalar) throws {
    try withWriter { writer in
      try claim(writer)
      value.write(to: writer.buffer)
    }
  }
}
