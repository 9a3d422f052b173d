import ArgumentParser
import HeddlePython
import HeddleSystem

/// `heddle map`: a function over many inputs.
struct MapCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "map",
    abstract: "Calls a Python function once for each input and writes one line of JSON for each result.",
    discussion: """
      EXAMPLES
        heddle map photos.py:thumbnail *.jpg
        find . -name '*.py' | heddle map count.py:lines --inputs -
        heddle map fetch.py:page --inputs urls.txt --on threads -j 32 --retries 2
        heddle map train.py:run --inputs grid.csv --input-format csv \\
            --output runs.jsonl --resume

      RESULTS
        One JSON object a line, on standard output or in the --output file, each as
        soon as its call ends. Here, two that are broken to fit the page:

        {"index": 0, "input": "a.jpg", "ok": true, "value": 7,
         "seconds": 0.12, "attempts": 1}
        {"index": 1, "input": "b.jpg", "ok": false,
         "error": {"code": "exception", "type": "ValueError",
                   "message": "...", "traceback": "..."},
         "seconds": 0.01, "attempts": 1}

        "code" is exception, or workerDied (with "exit": "SIGSEGV" or "exit 3"),
        timedOut, memoryLimitExceeded, notEncodable, notDecodable, workerNotStarted.
        "seconds" is how long the last try took. bytes are written as base64, NaN
        and Infinity as Python's json writes them. What the function prints goes to
        standard error, with a summary at the end.

      EXIT STATUS
        0    every input succeeded
        1    some failed, or the results could not be written to the end
        2    wrong usage, target, interpreter or input; nothing was run
        130  interrupted: after Ctrl-C what runs has 5 seconds, and nothing more
             starts; a second Ctrl-C ends at once
      """)

  @Argument(help: ArgumentHelp("The function: file.py:function or package.module:function.", valueName: "target"))
  var target: String
  @Argument(help: ArgumentHelp("Inputs; each is the function's one argument, as text.", valueName: "input"))
  var inputs: [String] = []

  @Option(name: .customLong("inputs"), help: ArgumentHelp("Read inputs from a file, one a line; - is standard input.", valueName: "file"))
  var inputFile: String?
  @Option(
    help: ArgumentHelp(
      "What a line is: lines (text), json (an object: keyword arguments, an array: positional ones), csv (a row: keyword arguments).",
      valueName: "format"))
  var inputFormat: InputFormat = .lines

  @Option(help: ArgumentHelp("Where calls run: processes (every core) or threads (one process; right for waiting).", valueName: "place"))
  var on: Placement = .processes
  @Option(
    name: [.long, .customShort("j")], parsing: .unconditional,
    help: ArgumentHelp("How many run at once. (default: the cores that this process may use)", valueName: "number"))
  var workers: Int?
  @Option(
    help: ArgumentHelp("How long one call may take: 30s, 500ms, 2m, 1h.", valueName: "time"), transform: TimeSpan.init(option:))
  var timeout: TimeSpan?
  @Option(
    parsing: .unconditional, help: ArgumentHelp("How often a call is tried again after it failed, for any cause.", valueName: "number"))
  var retries: Int = 0
  @Option(
    help: ArgumentHelp(
      "How much memory of its own a worker process may have: 500MB, 2GiB. A call that needs more fails. With --on threads all share it.",
      valueName: "size"), transform: ByteCount.init(option:))
  var memoryLimit: ByteCount?
  @Option(parsing: .unconditional, help: ArgumentHelp("Start nothing more after that many inputs have failed.", valueName: "number"))
  var maxFailures: Int?
  @Option(
    help: ArgumentHelp("The interpreter. (default: VIRTUAL_ENV, .venv beside the script, python3 on PATH)", valueName: "path"))
  var python: String?

  @Option(help: ArgumentHelp("Write results to a file, which must not exist yet.", valueName: "file"))
  var output: String?
  @Flag(help: "Write results in the order of the inputs.")
  var keepOrder = false
  @Flag(help: "Go on with an --output file: run every input that has no successful row there.")
  var resume = false
  @Flag(help: "Run those inputs again that have a failed row in the --output file, and nothing else.")
  var retryFailed = false
  @Flag(help: "Replace the --output file.")
  var overwrite = false
  @Option(help: ArgumentHelp("Show a progress line on standard error. auto: where that is a terminal.", valueName: "when"))
  var progress: ProgressOption = .auto

  func validate() throws {
    func refuse(_ sentence: String) throws -> Never { throw ValidationError(sentence) }
    switch on {
    case .processes, .threads: break
    default: try refuse("--on \(on.rawValue) is not there yet; use processes for computing or threads for waiting")
    }
    if inputs.isEmpty && inputFile == nil {
      try refuse("no inputs: name them after the target, or a file of them with --inputs FILE (- is standard input)")
    }
    if !inputs.isEmpty && inputFile != nil { try refuse("inputs are named as arguments and with --inputs; use one of the two") }
    if !inputs.isEmpty && inputFormat == .csv { try refuse("--input-format csv needs a file: name it with --inputs") }
    if let workers, workers < 1 { try refuse("--workers is \(workers); it must be at least 1") }
    if retries < 0 { try refuse("--retries is \(retries); it must be 0 or more") }
    if let maxFailures, maxFailures < 1 { try refuse("--max-failures is \(maxFailures); it must be at least 1") }
    let modes = [(resume, "--resume"), (retryFailed, "--retry-failed"), (overwrite, "--overwrite")].filter(\.0).map(\.1)
    if modes.count > 1 { try refuse("\(modes.joined(separator: " and ")) exclude each other") }
    if let mode = modes.first, output == nil { try refuse("\(mode) needs an --output file") }
  }

  func run() throws {
    EndSignals.take()
    let status = MapRun(self, console: Console.descriptor) { try PythonRunner($0) }.run()
    throw ExitCode(status.rawValue)
  }
}
