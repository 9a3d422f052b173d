/// An array that is filled while its bytes come in, before anybody has asked for it: so they are copied once and not twice.
///
/// The decoder takes it as it is where the type that it is asked for is the one that was sent.
@safe
public struct LandingArray: Sendable {
  /// The array; its elements are what lies in `bytes`.
  public let owner: any Sendable
  // SAFETY: the memory of `owner`, which nobody changes or copies before it is full.
  /// Its elements, to be filled before anybody looks at them.
  public nonisolated(unsafe) let bytes: UnsafeMutableRawBufferPointer

  /// An array of so many bytes whose elements are of a `Segment`'s kind.
  ///
  /// nil: nothing is known of that kind, its elements have to be looked at first (Bool), or they do not fill so many bytes.
  ///
  /// - Parameter byteCount: more than 0. There must be so much memory: the array traps otherwise.
  public init?(kind: UInt8, byteCount: Int) {
    guard let known = BlockKind(rawValue: kind), byteCount % known.stride == 0 else { return nil }
    switch known {
    case .int8: self.init(of: Int8.self, byteCount)
    case .uint8: self.init(of: UInt8.self, byteCount)
    case .int16: self.init(of: Int16.self, byteCount)
    case .uint16: self.init(of: UInt16.self, byteCount)
    case .int32: self.init(of: Int32.self, byteCount)
    case .uint32: self.init(of: UInt32.self, byteCount)
    case .int64: self.init(of: Int.self, byteCount)
    case .uint64: self.init(of: UInt.self, byteCount)
    case .float: self.init(of: Float.self, byteCount)
    case .double: self.init(of: Double.self, byteCount)
    case .bool: return nil
    }
  }
  private init<Element: BlockElement & Sendable>(of type: Element.Type, _ byteCount: Int) {
    var array = unsafe [Element](unsafeUninitializedCapacity: byteCount / MemoryLayout<Element>.stride) { buffer, count in
      count = byteCount / MemoryLayout<Element>.stride
    }
    unsafe bytes = unsafe array.withUnsafeMutableBytes { unsafe $0 }
    owner = array
  }
}
