import Foundation
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
