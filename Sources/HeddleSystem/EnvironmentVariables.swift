/// What stands in an environment, a list of `NAME=value`.
public enum EnvironmentVariables {
  /// The value of a variable; nil where it is not set, or is empty.
  ///
  /// - Parameter environment: by default that of this process.
  public static func value(of name: String, in environment: [String] = ChildProcess.environment) -> String? {
    let start = "\(name)="
    guard let entry = environment.first(where: { $0.hasPrefix(start) }), entry != start else { return nil }
    return String(entry.dropFirst(start.count))
  }
  /// The folders in which a shell would look for a program.
  public static func programFolders(in environment: [String] = ChildProcess.environment) -> [String] {
    (value(of: "PATH", in: environment) ?? "/usr/local/bin:/usr/bin:/bin").split(separator: ":").map(String.init)
  }
  /// The file that a shell would start under that name; nil where there is none.
  public static func locate(program name: String, in environment: [String] = ChildProcess.environment) -> String? {
    programFolders(in: environment).lazy.map { "\($0)/\(name)" }.first(where: Files.isExecutable)
  }
}
