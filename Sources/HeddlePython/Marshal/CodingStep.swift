/// The way from the root of a value to a part of it; the beginning is shared by all parts that have it in common.
final class CodingStep {
  let parent: CodingStep?
  let key: any CodingKey
  /// How many steps lead here from the root.
  let depth: Int

  init(parent: CodingStep?, key: any CodingKey) {
    self.parent = parent
    self.key = key
    depth = (parent?.depth ?? 0) + 1
  }

  /// The way as a coding path.
  ///
  /// Made only when somebody asks: encoding and decoding as such need none.
  var keys: [any CodingKey] {
    var keys: [any CodingKey] = []
    var next: CodingStep? = self
    while let step = next {
      keys.append(step.key)
      next = step.parent
    }
    return keys.reversed()
  }
}

/// The place in a list, as a key of a coding path.
struct IndexKey: CodingKey {
  let index: Int
  init(_ index: Int) { self.index = index }
  init(intValue: Int) { index = intValue }
  init?(stringValue: String) { nil }
  var intValue: Int? { index }
  var stringValue: String { "Index \(index)" }
}

/// The key of a class's `super`, as `JSONEncoder` names it.
struct SuperKey: CodingKey {
  init() {}
  init?(stringValue: String) { nil }
  init?(intValue: Int) { nil }
  var intValue: Int? { nil }
  var stringValue: String { "super" }
}
