import Foundation
import HeddlePython
import HeddleSystem
import Testing

/// The tool as a program, from outside: tool_tests.py, and what it finds in the folder `tool`.
///
/// HEDDLE_TEST_PYTHON names the interpreter that the functions run on; without it, it is the one that the tool finds.
struct ToolTests {
  @Test func `the program keeps its promises`() async throws {
    // Beside the tests' own bundle lies what was built with it.
    let bundle = try #require(CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? Bundle.main.executablePath)
    let folder = URL(filePath: bundle).deletingLastPathComponent()
    let tool = try #require(
      [folder, folder.deletingLastPathComponent()].map { $0.appending(path: "heddle").path }.first(where: Files.isExecutable))
    let script = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "tool_tests.py").path
    let python = try PythonInterpreter.find(explicit: ProcessInfo.processInfo.environment["HEDDLE_TEST_PYTHON"]).executable
    // On a thread of its own: other tests need the cooperative pool's.
    let output = try await withCheckedThrowingContinuation { continuation in
      Thread.detachNewThread {
        continuation.resume(
          with: Result {
            try ChildProcess.run(
              path: python, arguments: [python, script], environment: ChildProcess.environment + ["HEDDLE=\(tool)"], limit: .seconds(600))
          })
      }
    }
    #expect(output.exit == .code(0), "\(String(decoding: output.standardError, as: UTF8.self))")
  }
}
