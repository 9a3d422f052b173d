import CGauges

/// Points in time and spans, as plain numbers that can be divided.
public enum Stopwatch {
  /// Monotonic time, the same in all processes.
  ///
  /// Unit: nanoseconds.
  public static func now() -> UInt64 { gauge_now() }

  /// How long `body` takes.
  ///
  /// Unit: nanoseconds.
  public nonisolated(nonsending) static func nanoseconds(_ body: nonisolated(nonsending) () async throws -> Void) async rethrows -> Double {
    let begin = gauge_now()
    try await body()
    return Double(gauge_now() - begin)
  }
  /// How long `body` takes, which does not await.
  ///
  /// Unit: nanoseconds.
  public static func span(_ body: () throws -> Void) rethrows -> Double {
    let begin = gauge_now()
    try body()
    return Double(gauge_now() - begin)
  }
}

/// Least, middle and most.
public struct Spread: Sendable {
  /// The values in order.
  public let sorted: [Double]

  /// Of at least one value.
  public init(_ values: [Double]) { sorted = values.sorted() }
  /// The least.
  public var least: Double { sorted[0] }
  /// The middle one; of an even number the mean of the two in the middle.
  public var median: Double {
    let middle = sorted.count / 2
    return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
  }
  /// The most.
  public var most: Double { sorted[sorted.count - 1] }
}
