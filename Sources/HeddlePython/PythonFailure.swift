/// An exception that a Python function raised, as data.
public struct PythonFailure: Error, Codable, Sendable, Hashable, CustomStringConvertible {
  /// The exception's type as a traceback prints it: `ValueError`, `photos.BrokenImage`.
  public let type: String
  /// What `str()` of the exception gave.
  public let message: String
  /// What Python would have printed, with causes and notes; only the frames of the caller's own code.
  ///
  /// Empty for a cause.
  public let traceback: String
  /// What was added by `add_note` (Python 3.11 and later).
  public let notes: [String]
  /// At most one; a list because a value cannot hold itself.
  private let causes: [PythonFailure]
  /// Whether the cause was given by `raise … from …`; otherwise the exception was raised while the cause was being handled.
  public let isDirectConsequence: Bool

  /// The exception behind this one.
  public var cause: PythonFailure? { causes.first }

  /// An exception of that type and message.
  public init(
    type: String, message: String, traceback: String = "", notes: [String] = [], cause: PythonFailure? = nil,
    isDirectConsequence: Bool = false
  ) {
    self.type = type
    self.message = message
    self.traceback = traceback
    self.notes = notes
    causes = cause.map { [$0] } ?? []
    self.isDirectConsequence = isDirectConsequence
  }

  /// What Python would have printed: the traceback, or where there is none `type: message` and the notes.
  public var description: String {
    if !traceback.isEmpty { return traceback.hasSuffix("\n") ? String(traceback.dropLast()) : traceback }
    return ([message.isEmpty ? type : "\(type): \(message)"] + notes).joined(separator: "\n")
  }

  private enum CodingKeys: String, CodingKey {
    case type, message, traceback, notes, cause, direct
  }
  /// Reads what the bridge sends, or what `encode` wrote.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    // Text with a lone surrogate is no String; the failure must arrive all the same.
    func text(_ key: CodingKeys) throws -> String {
      do { return try container.decode(String.self, forKey: key) } catch DecodingError.dataCorrupted {
        return "<text with a lone surrogate>"
      }
    }
    self.init(
      type: try text(.type), message: try text(.message), traceback: try text(.traceback),
      notes: (try? container.decode([String].self, forKey: .notes)) ?? [],
      cause: try container.decodeIfPresent(PythonFailure.self, forKey: .cause),
      isDirectConsequence: try container.decodeIfPresent(Bool.self, forKey: .direct) ?? false)
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
  }
}
