/// A growing array of plain values that has one owner and is used by one thread at a time.
///
/// An `Array` counts a reference, or asks whether it is shared, at nearly every access: in the middle of a small message that is most of the
/// time.
@safe
struct PlainArray<Element: BitwiseCopyable>: ~Copyable {
  @safe
  private struct Memory {
    /// SAFETY: owned by the array alone, `capacity` elements, of which the first `count` are initialised.
    var base: UnsafeMutablePointer<Element>
    var count: Int
    var capacity: Int
  }

  private let memory: Cell<Memory>

  init(repeating element: Element, count: Int) {
    let base = UnsafeMutablePointer<Element>.allocate(capacity: max(count, 1))
    unsafe base.initialize(repeating: element, count: count)
    memory = Cell(unsafe Memory(base: base, count: count, capacity: max(count, 1)))
  }

  init() {
    memory = Cell(unsafe Memory(base: .allocate(capacity: 16), count: 0, capacity: 16))
  }

  deinit {
    unsafe memory.value.base.deallocate()
  }

  var count: Int {
    @inline(__always) get { memory.value.count }
  }

  subscript(index: Int) -> Element {
    @inline(__always)
    unsafeAddress {
      precondition(index >= 0 && index < count)
      return unsafe UnsafePointer(memory.value.base + index)
    }
    @inline(__always)
    nonmutating unsafeMutableAddress {
      precondition(index >= 0 && index < count)
      return unsafe memory.value.base + index
    }
  }

  func append(_ element: Element) {
    if memory.value.count == memory.value.capacity { grow() }
    // SAFETY: there is room for one more.
    unsafe (memory.value.base + memory.value.count).initialize(to: element)
    memory.value.count &+= 1
  }

  /// Drops the content, and memory that grew.
  func removeAll() {
    unsafe memory.value.base.deallocate()
    memory.value = unsafe Memory(base: .allocate(capacity: 16), count: 0, capacity: 16)
  }

  private func grow() {
    let old = memory.value
    let base = UnsafeMutablePointer<Element>.allocate(capacity: 2 * old.capacity)
    // SAFETY: `count` elements are initialised, and the new memory is larger.
    unsafe base.initialize(from: old.base, count: old.count)
    unsafe old.base.deallocate()
    memory.value = unsafe Memory(base: base, count: old.count, capacity: 2 * old.capacity)
  }
}
