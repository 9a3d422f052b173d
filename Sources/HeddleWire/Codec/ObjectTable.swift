/// Remembers an object for each type, and gives it to be used without counting a reference.
///
/// Not `Sendable`.
@safe
final class ObjectTable<Object: AnyObject> {
  /// SAFETY: each is one of `owned`, which only grows.
  private let table = unsafe TypeTable<Unmanaged<Object>>()
  private var owned: ContiguousArray<Object> = []

  /// The object of a type; this table keeps it.
  @inline(__always)
  func object(for type: Any.Type, make: () -> Object) -> Unmanaged<Object> {
    unsafe table.value(for: type) {
      let object = make()
      owned.append(object)
      return unsafe .passUnretained(object)
    }
  }

  func forEach(_ body: (Object) -> Void) {
    for object in owned { body(object) }
  }
}
