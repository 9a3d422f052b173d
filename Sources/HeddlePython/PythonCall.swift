import Heddle
import HeddleWire

/// A call of a Python function: where it is, its arguments, and what it gives.
///
/// ```swift
/// let size = PythonCall<[Int]>("photos.py:thumbnail", "a.jpg", keywords: ["width": 200])
/// ```
///
/// Arguments are any `Encodable` values: a type with keys arrives as `dict`, one without as `list`, `Data` and `[UInt8]` as `bytes`,
/// integers of any width as `int`, `nil` as `None`, `URL` and `Decimal` as `str`, `Date` as `JSONEncoder` writes it: a `float` of seconds since 2001.
/// `Output` is any `Decodable` type; `PythonValue` takes whatever comes. A `tuple` and a `set` decode as a list, a named tuple and a data
/// class by their fields, a `datetime`, a path, a `UUID` and a `Decimal` as text, a NumPy array as a list.
///
/// **Large data.** A `SharedBuffer` arrives as a `memoryview` of the same memory, of its element type (of bytes where Python has no name for
/// it): `numpy.asarray(view)` and `numpy.frombuffer(view, dtype)` copy nothing. It is read-only there unless it was made with `.readWrite`. Where
/// `Output` is, or holds, a `SharedBuffer`, a `memoryview` or a contiguous NumPy array that lies in one that came comes back as that memory, also
/// from a later call; any other array, and `bytes`, in one copy that is the caller's. Its elements have to be of the type that the array says;
/// bytes are taken for any. All of them decode as before, too: an array as a list, a `memoryview` as `Data` or `[UInt8]`. A worker holds a
/// descriptor for each buffer that something there still refers to (two before Python 3.13); 128 go with one call or result.
public struct PythonCall<Output: Decodable & Sendable>: Sendable {
  /// The function, as it was written; looked at when the call is submitted.
  public let target: String
  /// The positional arguments.
  public let arguments: [any Encodable & Sendable]
  /// The keyword arguments, in their order.
  public let keywords: [(name: String, value: any Encodable & Sendable)]

  /// A call of `target`, which is `file.py:function` or `package.module:function`.
  public init(
    _ target: String, _ arguments: any Encodable & Sendable..., keywords: KeyValuePairs<String, any Encodable & Sendable> = [:]
  ) {
    self.target = target
    self.arguments = arguments
    self.keywords = keywords.map { (name: $0.key, value: $0.value) }
  }

  /// The arguments as the bridge takes them: a tuple of positional and keyword arguments, in marshal's bytes.
  ///
  /// - Parameter ticket: Comes before the arguments, for a verb that takes one.
  /// - Throws: `EncodingError` for an argument that cannot be written.
  func encodedArguments(ticket: [UInt64]? = nil) throws -> PythonPayload {
    var writer = MarshalWriter()
    let encoder = MarshalEncoder()
    writer.beginTuple(count: 2)
    writer.beginTuple(count: arguments.count + (ticket == nil ? 0 : 1))
    if let ticket { try encoder.encode(ticket, into: &writer) }
    for argument in arguments { try encoder.encode(argument, into: &writer) }
    writer.beginDictionary()
    for keyword in keywords {
      writer.write(keyword.name)
      try encoder.encode(keyword.value, into: &writer)
    }
    writer.endDictionary()
    if let missing = writer.missing { throw JobError.noMemory(.notEncodable, "\(target) was not called", missing, in: .here) }
    guard writer.bytes.count <= Int32.max else {
      throw EncodingError.invalidValue(
        target,
        .init(
          codingPath: [], debugDescription: "the arguments have more than 2 GiB, which Python's marshal cannot read; pass a file's name"))
    }
    return PythonPayload(bytes: writer.bytes, attachments: writer.attachments)
  }
}

/// What travels one way or the other: a value in marshal's bytes, and the memory that goes beside it.
struct PythonPayload: Sendable {
  var bytes: [UInt8]
  var attachments: [Attachment] = []
}
