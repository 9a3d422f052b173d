import Synchronization

/// Writers or readers that no coder uses.
///
/// They are never freed: a container that a type keeps beyond its value, against the rules of `Codable`, may then look at its writer or
/// reader, without a counted reference, and finds that its message is over. There are as many as coders were alive at once.
final class Shelf<Object: AnyObject>: Sendable {
  // SAFETY: an object is in here, or in the hands of the one coder that took it.
  private struct Stack: @unchecked Sendable { var objects: [Object] = [] }
  private let stack = Mutex(Stack())

  func take() -> Object? { stack.withLock { $0.objects.popLast() } }
  func give(_ object: Object) { stack.withLock { $0.objects.append(object) } }
}
