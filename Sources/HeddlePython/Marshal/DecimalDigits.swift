/// Integers of any length between decimal text and the digits of 15 bits that marshal writes.
enum DecimalDigits {
  /// What one step converts: 10^9, which times a digit of 15 bits stays far below 2^64.
  private static let base: UInt64 = 1_000_000_000
  private static let baseDigits = 9

  /// The decimal text of digits of 15 bits, the lowest first.
  static func text(digits: some BidirectionalCollection<UInt16>, isNegative: Bool) -> String {
    // Digits in base 10^9, the lowest first.
    var parts: [UInt64] = [0]
    for digit in digits.reversed() {
      var carry = UInt64(digit)
      for index in parts.indices {
        let value = parts[index] << UInt64(MarshalCode.digitBits) + carry
        parts[index] = value % base
        carry = value / base
      }
      if carry > 0 { parts.append(carry) }
    }
    var text = isNegative ? "-" : ""
    text += String(parts.last!)
    for part in parts.dropLast().reversed() {
      let digits = String(part)
      text += String(repeating: "0", count: baseDigits - digits.utf8.count) + digits
    }
    return text
  }

  /// The digits of 15 bits of a decimal text, the lowest first, none of them leading; nil where it is no integer or too long.
  static func parse(_ text: String) -> (digits: [UInt16], isNegative: Bool)? {
    var rest = Substring(text).utf8
    let isNegative = rest.first == UInt8(ascii: "-")
    if isNegative || rest.first == UInt8(ascii: "+") { rest.removeFirst() }
    guard !rest.isEmpty, rest.count <= MarshalLimit.integerDigits * 9 / 2 else { return nil }
    var digits: [UInt16] = []
    while !rest.isEmpty {
      // As many decimal digits as a step takes; four keep a digit of 15 bits times 10^4 within 32 bits.
      let chunk = rest.prefix(4)
      rest = rest.dropFirst(4)
      var carry: UInt32 = 0
      var scale: UInt32 = 1
      for byte in chunk {
        guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
        carry = carry * 10 + UInt32(byte - UInt8(ascii: "0"))
        scale *= 10
      }
      for index in digits.indices {
        let value = UInt32(digits[index]) * scale + carry
        digits[index] = UInt16(value & 0x7fff)
        carry = value >> 15
      }
      while carry > 0 {
        digits.append(UInt16(carry & 0x7fff))
        carry >>= 15
      }
    }
    return (digits, isNegative && !digits.isEmpty)
  }
}
