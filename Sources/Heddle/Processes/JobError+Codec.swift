import HeddleSystem

// What is said of jobs and outputs that cannot travel: the same words wherever it is found out.
extension JobError {
  static func tooManyBuffers(_ count: Int) -> JobError {
    JobError(
      code: .notEncodable,
      message: "\(count) different SharedBuffers are more than the \(HandoverSocket.limit) that travel with one job or result. "
        + "Put several into one, and pass parts of it (extracting).")
  }
  static func jobNotEncodable(_ job: Any.Type, _ error: any Error) -> JobError {
    JobError(
      code: .notEncodable,
      message: "The job \(job) cannot be encoded, so it did not run: \(error). Change its stored properties or its encode(to:).")
  }
  static func jobNotDecodable(_ job: Any.Type, _ error: any Error) -> JobError {
    JobError(
      code: .notDecodable,
      message:
        "The job \(job) arrived but cannot be decoded, so it did not run: \(error). Make its init(from:) read what its encode(to:) writes.")
  }
  static func outputNotEncodable(_ job: Any.Type, _ error: any Error) -> JobError {
    JobError(
      code: .notEncodable,
      message: "\(job) has run, but its output cannot be encoded: \(error). Change the output's stored properties or its encode(to:).")
  }
  static func outputNotDecodable(_ job: Any.Type, _ error: any Error) -> JobError {
    JobError(
      code: .notDecodable,
      message: "\(job) has run, but its output cannot be decoded: \(error). Make the output's init(from:) read what its encode(to:) writes."
    )
  }
}
