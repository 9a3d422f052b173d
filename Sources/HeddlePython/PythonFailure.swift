/// An exception that a Python function raised, as data.
public struct PythonFailure: Error, Codable, Sendable, Hashable, CustomStringConvertible {
  /// The exception's type as a traceback prints it: `ValueError`, `photos.BrokenImage`.
  public let type: String
  /// What `str()` of the exception gave.
  public let message: String
  /// What Python would have printed, with causes and notes; only the frames of the caller's own code.
  ///
  /// Of a cause, and of a member of a group, its own part only.
  public let traceback: String
  /// What was added by `add_note` (Python 3.11 and later).
  public let notes: [String]
  /// The exceptions that an `ExceptionGroup` holds (Python 3.11 and later), at most 100.
  public let exceptions: [PythonFailure]
  /// At most one; a list because a value cannot hold itself.
  private let causes: [PythonFailure]
  /// Whether the cause was given by `raise … from …`; otherwise the exception was raised while the cause was being handled.
  public let isDirectConsequence: Bool

  /// The exception behind this one.
  public var cause: PythonFailure? { causes.first }

  /// The exceptions behind this one, the nearest first; at most 16.
  public var causeChain: [PythonFailure] { Array(sequence(first: self, next: \.cause).dropFirst()) }

  /// An exception of that type and message.
  public init(
    type: String, message: String, traceback: String = "", notes: [String] = [], cause: PythonFailure? = nil,
    isDirectConsequence: Bool = false, exceptions: [PythonFailure] = []
  ) {
    self.type = type
    self.message = message
    self.traceback = traceback
    self.notes = notes
    causes = cause.map { [$0] } ?? []
    self.exceptions = exceptions
    self.isDirectConsequence = isDirectConsequence
  }

  /// What Python would have printed: the traceback, or where there is none `type: message` and the notes.
  public var description: String {
    if !traceback.isEmpty { return traceback.hasSuffix("\n") ? String(traceback.dropLast()) : traceback }
    return ([message.isEmpty ? type : "\(type): \(message)"] + notes).joined(separator: "\n")
  }

  private enum CodingKeys: String, CodingKey {
    case type, message, traceback, notes, cause, direct, exceptions
  }
  /// Reads what the bridge sends, or what `encode` wrote.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      type: try container.decode(String.self, forKey: .type), message: try container.decode(String.self, forKey: .message),
      traceback: try container.decode(String.self, forKey: .traceback), notes: try container.decode([String].self, forKey: .notes),
      cause: try container.decodeIfPresent(PythonFailure.self, forKey: .cause),
      isDirectConsequence: try container.decodeIfPresent(Bool.self, forKey: .direct) ?? false,
      exceptions: try container.decodeIfPresent([PythonFailure].self, forKey: .exceptions) ?? [])
  }
  /// Writes the failure with the keys that the bridge uses.
  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(type, forKey: .type)
    try container.encode(message, forKey: .message)
    try container.encode(traceback, forKey: .traceback)
    try container.encode(notes, forKey: .notes)
    try container.encodeIfPresent(cause, forKey: .cause)
    try container.encode(isDirectConsequence, forKey: .direct)
    if !exceptions.isEmpty { try container.encode(exceptions, forKey: .exceptions) }
  }
}
