/// A short name for bytes, which other bytes hardly have: FNV-1a.
///
/// Quick and without a key, so a person could make two texts of one name; for what nobody would want to fool.
public enum Fingerprint {
  /// That of no bytes.
  public static let empty: UInt64 = 0xcbf2_9ce4_8422_2325
  /// That of bytes, or where they go on, with `start` for those before them.
  @inlinable
  public static func of(_ bytes: some Sequence<UInt8>, after start: UInt64 = empty) -> UInt64 {
    bytes.reduce(start) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}
