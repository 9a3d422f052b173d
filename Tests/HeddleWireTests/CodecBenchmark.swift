import Foundation
import HeddleWire
import Testing

/// Figures of the codec; opt-in, because wall time is no promise: `HEDDLE_BENCH=1 swift test -c release --filter CodecBenchmark`.
@Suite(.serialized, .enabled(if: ProcessInfo.processInfo.environment["HEDDLE_BENCH"] == "1"))
struct CodecBenchmark {
  struct Pair: Codable {
    var number: Int
    var text: String
  }

  struct Row: Codable {
    var id: Int
    var name: String
    var score: Double
    var flag: Bool
  }

  /// Runs `body` until half a second passed; prints the best batch.
  ///
  /// Unit: ns a call.
  @inline(never)
  func measure(_ name: String, per count: Int = 1, _ body: () throws -> Void) rethrows {
    let clock = ContinuousClock()
    var best = Double.infinity
    let end = clock.now + .milliseconds(500)
    var batch = 1
    while clock.now < end {
      let start = clock.now
      for _ in 0..<batch { try body() }
      let spent = Double((clock.now - start).components.attoseconds) / 1e9 + Double((clock.now - start).components.seconds) * 1e9
      best = min(best, spent / Double(batch * count))
      if spent < 1e6 { batch *= 2 }
    }
    print("\(name): \(String(format: "%.1f", best)) ns")
  }

  @inline(never)
  @_optimize(none)
  func encode<Value: Encodable>(_ value: Value, _ encoder: MessageEncoder) throws { try encoder.encode(value) }

  @inline(never)
  @_optimize(none)
  func decode<Value: Decodable>(_ type: Value.Type, _ message: UnsafeRawBufferPointer, _ source: ListSource?, _ decoder: MessageDecoder)
    throws -> Value
  {
    try unsafe decoder.decode(type, from: message, segments: source)
  }

  func both<Value: Codable>(_ name: String, _ value: Value, per count: Int = 1) throws {
    let encoder = MessageEncoder()
    let decoder = MessageDecoder()
    try measure("\(name) encode", per: count) { try encode(value, encoder) }
    try encoder.encode(value)
    let message = try Message(value)
    let source = message.segments.isEmpty ? nil : ListSource(message.segments)
    try unsafe message.bytes.withUnsafeBytes { bytes in
      try measure("\(name) decode", per: count) { _ = try unsafe decode(Value.self, bytes, source, decoder) }
    }
  }

  @inline(never)
  @_optimize(none)
  func encodeNothing<Value: Encodable>(_ value: Value, _ owner: AnyObject) throws { try value.encode(to: NullEncoder(owner: owner)) }

  @Test func `one pair`() throws {
    let pair = Pair(number: 42, text: "hello")
    try both("{Int, String}", pair)
    let owner = MessageEncoder()
    try measure("{Int, String} to an encoder that writes nothing") { try encodeNothing(pair, owner) }
    try measure("{Int, String} JSON encode") { _ = try JSONEncoder().encode(pair) }
    measure("malloc and free") { unsafe UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 8).deallocate() }
  }

  @Test func `small values`() throws {
    try both("{Int, String}", Pair(number: 42, text: "hello"))
    try both("Int", 42)
    try both("[String: Int] of 10, a pair", Dictionary(uniqueKeysWithValues: (0..<10).map { ("key \($0)", $0) }), per: 10)
    try both("[String] of 100, an element", (0..<100).map { "element \($0)" }, per: 100)
    try both("Optional", Int?.some(3))
  }

  @Test func `many structs`() throws {
    try both("10,000 structs, a field", (0..<10_000).map { Row(id: $0, name: "name", score: Double($0), flag: true) }, per: 40_000)
    try both("10,000 keys, a pair", Dictionary(uniqueKeysWithValues: (0..<10_000).map { ("key \($0)", $0) }), per: 10_000)
  }

  @Test func `large arrays`() throws {
    let floats = [Float](repeating: 1.5, count: 1 << 20)
    try both("[Float] of 1 Mi, an element", floats, per: 1 << 20)
    let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: 4 << 20, alignment: 16)
    defer { unsafe copy.deallocate() }
    measure("memcpy of 4 MiB, an element", per: 1 << 20) { unsafe floats.withUnsafeBytes { unsafe copy.copyMemory(from: $0) } }
    try both("Data of 64 MiB, a byte", Data(repeating: 7, count: 64 << 20), per: 64 << 20)
    try both("[Int] of 1,000, an element", Array(0..<1_000), per: 1_000)
  }
}
