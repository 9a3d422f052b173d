import HeddleSystem

/// What lasts in a worker from its initializer to its finalizer: one value of each type.
///
/// ```swift
/// struct LoadModel: Job {
///   var path: String
///   func run() async throws -> Bool {
///     WorkerState.set(try Model(path: path))
///     return true
///   }
/// }
/// struct Classify: Job {
///   var image: [UInt8]
///   func run() async throws -> String { WorkerState.get(Model.self)!.label(of: image) }
/// }
/// let pool = ProcessPoolExecutor(configuration: ProcessPoolConfiguration(initializer: LoadModel(path: "cats.bin")))
/// ```
///
/// It belongs to the process: each worker has its own, and on threads there is one for all of them. Globals of the program do the same.
public enum WorkerState {
  private static let values = Locked<[ObjectIdentifier: any Sendable]>([:])

  /// Keeps a value, in place of the one of its type.
  public static func set<Value: Sendable>(_ value: Value) {
    // What it replaces may run code when it goes: outside the lock.
    let old = values.withLock { $0.updateValue(value, forKey: ObjectIdentifier(Value.self)) }
    withExtendedLifetime(old) {}
  }
  /// The value of that type, or nil where none was kept in this process.
  public static func get<Value: Sendable>(_ type: Value.Type = Value.self) -> Value? {
    values.withLock { $0[ObjectIdentifier(type)] } as? Value
  }
  /// Lets the value of that type go.
  ///
  /// - Returns: it.
  @discardableResult public static func remove<Value: Sendable>(_ type: Value.Type = Value.self) -> Value? {
    values.withLock { $0.removeValue(forKey: ObjectIdentifier(type)) } as? Value
  }
}
