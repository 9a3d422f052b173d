import ArgumentParser
import HeddlePython
import HeddleSystem

/// `heddle map`: a function over many inputs.
struct MapCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "map",
    abstract: "Calls a Python function, or runs a command, once for each input and writes one line of JSON for each result.",
    usage: """
      heddle map <file.py:function> <input> ... [<options>]
      heddle map [<options>] -- <command> {} ... ::: <input> ...
      """,
    discussion: mapDiscussion)

  @Argument(
    help: ArgumentHelp(
      """
      The function, file.py:function or package.module:function, and its inputs, each its one argument, as text. Or after -- a command \
      with {} where the input goes, then ::: and the inputs, or :::: and a file of them.
      """,
      valueName: "word"))
  var words: [String] = []
  @Flag(help: "Give the command to /bin/sh, with the inputs quoted.")
  var shell = false

  @Option(name: .customLong("inputs"), help: ArgumentHelp("Read inputs from a file, one a line; - is standard input.", valueName: "file"))
  var inputFile: String?
  @Option(
    help: ArgumentHelp(
      "What a line is: lines (text), json (an object: keyword arguments, an array: positional ones), csv (a row: keyword arguments).",
      valueName: "format"))
  var inputFormat: InputFormat = .lines
  @Flag(name: [.customShort("0"), .long], help: "Inputs end with a NUL instead of a newline, as find -print0 writes them.")
  var null = false
  @Flag(help: "Take the inputs in an order by chance; all are read first.")
  var shuf = false

  @Option(
    help: ArgumentHelp(
      "Where calls run: processes (every core) or threads (one process; right for waiting); auto measures the first calls and chooses.",
      valueName: "place"))
  var on: Placement = .processes
  @Option(
    name: [.customLong("workers"), .customShort("j", allowingJoined: true), .customLong("jobs")], parsing: .unconditional,
    help: ArgumentHelp(
      "How many run at once; +2: two more than cores, 50%: for half of them. (default: the cores that this process may use)",
      valueName: "number"), transform: JobCount.init(option:))
  var workers: JobCount?
  @Option(
    help: ArgumentHelp(
      "How long one call may take: 30s, 500ms, 2m, 1h; or 300% of the median of those that succeeded, once three have.", valueName: "time"),
    transform: TimeLimit.init(option:))
  var timeout: TimeLimit?
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
    name: [.customLong("halt"), .customLong("halt-on-error")],
    help: ArgumentHelp(
      "End early: now,fail=1 kills what runs, soon,fail=3 lets it end; also fail=10%, success=1, done=100, never.", valueName: "when,why"),
    transform: { HaltOption(condition: try HaltCondition.parse($0)) })
  var halt: HaltOption?
  @Option(
    help: ArgumentHelp("The least time between the starts of two calls: 1s, 100ms.", valueName: "time"), transform: TimeSpan.init(option:))
  var delay: TimeSpan?
  @Option(
    help: ArgumentHelp(
      "Start nothing while less memory is free; with less than half of it, kill the youngest call and run it again later.",
      valueName: "size"), transform: ByteCount.init(option:))
  var memfree: ByteCount?
  @Option(parsing: .unconditional, help: ArgumentHelp("Run at this niceness, -20 to 19.", valueName: "number"))
  var nice: Int?
  @Flag(name: [.customLong("dry-run"), .customLong("dryrun")], help: "Print what would run, a line each, and run nothing.")
  var dryRun = false
  @Option(
    help: ArgumentHelp("The interpreter. (default: VIRTUAL_ENV, .venv beside the script, python3 on PATH)", valueName: "path"))
  var python: String?

  @Option(help: ArgumentHelp("A JSON file of options. (default: HEDDLE_CONFIG, or ~/.config/heddle/config.json)", valueName: "file"))
  var config: String?

  @Option(help: ArgumentHelp("Write results to a file, which must not exist yet.", valueName: "file"))
  var output: String?
  @Option(
    help: ArgumentHelp(
      "How it is written: jsonl, csv or sqlite. (default: by the file's extension, .csv, .db, .sqlite or .sqlite3; otherwise jsonl)",
      valueName: "format"))
  var outputFormat: OutputFormat?
  @Flag(name: [.customShort("k"), .long], help: "Write results in the order of the inputs.")
  var keepOrder = false
  @Flag(help: "Go on with an --output file: run every input that has no successful row there.")
  var resume = false
  @Flag(help: "Run those inputs again that have a failed row in the --output file, and nothing else.")
  var retryFailed = false
  @Flag(help: "Replace the --output file.")
  var overwrite = false
  @Flag(help: "Write the input and a tab before each line, of results and of what commands print.")
  var tag = false
  @Option(
    name: [.customLong("joblog"), .customLong("jl")],
    help: ArgumentHelp("Write GNU parallel's log of calls, with tabs; +file goes on with one.", valueName: "file"))
  var joblog: String?
  @Flag(help: "Count the inputs first and show how long it will take.")
  var eta = false
  @Flag(help: "The same with a bar.")
  var bar = false
  @Option(help: ArgumentHelp("Show a progress line on standard error. auto: where that is a terminal.", valueName: "when"))
  var progress: ProgressOption = .auto

  func validate() throws {
    func refuse(_ sentence: String) throws -> Never { throw ValidationError(sentence) }
    let named = named
    let target = named.target
    if target == nil && named.template.isEmpty {
      try refuse("a target is missing: file.py:function and its inputs, or -- and a command with ::: and its inputs")
    }
    if named.lacksTerminator {
      try refuse("a command goes after --, and a function is file.py:function: heddle map -- \(target ?? "command") … ::: inputs")
    }
    if named.isTooMany { try refuse("::: or :::: stands there twice; one list of inputs is taken") }
    if named.inputs.isEmpty && named.file == nil && inputFile == nil {
      try refuse("no inputs: name them after the target or after :::, or a file of them with --inputs FILE (- is standard input)")
    }
    if !(named.inputs.isEmpty && named.file == nil) && inputFile != nil {
      try refuse("inputs are named as arguments and with --inputs; use one of the two")
    }
    if !named.inputs.isEmpty && inputFormat == .csv { try refuse("--input-format csv needs a file: name it with --inputs") }
    if null && inputFormat == .csv { try refuse("--null is for lines and json; a CSV row ends with a newline") }
    if shell && target != nil { try refuse("--shell is for a command after --; a function needs no shell") }
    if target == nil {
      if memoryLimit != nil { try refuse("--memory-limit is for functions; for commands see --memfree, or ulimit with --shell") }
      if on != .processes { try refuse("--on \(on.rawValue) is for functions; a command is a process") }
      if python != nil { try refuse("--python is for functions; name the interpreter in the command") }
    }
    if case .percent? = timeout, on != .processes, on != .auto {
      try refuse("--timeout with a percentage needs --on processes: a thread cannot be stopped; name a time")
    }
    if outputFormat != nil && output == nil { try refuse("--output-format needs an --output file") }
    if tag && output != nil { try refuse("--tag is for standard output; in an --output file each row has its input") }
    if halt?.condition != nil && maxFailures != nil { try refuse("--halt and --max-failures exclude each other") }
    if let nice, !(-20...19).contains(nice) { try refuse("--nice is \(nice); it must be from -20 to 19") }
    if retries < 0 { try refuse("--retries is \(retries); it must be 0 or more") }
    if let maxFailures, maxFailures < 1 { try refuse("--max-failures is \(maxFailures); it must be at least 1") }
    let modes = [(resume, "--resume"), (retryFailed, "--retry-failed"), (overwrite, "--overwrite")].filter(\.0).map(\.1)
    if modes.count > 1 { try refuse("\(modes.joined(separator: " and ")) exclude each other") }
    if let mode = modes.first, output == nil { try refuse("\(mode) needs an --output file") }
  }

  /// What stands on the command line beside the options.
  var named: NamedInputs { NamedInputs(words) }
  /// The file of inputs, by option or after `::::`.
  var inputPath: String? { inputFile ?? named.file }
  /// `--halt`, or `--max-failures` in its words.
  var haltCondition: HaltCondition? {
    halt?.condition ?? maxFailures.map { HaltCondition(isNow: false, event: .fail, count: Double($0), isPercent: false) }
  }
  /// Whether the progress line was asked for by another name.
  var showsMore: Bool { eta || bar }
  /// Whether calls are to be started one by one.
  var needsPace: Bool {
    if case .percent? = timeout { return true }
    return delay != nil || memfree != nil
  }

  func run() throws {
    EndSignals.take()
    let status = MapRun(self, console: Console.descriptor) { try PythonRunner($0) }.run()
    throw ExitCode(status.rawValue)
  }
}
