import HeddlePython

/// One input: its place, and its value in marshal's bytes, of which the call and the row are made.
struct Input: Sendable {
  enum Content: Sendable {
    /// The line as text, the JSON value, or the CSV row as a dictionary.
    case value(MarshaledValue)
    /// What could not be read: the text as a marshaled string, and a sentence. Its row is a failure, and the run goes on.
    case unreadable(MarshaledValue, String)
  }
  let index: Int
  let content: Content
  /// How the value becomes arguments.
  let format: InputFormat

  /// What stands in the row, and what a later run knows the input by.
  var value: MarshaledValue {
    switch content {
    case .value(let value), .unreadable(let value, _): value
    }
  }

  /// The input as its row shows it, without the quotes of a text.
  var text: String {
    if value.kind == .string, let text = try? MarshalDecoder().decode(String.self, from: value.bytes) { return text }
    var writer = JSONWriter()
    try? writer.write(value)
    return String(decoding: writer.bytes, as: UTF8.self)
  }

  /// The arguments that this input is, as the bridge takes them; nil where it could not be read.
  func arguments() -> [UInt8]? {
    guard case .value(let value) = content else { return nil }
    var writer = MarshalWriter(capacity: value.bytes.count + 20)
    writer.beginTuple(count: 2)
    switch (format, value.kind) {
    case (.json, .list), (.csv, .list):
      writer.append(marshaled: value.bytes)
      writer.beginDictionary()
      writer.endDictionary()
    case (.json, .dictionary), (.csv, .dictionary):
      writer.beginTuple(count: 0)
      writer.append(marshaled: value.bytes)
    default:
      writer.beginTuple(count: 1)
      writer.append(marshaled: value.bytes)
      writer.beginDictionary()
      writer.endDictionary()
    }
    return writer.bytes
  }
}
