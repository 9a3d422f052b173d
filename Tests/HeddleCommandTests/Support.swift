import Foundation
import HeddlePython
import HeddleSystem
import Synchronization

@testable import HeddleCommand

/// Runs calls at once, on the thread that submits them, by asking a closure what the function would give.
final class FakeRunner: CallRunner {
  let window: Int
  private let body: @Sendable (PythonValue) -> CallOutcome.Ending
  private let isShut = Mutex(false)
  let calls = Mutex<[PythonValue]>([])

  /// - Parameter body: Is given the call: a list of positional arguments and keyword arguments.
  init(window: Int = 8, _ body: @escaping @Sendable (PythonValue) -> CallOutcome.Ending) {
    self.window = window
    self.body = body
  }
  var processorTime: Duration? { .seconds(1) }
  func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
    guard !isShut.withLock({ $0 }) else {
      completion(CallOutcome(ending: .notRun, seconds: 0, attempts: 0))
      return { false }
    }
    let call = try! MarshalDecoder().decode(PythonValue.self, from: input.arguments()!)
    calls.withLock { $0.append(call) }
    completion(CallOutcome(ending: body(call), seconds: 0.25, attempts: 1))
    return { false }
  }
  func shutdown(grace: Duration?) { isShut.withLock { $0 = true } }
}

/// Holds every call until it is told to end them; what is left at `shutdown` has not run.
final class HoldingRunner: CallRunner {
  typealias Held = (argument: PythonValue, completion: @Sendable (CallOutcome) -> Void)
  private struct State {
    var held: [Held] = []
    var isShut = false
  }
  private let state = Mutex(State())
  let window: Int
  private let whenFull: @Sendable (HoldingRunner) -> Void

  /// - Parameter whenFull: Is called when as many calls are held as the window lets through.
  init(window: Int, whenFull: @escaping @Sendable (HoldingRunner) -> Void) {
    self.window = window
    self.whenFull = whenFull
  }
  var processorTime: Duration? { nil }
  func submit(_ input: Input, completion: @escaping @Sendable (CallOutcome) -> Void) -> CallCanceller {
    let call = try! MarshalDecoder().decode(PythonValue.self, from: input.arguments()!)
    let (count, isShut) = state.withLock { state in
      if !state.isShut { state.held.append((call[0]?[0] ?? nil, completion)) }
      return (state.held.count, state.isShut)
    }
    if isShut { completion(CallOutcome(ending: .notRun, seconds: 0, attempts: 0)) }
    if count == window { whenFull(self) }
    return { false }
  }
  /// Ends what is held, in the order that `order` makes of it, with its argument as the value.
  func finish(_ order: ([Held]) -> [Held]) {
    let held = state.withLock { state in
      defer { state.held = [] }
      return state.held
    }
    for call in order(held) {
      call.completion(CallOutcome(ending: .returned(try! MarshalEncoder().encode(call.argument)), seconds: 0, attempts: 1))
    }
  }
  func shutdown(grace: Duration?) {
    let held = state.withLock { state in
      state.isShut = true
      defer { state.held = [] }
      return state.held
    }
    for call in held { call.completion(CallOutcome(ending: .notRun, seconds: 0, attempts: 0)) }
  }
}

extension CallOutcome.Ending {
  static func value(_ value: PythonValue) -> Self { .returned(try! MarshalEncoder().encode(value)) }
}

/// A folder that is removed with its owner.
final class TemporaryFolder: Sendable {
  let path: String
  init() throws {
    path = FileManager.default.temporaryDirectory.appending(path: "heddle-\(UUID().uuidString)").path
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }
  deinit { try? FileManager.default.removeItem(atPath: path) }
  func file(_ name: String) -> String { "\(path)/\(name)" }
  func write(_ name: String, _ text: String) throws { try Data(text.utf8).write(to: URL(filePath: file(name))) }
  func read(_ name: String) throws -> String { String(decoding: try Data(contentsOf: URL(filePath: file(name))), as: UTF8.self) }
}

/// What `heddle map` with those arguments did, with a fake runner in the executor's place.
struct ToolRun {
  let status: ExitStatus
  let output: String
  let console: String

  init(_ arguments: [String], in folder: TemporaryFolder, runner: any CallRunner) throws {
    let name = UUID().uuidString
    let output = try Descriptor.open(folder.file("\(name).out"), for: .creating)
    let console = try Descriptor.open(folder.file("\(name).err"), for: .creating)
    let command = try MapCommand.parse(NamedInputs.marked(arguments))
    let python = try Self.python.get()
    status = MapRun(
      command, console: console.number, standardOutput: output.number, listensToSignals: false, check: { _, _ in python },
      makeRunner: { _ in runner }
    ).run()
    self.output = try folder.read("\(name).out")
    self.console = try folder.read("\(name).err")
  }
  /// The rows, or those of a file, each as `input ok|failed` with the value.
  static func rows(_ text: String) throws -> [String] {
    try text.split(separator: "\n").map { line in
      let row = try JSONDecoder().decode(PythonValue.self, from: Data(line.utf8))
      let input = "\(row["input"].map(Self.show) ?? "?")"
      return row["ok"] == true ? "\(input)=\(row["value"].map(Self.show) ?? "?")" : "\(input)!"
    }
  }
  private static func show(_ value: PythonValue) -> String {
    switch value {
    case .string(let text): text
    case .int(let number): "\(number)"
    default: "\(value)"
    }
  }
  private static let python = Result { try PythonInterpreter.find() }
}
