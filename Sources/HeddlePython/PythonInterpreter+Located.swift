import HeddleSystem

extension PythonInterpreter {
  /// The interpreter that would be used, without starting it to ask what it is; nil where that has to be asked.
  ///
  /// A script in its place (a shim of pyenv) costs more at every start than asking once. The version is empty, and a GIL supposed. Where
  /// it is no Python that works, its workers do not start, and `find` says why.
  package static func located(explicit: String?, for target: PythonTarget) throws -> PythonInterpreter? {
    let path = try locate(explicit: explicit, scriptFolder: target.scriptFolder, environment: ChildProcess.environment)
    guard let file = try? Descriptor.open(path, for: .reading), let start = try? file.readSlice(at: 0, count: 4),
      start == [0x7f] + Array("ELF".utf8)
    else { return nil }
    return PythonInterpreter(executable: path, version: [], hasGIL: true)
  }
}
