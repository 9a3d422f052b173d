import Gauges
import Heddle
import HeddlePython

/// Heddle's own Python executor, in a program of its own: what it links would count in the memory and the start of Measure's workers.
///
/// PythonCalls PYTHON TARGET. Figures are microseconds a call.
@main
struct PythonCalls {
  static func main() async {
    let arguments = CommandLine.arguments
    guard arguments.count == 3 else { return print("error: PythonCalls PYTHON TARGET") }
    let target = arguments[2]
    await withExecutor(arguments[1]) { python in
      await CommandServer.serve { name, numbers in
        let count = numbers.first ?? 1
        switch name {
        case "flood":
          return try await Stopwatch.nanoseconds {
            let futures = (0..<count).map { python.submit(PythonCall<Int>(target, $0)) }
            var sum = 0
            for future in futures { sum &+= try await future.value }
            precondition(sum == count * (count - 1) / 2)
          } / Double(count) / 1e3
        case "single":
          return try await Stopwatch.nanoseconds {
            for number in 0..<count { _ = try await python.submit(PythonCall<Int>(target, number)).value }
          } / Double(count) / 1e3
        case "map":
          return try await Stopwatch.nanoseconds {
            var sum = 0
            for try await value in python.map((0..<count).lazy.map { PythonCall<Int>(target, $0) }) { sum &+= value }
            precondition(sum == count * (count - 1) / 2)
          } / Double(count) / 1e3
        default: return nil
        }
      }
    }
  }
  static func withExecutor(_ path: String, _ body: (PythonExecutor) async -> Void) async {
    let python = PythonExecutor(maxWorkers: 2, python: path)
    await body(python)
    await python.shutdown(.finishRunning)
  }
}
