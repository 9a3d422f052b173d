import CHeddle

/// The standard library's box around a keyed container, kept to serve again.
///
/// `KeyedEncodingContainer` and `KeyedDecodingContainer` are one reference to a box that is made for each container: an allocation and
/// three look-ups of generic metadata, together more than the rest of a small message. What a container of ours knows is in a `Place`,
/// an object, so a box that nobody else holds any more serves the next container of that key type with its place filled in anew.
@safe
struct ContainerBox<Place: AnyObject> {
  /// What is kept.
  private var owned: (kept: KeptContainer, place: Place)?
  /// The same, to be used without counting references.
  ///
  /// SAFETY: set together with `owned`.
  private var kept: Unmanaged<KeptContainer>?
  private var place: Unmanaged<Place>?

  /// No box.
  init() {}
  /// The box of a container.
  init<Container>(_ container: Container, place: Place) {
    precondition(
      MemoryLayout<Container>.size == MemoryLayout<AnyObject?>.size && !_isPOD(Container.self),
      "A keyed container of this standard library is not one reference.")
    let kept = KeptContainerOf(container)
    owned = (kept, place)
    unsafe self.kept = .passUnretained(kept)
    unsafe self.place = .passUnretained(place)
  }

  var isEmpty: Bool { owned == nil }

  /// The place of a box that only this one holds, so that it can serve again; nil: there is none, or somebody still has the container.
  ///
  /// Mutating, as the next, so that it is used where it is: a copy would count both owners.
  var freePlace: Unmanaged<Place>? {
    @inline(__always) mutating get {
      guard let kept = unsafe kept else { return nil }
      let isFree = unsafe kept._withUnsafeGuaranteedRef { kept in unsafe heddle_is_unique(kept.reference.pointee) }
      return unsafe isFree ? place : nil
    }
  }

  /// The box that was kept as a container of this type; only of the type that it was kept with.
  @inline(__always)
  mutating func container<Container>(as type: Container.Type) -> Container {
    // SAFETY: the memo that owns this belongs to one key type, and so to one type of container.
    unsafe kept!._withUnsafeGuaranteedRef { kept in unsafe unsafeDowncast(kept, to: KeptContainerOf<Container>.self).container }
  }
}

/// A container that is kept.
@safe
private class KeptContainer {
  /// Where the container lies, which is a reference.
  ///
  /// SAFETY: the memory that a `KeptContainerOf` owns.
  let reference: UnsafePointer<UnsafeRawPointer>
  init(_ reference: UnsafePointer<UnsafeRawPointer>) { unsafe self.reference = unsafe reference }
}

/// Generic over the container, so that it finds the type's metadata in itself: the standard library's containers have no layout that is known
/// here, and a look-up for each of them took a sixth of the time of a small message.
@safe
private final class KeptContainerOf<Container>: KeptContainer {
  private let memory: UnsafeMutablePointer<Container>

  init(_ container: Container) {
    unsafe memory = .allocate(capacity: 1)
    unsafe memory.initialize(to: container)
    // SAFETY: `ContainerBox` made sure that it is one reference.
    unsafe super.init(UnsafeRawPointer(memory).assumingMemoryBound(to: UnsafeRawPointer.self))
  }
  deinit {
    unsafe memory.deinitialize(count: 1)
    unsafe memory.deallocate()
  }
  /// Never inlined: where it were, that look-up would be.
  var container: Container {
    @inline(never) get { unsafe memory.pointee }
  }
}
