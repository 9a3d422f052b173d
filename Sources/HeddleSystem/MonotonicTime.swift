public import CHeddle

/// A point in time of the monotonic clock, which both processes of a channel share.
///
/// Unit: nanoseconds since some moment.
public struct MonotonicTime: Comparable, Hashable, Sendable {
  /// Since some moment that both processes share.
  public var nanoseconds: UInt64

  /// The point that lies so long after that moment.
  @inlinable public init(nanoseconds: UInt64) { self.nanoseconds = nanoseconds }

  /// Now.
  @inlinable public static var now: MonotonicTime { MonotonicTime(nanoseconds: heddle_monotonic_nanoseconds()) }
  /// After every other point.
  @inlinable public static var distantFuture: MonotonicTime { MonotonicTime(nanoseconds: .max) }

  /// Whether `a` is earlier.
  @inlinable public static func < (a: MonotonicTime, b: MonotonicTime) -> Bool { a.nanoseconds < b.nanoseconds }
  /// The point `span` after `time`; a span that is negative or too long is cut to the range.
  @inlinable public static func + (time: MonotonicTime, span: Duration) -> MonotonicTime {
    let (sum, overflow) = time.nanoseconds.addingReportingOverflow(span.clampedNanoseconds)
    return MonotonicTime(nanoseconds: overflow ? .max : sum)
  }
  /// The span from `b` to `a`; zero where `b` is later.
  @inlinable public static func - (a: MonotonicTime, b: MonotonicTime) -> Duration {
    .nanoseconds(Int64(clamping: a.nanoseconds > b.nanoseconds ? a.nanoseconds - b.nanoseconds : 0))
  }
}

extension Duration {
  /// In nanoseconds, from zero to the longest that fits.
  @inlinable public var clampedNanoseconds: UInt64 {
    let (seconds, attoseconds) = components
    guard seconds >= 0, attoseconds >= 0 else { return 0 }
    let (whole, overflow) = UInt64(seconds).multipliedReportingOverflow(by: 1_000_000_000)
    return overflow ? .max : whole.addingReportingOverflow(UInt64(attoseconds / 1_000_000_000)).partialValue
  }
  /// In seconds.
  @inlinable public var seconds: Double { Double(components.seconds) + Double(components.attoseconds) * 1e-18 }
}
