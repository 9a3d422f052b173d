import CHeddle
import Synchronization

/// Writers or readers that no coder uses.
///
/// They are never freed: a container that a type keeps beyond its value, against the rules of `Codable`, may then look at its writer or
/// reader, without a counted reference, and finds that its message is over. There are as many as coders were alive at once.
// SAFETY: `objects` is touched by who holds `isHeld`; an object is in it, or in the hands of the one coder that took it.
final class Shelf<Object: AnyObject>: @unchecked Sendable {
  /// A lock, for the few instructions of a push or pop, once in a coder's life.
  private let isHeld = Atomic<Bool>(false)
  @exclusivity(unchecked) private var objects: [Object] = []

  func take() -> Object? { withLock { unsafe objects.popLast() } }
  func give(_ object: Object) { withLock { unsafe objects.append(object) } }

  private func withLock<Result>(_ body: () -> Result) -> Result {
    while isHeld.exchange(true, ordering: .acquiring) { heddle_yield() }
    defer { isHeld.store(false, ordering: .releasing) }
    return body()
  }
}
