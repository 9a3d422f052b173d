import FoundationEssentials
import Heddle
import HeddleSystem

/// How an array is read as what somebody asks for.
extension MarshalReader: SharedPartDecoder {
  func array() throws -> MarshaledArray { try reading { try MarshaledArray(index, entry!) } }
  /// The same in lists or bytes, for whoever wants no array.
  func spelledOut(asBytes: Bool = false) throws -> MarshalReader {
    let bytes = try reading { try MarshaledArray(index, entry!).spelledOut(asBytes: asBytes) }
    return MarshalReader(index: try MarshalIndex(bytes), entry: MarshalIndex.root, path: path)
  }
  /// What needs no list on the way; nil: something else.
  func known<T>(_ type: T.Type) throws -> T? {
    let array = try array()
    if T.self == [UInt8].self { return array.isBytes ? cast(array.bytes, T.self) : nil }
    if T.self == Data.self { return array.isBytes ? cast(unsafe array.withBytes { unsafe Data($0) }, T.self) : nil }
    func elements<Element: BitwiseCopyable>(_: Element.Type) -> T? { array.elements(Element.self).flatMap { cast($0, T.self) } }
    if T.self == [Float].self { return elements(Float.self) }
    if T.self == [Double].self { return elements(Double.self) }
    if T.self == [Int].self { return elements(Int.self) }
    if T.self == [Int32].self { return elements(Int32.self) }
    return nil
  }
  func sharedPart(of element: Any.Type, stride: Int) throws -> SharedPart {
    try reading {
      switch code {
      case MarshalCode.array: return try MarshaledArray(index, entry!).part(of: element, stride: stride)
      case MarshalCode.bytes:
        let content = index.content(entry!)
        guard content.count % stride == 0 else {
          throw MarshaledArray.ReadFault("\(content.count) bytes are no elements of \(stride) bytes each")
        }
        return try .copy(of: content, count: content.count / stride, stride: stride, element: element)
      case MarshalCode.list where index.count(entry!) == 0: return try .copy(of: [], count: 0, stride: stride, element: element)
      default: throw mismatch(element)
      }
    }
  }
  private func reading<Result>(_ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let fault as MarshaledArray.ReadFault {
      if let accusation = fault.accusation { index.accuse?(accusation) }
      throw corrupted(fault.sentence)
    } catch let error as SystemError {
      throw corrupted("there is no memory for it: \(error)")
    }
  }
}
