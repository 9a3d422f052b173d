import Foundation
import Testing

@testable import HeddleWire

/// How types are read: the short way past the runtime's casts must find what the casts would.
@Suite struct TravelKindTests {
  private struct Plain: Codable { var number: Int }
  private enum Choice: Codable { case one }
  private final class Object: Codable {}
  private struct Box<Value: Codable>: Codable { var value: Value }
  /// Called like one that is read otherwise.
  private struct Data: Codable { var number: Int }
  private struct Double: Codable { var number: Int }

  private func name<Value>(_ type: Value.Type) -> String {
    switch TravelKinds().kind(of: type) {
    case .ordinary: "ordinary"
    case .scalar(let scalar): "scalar \(scalar == type)"
    case .block(let block): "block \(block == type)"
    case .data(let data): "data \(data == type)"
    }
  }
  @Test func `every scalar is found`() {
    func check<each Scalar: WireScalar>(_: repeat (each Scalar).Type) {
      for found in repeat name((each Scalar).self) { #expect(found == "scalar true") }
    }
    check(
      Int.self, Int8.self, Int16.self, Int32.self, Int64.self, Int128.self, UInt.self, UInt8.self, UInt16.self, UInt32.self, UInt64.self,
      UInt128.self, Bool.self, String.self, Float.self, Swift.Double.self)
  }
  @Test func `blocks and Foundation's Data are found, and nothing else is`() {
    #expect(name([UInt8].self) == "block true" && name(ContiguousArray<Float>.self) == "block true")
    #expect(name(Foundation.Data.self) == "data true")
    #expect(name(Data.self) == "ordinary" && name(Double.self) == "ordinary")
    #expect(name(Plain.self) == "ordinary" && name(Choice.self) == "ordinary" && name(Object.self) == "ordinary")
    #expect(name(Box<Int>.self) == "ordinary" && name([String].self) == "ordinary" && name(Int?.self) == "ordinary")
    let blocks = BlockTypes()
    #expect(blocks.type(for: [Int].self) != nil && blocks.type(for: Plain.self) == nil && blocks.type(for: [Plain].self) == nil)
  }
}
