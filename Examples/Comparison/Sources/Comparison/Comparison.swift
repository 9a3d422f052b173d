#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// Runs `body`, prints how long it took and how many cores it used, and gives what it gives.
///
/// Cores used are processor time over time on the clock: that of this process, and of the processes that it started and that have ended by
/// then, so shut the executor down in `body` (`withExecutor` does).
public func measured<Result>(_ name: String, _ body: () async throws -> Result) async rethrows -> Result {
  let clock = ContinuousClock()
  let (begin, used) = (clock.now, processorSeconds())
  let result = try await body()
  let span = clock.now - begin
  let seconds = Double(span.components.seconds) + Double(span.components.attoseconds) / 1e18
  print(name.padded(to: 34), decimal(seconds).padded(left: 8), decimal((processorSeconds() - used) / seconds).padded(left: 11))
  return result
}

/// Processor time of this process and of those that it started and that have ended.
private func processorSeconds() -> Double {
  [RUSAGE_SELF, RUSAGE_CHILDREN].reduce(0) { sum, who in
    var usage = rusage()
    // glibc has an enumeration for the first argument.
    #if canImport(Glibc)
      getrusage(__rusage_who_t(who.rawValue), &usage)
    #else
      getrusage(who, &usage)
    #endif
    return sum + [usage.ru_utime, usage.ru_stime].reduce(0) { $0 + Double($1.tv_sec) + Double($1.tv_usec) / 1e6 }
  }
}

/// Two places after the point.
private func decimal(_ value: Double) -> String {
  let hundredths = Int((value * 100).rounded())
  let fraction = hundredths % 100
  return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction)"
}

extension String {
  fileprivate func padded(to width: Int) -> String { self + String(repeating: " ", count: max(0, width - count)) }
  fileprivate func padded(left width: Int) -> String { String(repeating: " ", count: max(0, width - count)) + self }
}
