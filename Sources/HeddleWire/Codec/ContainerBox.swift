/// The standard library's box around a keyed container, kept to serve again.
///
/// `KeyedEncodingContainer` and `KeyedDecodingContainer` are one reference to a box that is made for each container: an allocation and
/// three look-ups of generic metadata, together more than the rest of a small message. What a container of ours knows is in a `Place`,
/// an object, so a box that nobody else holds any more serves the next container of that key type with its place filled in anew.
@safe
struct ContainerBox<Place: AnyObject> {
  /// What the two containers are made of: one reference to the box.
  private var box: AnyObject?
  private var place: Place?

  /// The place of a box that only this one holds; nil: there is none, or somebody still has the container.
  @inline(__always)
  mutating func free() -> Place? {
    isKnownUniquelyReferenced(&box) ? place : nil
  }

  /// The box as the container that it was when it was kept.
  @inline(__always)
  func container<Container>(as type: Container.Type) -> Container {
    // SAFETY: `keep` took it apart; the memo that owns this belongs to one key type, and so to one type of container.
    unsafe unsafeBitCast(box, to: Container.self)
  }

  /// Keeps the box of a container for its next use, unless containers are made of something else than one reference.
  mutating func keep<Container>(_ container: Container, place: Place) {
    guard MemoryLayout<Container>.size == MemoryLayout<AnyObject?>.size, !_isPOD(Container.self) else { return }
    // SAFETY: of that size, and not plain: a reference to an object.
    box = unsafe unsafeBitCast(container, to: AnyObject?.self)
    self.place = place
  }

  /// Gives the box up; returns its place where somebody still has the container.
  mutating func drop() -> Place? {
    defer {
      box = nil
      place = nil
    }
    return box == nil || isKnownUniquelyReferenced(&box) ? nil : place
  }
}
