import Glibc
import Heddle
import HeddlePython

private struct Person: Codable, Sendable, Equatable {
  var name: String
  var age: Int
}

/// Functions of a script of our own, in both modes.
func checkPython() async {
  let path = "/tmp/heddle-outside-\(getpid()).py"
  let script = """
    import os, time
    def double(x, *, by=2): return x * by
    def greet(person): return {"name": person["name"].upper(), "age": person["age"] + 1}
    def fail(x): raise ValueError("not " + str(x))
    def die(x): os._exit(x)
    def nothing(): return None
    def nap(s): time.sleep(s); return os.getpid()
    """
  guard let file = fopen(path, "w") else { return report("FAILED \(path) cannot be written") }
  fputs(script, file)
  fclose(file)
  defer { unlink(path) }

  // The modes that every Python has.
  for mode in [PythonMode.processes, .threads] {
    await check("python \(mode): calls, keywords, types, exceptions") {
      try await withExecutor(PythonExecutor(maxWorkers: 2, mode: mode)) { python in
        try await expect(python.submit(PythonCall<Int>("\(path):double", 21)).value, 42)
        try await expect(python.submit(PythonCall<[String]>("\(path):double", ["a"], keywords: ["by": 3])).value, ["a", "a", "a"])
        try await expect(
          python.submit(PythonCall<Person>("\(path):greet", Person(name: "ada", age: 36))).value, Person(name: "ADA", age: 37))
        try await expect(python.submit(PythonCall<Int?>("\(path):nothing")).value, nil)
        try await expect(python.submit(PythonCall<Double>("math:sqrt", 16)).value, 4)
        await expectError(python.submit(PythonCall<Int>("\(path):fail", 5))) {
          guard let failure = $0 as? PythonFailure else { return false }
          return failure.type == "ValueError" && failure.message == "not 5" && failure.traceback.contains("in fail")
        }
        await expectError(python.submit(PythonCall<Int>("\(path):missing", 5))) { $0 is PythonTargetError }
        await expectError(python.submit(PythonCall<String>("\(path):double", 5))) { ($0 as? JobError)?.code == .notDecodable }
        var next = 0
        for try await value in python.map((0..<500).map { PythonCall<Int>("\(path):double", $0) }) {
          try expect(value, next * 2)
          next += 1
        }
        try expect(next, 500)
      }
    }
  }
  await check("python processes: an interpreter that dies costs its call") {
    try await withExecutor(PythonExecutor(maxWorkers: 2)) { python in
      let calls = (0..<200).map { PythonCall<Int?>("\(path):\($0 == 100 ? "die" : "double")", $0 == 100 ? 3 : $0) }
      let futures = calls.map { python.submit($0) }
      for (number, future) in futures.enumerated() where number != 100 { try await expect(future.value, number * 2) }
      await expectError(futures[100]) { ($0 as? JobError)?.code == .workerDied && ($0 as? JobError)?.exit == .code(3) }
    }
  }
  await check("python: futures of different executors are waited for together") {
    let python = PythonExecutor(maxWorkers: 1)
    let threads = ThreadPoolExecutor(maxWorkers: 1)
    let futures: [AnyFuture] = [python.submit(PythonCall<Int>("\(path):nap", 0.05)), threads.submit { 1 }]
    try expect(await wait(for: futures, timeout: .seconds(10)).done.count, 2)
    await python.shutdown()
    await threads.shutdown()
  }
  await check("python: no such interpreter is said so") {
    let python = PythonExecutor(maxWorkers: 1, python: "/no/such/python")
    await expectError(python.submit(PythonCall<Int>("\(path):double", 1))) { ($0 as? JobError)?.code == .workerNotStarted }
    await python.shutdown()
  }
}
