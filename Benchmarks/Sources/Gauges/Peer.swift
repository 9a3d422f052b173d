import CGauges
import Glibc

/// A program that is asked for figures, and answers one line with one line.
public final class Peer {
  /// What the table calls it.
  public let name: String
  /// Its number.
  public let pid: pid_t
  private let input: Int32
  private let output: UnsafeMutablePointer<FILE>

  /// Starts it; nil: it cannot be started.
  public init?(_ name: String, _ command: [String]) {
    var arguments: [UnsafeMutablePointer<CChar>?] = command.map { strdup($0) } + [nil]
    defer { arguments.forEach { free($0) } }
    var input: Int32 = -1
    var output: Int32 = -1
    pid = gauge_start(&arguments, &input, &output)
    guard pid > 0, let file = fdopen(output, "r") else { return nil }
    self.name = name
    self.input = input
    self.output = file
  }
  /// Ends its input, which ends it, and waits for that; one that does not end, as CPython's pool at times, is killed after two seconds.
  ///
  /// Its group is killed in any case: CPython's workers survive a pool that is killed, and hold whatever reads our output.
  deinit {
    close(input)
    fclose(output)
    var information = siginfo_t()
    for _ in 0..<200 {
      information.si_signo = 0
      if waitid(P_PID, id_t(pid), &information, WEXITED | WNOWAIT | WNOHANG) == 0, information.si_signo != 0 { break }
      usleep(10_000)
    }
    kill(-pid, SIGKILL)
    waitpid(pid, nil, 0)
  }

  /// One figure.
  ///
  /// Blocks until it is there.
  public func ask(_ command: String, _ numbers: [Int]) throws -> Double {
    let line = ([command] + numbers.map(String.init)).joined(separator: " ") + "\n"
    guard line.withCString({ write(input, $0, strlen($0)) }) == line.utf8.count else { throw PeerFailure("\(name) takes no more commands") }
    var buffer = [CChar](repeating: 0, count: 4096)
    guard fgets(&buffer, 4096, output) != nil else { throw PeerFailure("\(name) ended at: \(line)") }
    let answer = String(decoding: buffer.prefix { $0 != 0 && $0 != 10 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    guard let figure = Double(answer) else { throw PeerFailure("\(name), asked for \(command): \(answer)") }
    return figure
  }
}

/// A peer that gave no figure.
public struct PeerFailure: Error, CustomStringConvertible {
  /// Who, and what it said.
  public let description: String
  init(_ description: String) { self.description = description }
}
