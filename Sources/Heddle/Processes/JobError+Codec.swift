import HeddleSystem
import HeddleWire

// What is said of jobs and outputs that cannot travel: the same words wherever it is found out.
extension JobError {
  static func tooManyBuffers(_ count: Int) -> JobError {
    JobError(
      code: .notEncodable,
      message: "\(count) different SharedBuffers are more than the \(HandoverSocket.limit) that travel with one job or result. "
        + "Put several into one, and pass parts of it (extracting).")
  }
  /// Part of a job or result has to be in memory for a while, and does not fit.
  ///
  /// - Parameters:
  ///   - beginning: what became of the job.
  ///   - place: which process has none.
  package static func noMemory(_ code: Code, _ beginning: String, _ byteCount: Int, in place: MemoryPlace) -> JobError {
    JobError(
      code: code,
      message:
        "\(beginning): there is no memory in \(place.rawValue) for \(byteCount) bytes of it. Raise the limit (ulimit -v, a control group), "
        + "make it smaller, or put large data into a SharedBuffer, which is not copied.")
  }
  /// Whose memory it is.
  package enum MemoryPlace: String {
    case here = "this process"
    case worker = "its worker"
  }
  static func jobNotEncodable(_ job: Any.Type, _ error: any Error) -> JobError {
    if let missing = NoMemory(behind: error) { return noMemory(.notEncodable, "The job \(job) did not run", missing.byteCount, in: .here) }
    return JobError(
      code: .notEncodable,
      message: "The job \(job) cannot be encoded, so it did not run: \(error). Change its stored properties or its encode(to:).")
  }
  static func jobNotDecodable(_ job: Any.Type, _ error: any Error) -> JobError {
    if let missing = NoMemory(behind: error) {
      return noMemory(.notDecodable, "The job \(job) did not run", missing.byteCount, in: .worker)
    }
    return JobError(
      code: .notDecodable,
      message:
        "The job \(job) arrived but cannot be decoded, so it did not run: \(error). Make its init(from:) read what its encode(to:) writes.")
  }
  static func outputNotEncodable(_ job: Any.Type, _ error: any Error) -> JobError {
    if let missing = NoMemory(behind: error) {
      return noMemory(.notEncodable, "\(job) has run, but its output is lost", missing.byteCount, in: .worker)
    }
    return JobError(
      code: .notEncodable,
      message: "\(job) has run, but its output cannot be encoded: \(error). Change the output's stored properties or its encode(to:).")
  }
  static func outputNotDecodable(_ job: Any.Type, _ error: any Error) -> JobError {
    if let missing = NoMemory(behind: error) {
      return noMemory(.notDecodable, "\(job) has run, but its output is lost", missing.byteCount, in: .here)
    }
    return JobError(
      code: .notDecodable,
      message: "\(job) has run, but its output cannot be decoded: \(error). Make the output's init(from:) read what its encode(to:) writes."
    )
  }
}
