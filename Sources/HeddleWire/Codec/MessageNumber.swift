/// Names the message that a writer or reader is at, so that what was handed out for an earlier one is recognised.
struct MessageNumber {
  /// Another one for each message, and 0 between two.
  private(set) var current: UInt32 = 0
  private var last: UInt32 = 0

  @inline(__always)
  mutating func begin() {
    last = last == .max ? 1 : last &+ 1
    current = last
  }
  @inline(__always)
  mutating func end() { current = 0 }
}
