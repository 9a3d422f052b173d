import Testing

@testable import HeddleCommand

struct OptionTests {
  @Test func `spans and sizes have units`() {
    let spans: [(String, Duration?)] = [
      ("30s", .seconds(30)), ("500ms", .milliseconds(500)), ("2m", .seconds(120)), ("1h", .seconds(3600)), ("5", .seconds(5)),
      ("1.5s", .milliseconds(1500)), ("0", nil), ("-1", nil), ("s", nil), ("", nil), ("nan", nil), ("1d", .seconds(86400)), ("1e3", nil),
      ("inf", nil),
    ]
    for (text, expected) in spans { #expect(TimeSpan(argument: text)?.duration == expected, "\(text)") }
    let sizes: [(String, Int?)] = [
      ("500MB", 500_000_000), ("2GiB", 2 << 30), ("100k", 100_000), ("1.5m", 1_500_000), ("4096", 4096), ("1T", 1_000_000_000_000),
      ("0", nil), ("MB", nil), ("-1", nil), ("1i", nil), ("", nil), ("12XB", nil), ("1KiB", 1024), ("7b", 7),
    ]
    for (text, expected) in sizes { #expect(ByteCount(argument: text)?.bytes == expected, "\(text)") }
  }

  @Test(arguments: [
    (["t.py:f"], "no inputs"), (["t.py:f", "a", "--inputs", "b"], "use one of the two"),
    (["t.py:f", "a", "--on", "elsewhere"], "elsewhere"),
    (["t.py:f", "a", "--input-format", "csv"], "needs a file"), (["t.py:f", "a", "-j", "0"], "at least 1"),
    (["t.py:f", "a", "--retries=-1"], "0 or more"), (["t.py:f", "a", "--max-failures", "0"], "at least 1"),
    (["t.py:f", "a", "--resume"], "needs an --output"), (["t.py:f", "a", "--timeout", "soon"], "soon"),
    (["t.py:f", "a", "--output", "o", "--resume", "--overwrite"], "exclude each other"), ([], "target"),
    (["t.py:f", "a", "--no-such-option"], "no-such-option"),
    (["gzip", "{}", ":::", "a"], "a command goes after --"),
  ])
  func `a wrong option is one sentence`(arguments: [String], part: String) {
    do {
      _ = try MapCommand.parse(arguments)
      Issue.record("accepted")
    } catch {
      #expect(MapCommand.fullMessage(for: error).contains(part))
    }
  }

  @Test func `the help names every option and status`() {
    let help = MapCommand.helpMessage()
    for word in [
      "--inputs", "--input-format", "--on", "--workers", "-j", "--timeout", "--retries", "--memory-limit", "--max-failures", "--python",
      "--output", "--keep-order", "--resume", "--retry-failed", "--overwrite", "--progress", "130", "EXAMPLES",
    ] { #expect(help.contains(word), "\(word)") }
  }
}
