/// The standard library's box around a keyed container, kept to serve again.
///
/// `KeyedEncodingContainer` and `KeyedDecodingContainer` are one reference to a box that is made for each container: an allocation and
/// three look-ups of generic metadata, together more than the rest of a small message. What a container of ours knows is in a `Place`,
/// an object, so a box that nobody else holds any more serves the next container of that key type with its place filled in anew.
@safe
struct ContainerBox<Place: AnyObject> {
  /// What is kept, and again to be used without counting references.
  @safe private struct Content {
    let owner: KeptContainer
    let placeOwner: Place
    let kept: Unmanaged<KeptContainer>
    let place: Unmanaged<Place>
  }
  private var content: Content?

  /// The place of a box that only this one holds, so that it can serve again; nil: there is none, or somebody still has the container.
  var freePlace: Unmanaged<Place>? {
    @inline(__always) get {
      guard let kept = unsafe content?.kept else { return nil }
      let isFree = unsafe kept._withUnsafeGuaranteedRef { kept in unsafe isKnownUniquelyReferenced(&kept.reference.pointee) }
      return unsafe isFree ? content?.place : nil
    }
  }

  /// The box that was kept as a container of this type; only of the type that it was kept with.
  @inline(__always)
  func container<Container>(as type: Container.Type) -> Container {
    // SAFETY: the memo that owns this belongs to one key type, and so to one type of container.
    unsafe content!.kept._withUnsafeGuaranteedRef { kept in unsafe unsafeDowncast(kept, to: KeptContainerOf<Container>.self).container }
  }

  /// Keeps the box of a container for its next use, unless containers are made of something else than one reference.
  mutating func keep<Container>(_ container: Container, place: Place) {
    guard MemoryLayout<Container>.size == MemoryLayout<AnyObject?>.size, !_isPOD(Container.self) else { return }
    let kept = KeptContainerOf(container)
    unsafe content = Content(owner: kept, placeOwner: place, kept: .passUnretained(kept), place: .passUnretained(place))
  }

  /// Gives the box up; returns its place where somebody still has the container.
  mutating func drop() -> Place? {
    defer { content = nil }
    return unsafe freePlace == nil ? content?.placeOwner : nil
  }
}

/// A container that is kept.
@safe
private class KeptContainer {
  /// The container as the reference that it is.
  ///
  /// SAFETY: the memory that a `KeptContainerOf` owns.
  let reference: UnsafeMutablePointer<AnyObject>
  init(_ reference: UnsafeMutablePointer<AnyObject>) { unsafe self.reference = unsafe reference }
}

/// Generic over the container, so that it finds the type's metadata in itself: the standard library's containers have no layout that is known
/// here, and a look-up for each of them took a sixth of the time of a small message.
@safe
private final class KeptContainerOf<Container>: KeptContainer {
  private let memory: UnsafeMutablePointer<Container>

  init(_ container: Container) {
    unsafe memory = .allocate(capacity: 1)
    unsafe memory.initialize(to: container)
    // SAFETY: `ContainerBox.keep` made sure that it is one reference.
    unsafe super.init(UnsafeMutableRawPointer(memory).assumingMemoryBound(to: AnyObject.self))
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
