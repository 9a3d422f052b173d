import Foundation
import Heddle
import HeddleSystem
import Testing

@testable import HeddlePython

/// What a Python worker writes is no more trusted than what another does.
@Suite struct MarshalFuzzTests {
  private struct Everything: Codable {
    var number = 7
    var ratio = 0.5
    var text = "weft"
    var list = [1, 2, 3]
    var table = ["a": [true, false], "b": []]
    var nothing: Int?
    var bytes = Data([1, 2, 3])
    var nested: [[String: Double]] = [["x": 1], [:]]
  }
  @Test func `damaged answers give a value or an error`() throws {
    let count = ProcessInfo.processInfo.environment["HEDDLE_FUZZ_FRAMES"].flatMap { Int($0) } ?? 40_000
    let whole = try MarshalEncoder().encode(Everything())
    let others = try [
      MarshalEncoder().encode([Int.max, -1, 1 << 40]), MarshalEncoder().encode(["k": "v"]), MarshalEncoder().encode("text"),
    ]
    var random = Generator(state: UInt64(ProcessInfo.processInfo.environment["HEDDLE_TEST_SEED"] ?? "") ?? 5)
    var thrown = 0
    for round in 0..<count {
      var bytes = round % 3 == 0 ? others[round / 3 % others.count] : whole
      damage(&bytes, &random)
      do {
        switch round % 3 {
        case 0: _ = try MarshalDecoder().decode(PythonValue.self, from: bytes)
        case 1: _ = try MarshalDecoder().decode(Everything.self, from: bytes)
        default: _ = try MarshalDecoder().decode([String: PythonValue].self, from: bytes)
        }
      } catch is DecodingError { thrown += 1 }
    }
    #expect(thrown > count / 10)
  }
  private func damage(_ bytes: inout [UInt8], _ random: inout Generator) {
    for _ in 0..<Int.random(in: 1...3, using: &random) where !bytes.isEmpty {
      let place = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<6, using: &random) {
      case 0: bytes[place] = .random(in: 0...255, using: &random)
      case 1: bytes[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 2: bytes.removeSubrange(place...)
      case 3: bytes.insert(contentsOf: bytes.suffix(8), at: place)
      case 4: for index in place..<min(place + 4, bytes.count) { bytes[index] = 0xff }
      default:
        bytes[place] = UInt8(
          ascii: Array<Unicode.Scalar>(["{", "[", "(", "i", "l", "s", "u", "g", "N", "0", "r", "<"]).randomElement(using: &random)!)
      }
    }
  }
  /// An array, as the bridge writes one.
  private func array(_ pairs: [(name: String, value: (inout MarshalWriter) -> Void)]) -> [UInt8] {
    var writer = MarshalWriter()
    writer.append(marshaled: [MarshalCode.array, UInt8(pairs.count), 0, 0, 0])
    for pair in pairs {
      writer.beginTuple(count: 2)
      writer.write(pair.name)
      pair.value(&writer)
    }
    return writer.bytes
  }
  @Test func `damaged arrays give a value or an error`() throws {
    let count = ProcessInfo.processInfo.environment["HEDDLE_FUZZ_FRAMES"].flatMap { Int($0) } ?? 40_000
    func seed(_ format: String, _ stride: Int, _ shape: [Int], raw: Bool, bytes: [UInt8]?, offset: Int = 0) -> [UInt8] {
      array([
        ("format", { $0.write(format) }), ("stride", { $0.write(stride) }), ("count", { $0.write(shape.reduce(1, *)) }),
        ("offset", { $0.write(offset) }), ("raw", { $0.write(raw) }),
        (
          "shape",
          { writer in
            writer.beginTuple(count: shape.count)
            for extent in shape { writer.write(extent) }
          }
        ), bytes.map { bytes in ("bytes", { $0.write(bytes: bytes) }) } ?? ("sharedMemory", { $0.write(0) }),
      ])
    }
    let seeds = [
      seed("f", 4, [2, 3], raw: false, bytes: Array(0..<24)), seed("l", 8, [7], raw: false, bytes: nil, offset: 1),
      seed("B", 1, [64], raw: true, bytes: nil), seed("", 16, [4], raw: false, bytes: nil),
      seed("i", 4, [5], raw: true, bytes: Array(0..<20)),
    ]
    let memory = try SealedMemory(byteCount: 64, isOpen: true)
    var random = Generator(state: UInt64(ProcessInfo.processInfo.environment["HEDDLE_TEST_SEED"] ?? "") ?? 6)
    var (thrown, accused, sum) = (0, 0, 0)
    for round in 0..<count {
      var bytes = seeds[round % seeds.count]
      if round >= seeds.count * 6 { damage(&bytes, &random) }
      let payload = PythonPayload(bytes: bytes, attachments: [memory])
      func decode<Value: Decodable>(_ type: Value.Type) throws -> Value {
        try MarshalDecoder().decode(type, from: payload) { _ in accused += 1 }
      }
      do {
        switch round / seeds.count % 6 {
        case 0: sum += try decode(SharedBuffer<Int32>.self).reduce(0) { $0 &+ Int($1) } & 1
        case 1: sum += try decode(SharedBuffer<UInt8>.self).reduce(0) { $0 &+ Int($1) } & 1
        case 2: sum += try decode([Int].self).count
        case 3: sum += try decode([[Double]].self).count
        case 4: sum += try decode(Data.self).count
        default: _ = try decode(PythonValue.self)
        }
      } catch is DecodingError { thrown += 1 }
    }
    #expect(thrown > count / 10 && thrown < count && accused > count / 20 && sum > 0, "\(thrown) thrown, \(accused) accused")
  }
  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      var z = state
      z = (z ^ (z >> 33)) &* 0xff51_afd7_ed55_8ccd
      return z ^ (z >> 33)
    }
  }
}
