import HeddleSystem

/// Takes what workers print to a user's handler, by line or by job.
///
/// Only the supervisor's thread touches it.
struct OutputRouter {
  /// One output of one worker.
  struct Stream {
    var splitter: OutputSplitter
    /// The job that runs, as far as the marks have been read.
    var current: (position: UInt64, name: JobName)?
    /// The beginning of a line.
    var line: [UInt8] = []
  }
  /// What a job has printed so far.
  struct Capture {
    var name: JobName
    var texts: [OutputStream: [UInt8]] = [:]
    var isTruncated = false
    var endedStreams = 0
  }
  /// All that is kept of one worker.
  struct Desk {
    var streams: [OutputStream: Stream]
    var captures: [UInt64: Capture] = [:]

    init(secret: [UInt8]) {
      streams = [:]
      for stream in OutputStream.allCases { streams[stream] = Stream(splitter: OutputSplitter(secret: secret)) }
    }
  }
  /// What a job is called.
  struct JobName: Equatable {
    var label: String
    var attempt: Int
  }
  private let output: WorkerOutput
  private let pump = OutputPump()
  private static let lineLimit = 1 << 16

  /// nil: the output is for no handler.
  init?(_ output: WorkerOutput) {
    switch output {
    case .passedThrough, .discarded: return nil
    case .lines, .jobs: self.output = output
    }
  }

  /// The handler is behind: the workers' pipes are to be left alone.
  var isFull: Bool { pump.isFull }
  /// Ends the handler's thread.
  ///
  /// Blocks, for two seconds at most.
  func close() { pump.close() }

  /// Deals with what was read from a worker.
  ///
  /// - Parameters:
  ///   - name: what the job at a position is called.
  /// - Returns: what belongs to no job and to no handler.
  func take(
    _ bytes: [UInt8], from stream: OutputStream, of desk: inout Desk, pid: Int32, name: (UInt64) -> JobName?, tail: inout OutputTail
  ) -> [UInt8] {
    var loose: [UInt8] = []
    for piece in desk.streams[stream]!.splitter.split(bytes) {
      switch piece {
      case .begin(let position):
        finishLine(stream, &desk, pid)
        let name = name(position) ?? JobName(label: "", attempt: 1)
        desk.streams[stream]!.current = (position, name)
        if desk.captures[position] == nil { desk.captures[position] = Capture(name: name) }
        // The tail that an error shows is that of its own job.
        if stream == .standardError { tail = OutputTail() }
      case .end(let position):
        finishLine(stream, &desk, pid)
        desk.streams[stream]!.current = nil
        guard desk.captures[position] != nil else { continue }
        desk.captures[position]!.endedStreams += 1
        if desk.captures[position]!.endedStreams == OutputStream.allCases.count { deliver(position, &desk, pid) }
      case .text(let text):
        if stream == .standardError { tail.append(text) }
        loose += take(text, stream, &desk, pid)
      }
    }
    return loose
  }
  /// The worker has gone: what it had printed is delivered.
  func finish(_ desk: inout Desk, pid: Int32) -> [UInt8] {
    var loose: [UInt8] = []
    for stream in OutputStream.allCases {
      let rest = desk.streams[stream]!.splitter.rest()
      if !rest.isEmpty { loose += take(rest, stream, &desk, pid) }
      finishLine(stream, &desk, pid)
    }
    for position in desk.captures.keys.sorted() { deliver(position, &desk, pid) }
    return loose
  }
  private func take(_ text: [UInt8], _ stream: OutputStream, _ desk: inout Desk, _ pid: Int32) -> [UInt8] {
    switch output {
    case .lines:
      var rest = text[...]
      while let newline = rest.firstIndex(of: UInt8(ascii: "\n")) {
        desk.streams[stream]!.line += rest[..<newline]
        rest = rest[(newline + 1)...]
        finishLine(stream, &desk, pid, isWhole: true)
      }
      desk.streams[stream]!.line += rest
      if desk.streams[stream]!.line.count >= Self.lineLimit { finishLine(stream, &desk, pid) }
      return []
    case .jobs(let limit, _):
      guard let position = desk.streams[stream]!.current?.position, desk.captures[position] != nil else { return text }
      var kept = desk.captures[position]!.texts.removeValue(forKey: stream) ?? []
      kept += text
      if kept.count > limit { desk.captures[position]!.isTruncated = true }
      // Cut now and then only, so that each byte moves a bounded number of times.
      if kept.count > 2 * limit + 4096 { kept.removeFirst(kept.count - limit) }
      desk.captures[position]!.texts[stream] = kept
      return []
    case .passedThrough, .discarded: return text
    }
  }
  private func finishLine(_ stream: OutputStream, _ desk: inout Desk, _ pid: Int32, isWhole: Bool = false) {
    guard case .lines(let handler) = output, isWhole || !desk.streams[stream]!.line.isEmpty else { return }
    let bytes = desk.streams[stream]!.line
    desk.streams[stream]!.line = []
    let name = desk.streams[stream]!.current?.name
    let line = OutputLine(
      text: String(decoding: bytes, as: UTF8.self), stream: stream, label: name?.label, attempt: name?.attempt ?? 1, workerPID: pid)
    pump.put(bytes.count + 64) { handler(line) }
  }
  private func deliver(_ position: UInt64, _ desk: inout Desk, _ pid: Int32) {
    guard let capture = desk.captures.removeValue(forKey: position), case .jobs(let limit, let handler) = output else { return }
    func text(_ stream: OutputStream) -> String {
      String(decoding: (capture.texts[stream] ?? []).suffix(limit), as: UTF8.self)
    }
    let output = JobOutput(
      label: capture.name.label, attempt: capture.name.attempt, workerPID: pid, standardOutput: text(.standardOutput),
      standardError: text(.standardError), isTruncated: capture.isTruncated)
    pump.put(output.standardOutput.utf8.count + output.standardError.utf8.count + 64) { handler(output) }
  }
}
