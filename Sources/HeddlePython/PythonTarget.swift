/// A Python function by name: `photos.py:thumbnail`, `package.module:function`, `work.py:Class.method`.
public struct PythonTarget: Sendable, Hashable, CustomStringConvertible {
  /// Where the function is.
  public enum Place: Sendable, Hashable {
    /// In a file, loaded by its path; relative to the working directory.
    case file(String)
    /// In a module that is imported by its name.
    case module(String)
  }

  /// Where the function is.
  public let place: Place
  /// The function's name in there; with dots where it belongs to a class.
  public let function: String

  /// Reads `file.py:function` or `package.module:function`.
  ///
  /// - Throws: `PythonTargetError` with a sentence where `text` is neither. Whether there is such a function is not looked at.
  public init(_ text: String) throws {
    guard let colon = text.lastIndex(of: ":") else {
      let example = text.hasSuffix(".py") ? "\(text):function" : "photos.py:thumbnail or package.module:function"
      throw PythonTargetError("\"\(text)\" names no function; write \(example)")
    }
    let place = String(text[..<colon])
    function = String(text[text.index(after: colon)...])
    guard !place.isEmpty else {
      throw PythonTargetError("\"\(text)\" names no file or module; write photos.py\(text) or package.module\(text)")
    }
    guard !function.isEmpty, function.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(Self.isIdentifier) else {
      throw PythonTargetError("\"\(function)\" is no name of a function; write \(place):function, without parentheses or arguments")
    }
    if place.hasSuffix(".py") || place.contains("/") {
      self.place = .file(place)
    } else {
      guard place.split(separator: ".", omittingEmptySubsequences: false).allSatisfy(Self.isIdentifier) else {
        throw PythonTargetError("\"\(place)\" is neither a file that ends in .py nor the name of a module")
      }
      self.place = .module(place)
    }
  }

  /// The target as it was written.
  public var description: String {
    switch place {
    case .file(let name), .module(let name): "\(name):\(function)"
    }
  }

  /// The folder of the target's file; nil for a module.
  var scriptFolder: String? {
    guard case .file(let path) = place else { return nil }
    return path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
  }

  /// Letters of any script, digits and underscores, no digit first; Python itself has the last word.
  private static func isIdentifier(_ text: Substring) -> Bool {
    guard let first = text.first, !first.isNumber else { return false }
    return text.allSatisfy { $0.isLetter || $0.isNumber || $0 == "_" }
  }
}

/// A target that cannot be called, as a sentence that says what to try.
public struct PythonTargetError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What is wrong, as the bridge tells it apart.
  public enum Reason: String, Sendable, Hashable {
    /// The text is not of the form `place:function`.
    case syntax
    /// There is no such file.
    case missingFile
    /// There is no such module.
    case missingModule
    /// The file or module has no such function.
    case missingFunction
    /// What has that name cannot be called.
    case notCallable
    /// The file or module raised when it was loaded; `failure` is what it raised.
    case importFailed
    /// The class of a method gave no object when it was called without arguments; `failure` is what it raised.
    case constructionFailed
    /// It needs a module that does not work in the executor's mode; the message names the module. The call may have run in part.
    case unsuitedModule
    /// The executor's initializer raised each time that it was tried; `failure` is what it raised.
    case initializerFailed
  }
  /// What is wrong.
  public let reason: Reason
  /// A sentence that says what is wrong and what to try.
  public let message: String
  /// What the file or module raised when it was loaded.
  public let failure: PythonFailure?

  init(_ message: String, reason: Reason = .syntax, failure: PythonFailure? = nil) {
    self.reason = reason
    self.message = message
    self.failure = failure
  }
  /// The sentence.
  public var description: String { message }
}
