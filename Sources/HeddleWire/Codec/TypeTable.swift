/// Remembers one value for each type, so that what is slow to find out about a type is found out once.
///
/// A conformance cast takes 68 ns; the front, which holds one type a slot, answers with one comparison. Not `Sendable`.
@safe
final class TypeTable<Value> {
  /// Slots of the front; a power of two.
  ///
  /// Types beyond it are found in the dictionary behind.
  private static var slotCount: Int { 64 }

  private typealias Slot = (type: ObjectIdentifier, value: Value)?
  /// SAFETY: `slotCount` slots, all initialised, owned by this table; an index is masked to fit.
  private let front: UnsafeMutablePointer<Slot>
  /// Those whose slot another type took.
  private var behind: [ObjectIdentifier: Value] = [:]

  init() {
    unsafe front = .allocate(capacity: Self.slotCount)
    unsafe front.initialize(repeating: nil, count: Self.slotCount)
  }

  deinit {
    unsafe front.deinitialize(count: Self.slotCount)
    unsafe front.deallocate()
  }

  @inline(__always)
  func value(for type: Any.Type, make: () -> Value) -> Value {
    let id = ObjectIdentifier(type)
    // Metadata is aligned to 8 bytes and lies in a few dense ranges, so these bits spread well.
    let bits = UInt(bitPattern: id) &>> 3
    let slot = Int(truncatingIfNeeded: (bits ^ (bits &>> 6)) & UInt(Self.slotCount - 1))
    if let entry = unsafe front[slot], entry.type == id { return entry.value }
    return valueBehindFront(id, slot: slot, make: make)
  }

  @inline(never)
  private func valueBehindFront(_ id: ObjectIdentifier, slot: Int, make: () -> Value) -> Value {
    let value = behind.isEmpty ? make() : behind[id] ?? make()
    // A dictionary is made when a slot is wanted twice: the first of its kind takes the runtime 20 µs of a worker's first job.
    if let entry = unsafe front[slot] { behind[entry.type] = entry.value }
    unsafe front[slot] = (id, value)
    return value
  }
}
