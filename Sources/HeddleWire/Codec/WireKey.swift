/// A step of a coding path, and the key `super`.
///
/// The codec keeps numbers instead of keys while it works and makes these only for an error or for a type that asks for its path.
struct WireKey: CodingKey {
  let stringValue: String
  let intValue: Int?

  /// The key under which `superEncoder()` writes, the same as in Foundation's encoders.
  static let superKey = WireKey(stringValue: "super")

  init(stringValue: String) {
    self.stringValue = stringValue
    intValue = nil
  }

  init(intValue: Int) {
    stringValue = "\(intValue)"
    self.intValue = intValue
  }

  /// The step into an unkeyed container.
  init(index: Int) {
    stringValue = "Index \(index)"
    intValue = index
  }
}
