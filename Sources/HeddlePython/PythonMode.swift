/// How a ``PythonExecutor`` runs calls at once.
///
/// All but `.processes` use one process: a call that crashes takes those along that run beside it, and a running call cannot be killed.
public enum PythonMode: String, Sendable, Hashable, CaseIterable {
  /// Each call in one of several interpreter processes: for functions that compute, on every core.
  ///
  /// Runs everything that Python runs. A crash costs one call.
  case processes
  /// All calls in one interpreter, on threads under one GIL: for functions that wait.
  ///
  /// They share the module's globals.
  case threads
  /// Each call in one of several sub-interpreters of one process, each with a GIL of its own: for functions that compute, with less memory.
  ///
  /// Python 3.12 or later. Each interpreter loads its own modules and has its own globals. An extension module that is not made for it
  /// refuses to load (NumPy does); the call then fails with a `PythonTargetError` of reason `unsuitedModule` that names it. A function there
  /// may not fork, nor start daemon threads or `multiprocessing`; `subprocess` works.
  case interpreters
  /// All calls in one interpreter without a GIL, on threads that run at once: for functions that compute on data that they share.
  ///
  /// A free-threaded build of Python 3.13 or later. A module that is not made for it turns the GIL on again when it is loaded; calls are
  /// then refused with a `PythonTargetError` of reason `unsuitedModule` that names it, unless `PYTHON_GIL` is 0 in the environment.
  case freeThreaded

  /// The bridge's word for it.
  func way(concurrency: Int) -> String {
    switch self {
    case .processes, .threads: concurrency > 1 ? "loop" : "calls"
    case .interpreters: "interpreters"
    case .freeThreaded: concurrency > 1 ? "free-loop" : "free"
    }
  }

  /// Whether that interpreter can do it.
  ///
  /// - Throws: `PythonInterpreterError` with a sentence that says what to use instead.
  package func demand(of interpreter: PythonInterpreter) throws {
    let name = "\(interpreter.executable) is Python \(interpreter.version.map(String.init).joined(separator: "."))"
    switch self {
    case .interpreters where interpreter.version.lexicographicallyPrecedes([3, 12]):
      throw PythonInterpreterError(
        "\(name), whose sub-interpreters share one GIL; use processes instead (.processes, --on processes), or name a Python 3.12 or later")
    case .freeThreaded where interpreter.hasGIL:
      throw PythonInterpreterError(
        "\(name) with a GIL, so that its threads take turns; use processes instead (.processes, --on processes), or name a free-threaded "
          + "build such as python3.13t")
    default: break
    }
  }
}
