import HeddleSystem

/// Objects that threads or jobs use in turn, so that the next one finds the memory, and what was found out, of the last.
final class Spares<Object: AnyObject>: Sendable {
  // SAFETY: an object is in here or in the hands of one user, who gives it back when done.
  private struct Stack: @unchecked Sendable { var objects: [Object] = [] }
  private let stack = Locked(Stack())
  private static var limit: Int { 8 }

  func take(_ make: () -> Object) -> Object { stack.withLock { $0.objects.popLast() } ?? make() }
  func give(_ object: Object) { stack.withLock { if $0.objects.count < Self.limit { $0.objects.append(object) } } }
}
