/// A variable of a class without the run-time check for overlapping access.
///
/// That check took a third of the time of a small message: a class's own variables are checked at each access, even of one word. The owner
/// is used by one thread at a time and never hands `value` out, so two accesses cannot overlap.
@safe
struct Cell<Value>: ~Copyable {
  /// SAFETY: one initialised value, owned by this cell.
  private let pointer: UnsafeMutablePointer<Value>

  init(_ value: Value) {
    unsafe pointer = .allocate(capacity: 1)
    unsafe pointer.initialize(to: value)
  }

  deinit {
    unsafe pointer.deinitialize(count: 1)
    unsafe pointer.deallocate()
  }

  var value: Value {
    @inline(__always)
    unsafeAddress { unsafe UnsafePointer(pointer) }
    @inline(__always)
    nonmutating unsafeMutableAddress { unsafe pointer }
  }
}
