extension MessageReader {
  /// A keyed container that was opened.
  struct KeyedPlace {
    /// Position of its tag.
    var position: UInt32
    var end: UInt32
    /// How many containers surround it.
    var depth: UInt32

    var first: Int { Int(position) &+ WireLimit.keyedHead }

    /// The place of a value inside.
    @inline(__always)
    func place(ofValueAt value: Int) -> Place {
      Place(position: UInt32(truncatingIfNeeded: value), limit: end, depth: depth &+ 1)
    }
  }

  /// An unkeyed container whose elements were written one by one.
  struct UnkeyedPlace {
    var position: UInt32
    var end: UInt32
    var depth: UInt32
    var count: Int
  }

  /// Opens the keyed container at a place.
  @inline(__always)
  func openKeyed(at place: Place) throws -> KeyedPlace {
    let position = Int(place.position)
    do throws(ReadFailure) {
      guard try tag(at: position) == .keyed else { throw try mismatch(at: position) }
      let end = try bytes.end(ofValueAt: position)
      guard end <= Int(place.limit) else { throw .truncated(position) }
      try enterContainer(at: place)
      return KeyedPlace(position: place.position, end: UInt32(truncatingIfNeeded: end), depth: place.depth)
    } catch {
      throw noKeyed(error, at: place)
    }
  }
  @inline(never)
  private func noKeyed(_ failure: ReadFailure, at place: Place) -> any Error {
    decodingError(failure, [String: Any].self, codingPath: codingPath(of: place))
  }

  /// Opens the unkeyed container at a place where elements were written one by one.
  func openUnkeyed(at place: Place) throws(ReadFailure) -> UnkeyedPlace {
    let position = Int(place.position)
    guard try tag(at: position) == .unkeyed else { throw try mismatch(at: position) }
    let end = try bytes.end(ofValueAt: position)
    guard end <= Int(place.limit) else { throw .truncated(position) }
    var head = position + 5
    let count = Int(try fixed(UInt32.self, at: &head))
    // An element has a byte at least; a count that is not checked here would become the capacity of somebody's array.
    guard count <= end - position - WireLimit.unkeyedHead else {
      throw .corrupted("The array at byte \(position) says it has \(count) elements.")
    }
    try enterContainer(at: place)
    return UnkeyedPlace(position: place.position, end: UInt32(truncatingIfNeeded: end), depth: place.depth, count: count)
  }

  private func mismatch(at position: Int) throws(ReadFailure) -> ReadFailure {
    var end = position
    let element = try element(at: &end)
    return element.isNull ? .null : .mismatch(found: element.name)
  }

  private func enterContainer(at place: Place) throws(ReadFailure) {
    guard place.depth < WireLimit.nesting else {
      throw .corrupted("The message nests deeper than \(WireLimit.nesting) containers.")
    }
    noteTrail(Int(place.depth))
  }

  /// Finds the value of a key; nil where the container does not have it.
  @inline(__always)
  func find(_ number: Int, in container: KeyedPlace) throws(ReadFailure) -> Int? {
    var position = cursor(of: container)
    if position < Int(container.end) {
      if try varint(at: &position) == UInt64(bitPattern: Int64(number)) {
        noteChild(position, step: number, in: container)
        return position
      }
    }
    if number < 0 { return nil }
    return try search(number, in: container)
  }

  /// Finds the value of a key whose type is not one byte: its name is compared with that of the next entry before anything is hashed.
  func find(named name: String, in container: KeyedPlace) throws(ReadFailure) -> Int? {
    var position = cursor(of: container)
    if position < Int(container.end) {
      let number = Int(truncatingIfNeeded: try varint(at: &position))
      if try keys.name(of: number) == name {
        noteChild(position, step: number, in: container)
        return position
      }
    }
    let number = keys.number(of: name)
    return number < 0 ? nil : try search(number, in: container)
  }

  /// Looks at all entries, those behind the cursor first.
  @inline(never)
  private func search(_ number: Int, in container: KeyedPlace) throws(ReadFailure) -> Int? {
    if let index = index(of: container) {
      guard let value = index[number] else { return nil }
      noteChild(value, step: number, in: container)
      return value
    }
    let start = cursor(of: container)
    var position = start
    var hasWrapped = false
    var seen = 0
    while true {
      if position >= Int(container.end) {
        if hasWrapped { break }
        hasWrapped = true
        position = container.first
      }
      if hasWrapped, position >= start { break }
      let found = try varint(at: &position)
      if found == UInt64(number) {
        noteChild(position, step: number, in: container)
        return position
      }
      position = try end(ofValueAt: position)
      seen += 1
      if seen == Self.indexThreshold {
        try makeIndex(of: container)
        return try search(number, in: container)
      }
    }
    return nil
  }

  /// Calls `body` for every entry: key number and position of the value.
  func forEachEntry(of container: KeyedPlace, _ body: (Int, Int) throws(ReadFailure) -> Void) throws(ReadFailure) {
    var position = container.first
    while position < Int(container.end) {
      let number = try varint(at: &position)
      guard number < UInt64(UInt32.max) else { throw .corrupted("There is no key \(number).") }
      try body(Int(number), position)
      position = try end(ofValueAt: position)
    }
  }

  private func makeIndex(of container: KeyedPlace) throws(ReadFailure) {
    var index: [Int: Int] = [:]
    try forEachEntry(of: container) { (number, value) throws(ReadFailure) in index[number] = value }
    setIndex(index, of: container)
  }
}

// MARK: Where a value is

extension MessageReader {
  /// The path of a place.
  ///
  /// The trails know it where the place is being read; otherwise the message is walked from its beginning.
  func codingPath(of place: Place) -> [any CodingKey] {
    if place.position == 0 {
      guard let (container, key) = absentSuper(Int(place.limit)) else { return [] }
      return codingPath(of: container) + [WireKey(stringValue: key)]
    }
    return (try? pathByTrails(of: place)) ?? (try? pathByWalking(to: Int(place.position))) ?? []
  }

  private func pathByTrails(of place: Place) throws(ReadFailure) -> [any CodingKey]? {
    var path: [any CodingKey] = []
    var expected = Int(place.position)
    for depth in (0..<min(Int(place.depth), WireLimit.nesting)).reversed() {
      let trail = trail(at: depth)
      guard trail.child == expected, trail.container > 0 else { return nil }
      path.append(try step(trail.step, into: trail.container))
      expected = trail.container
    }
    guard expected == root else { return nil }
    path.reverse()
    return path
  }

  private func step(_ step: Int, into container: Int) throws(ReadFailure) -> any CodingKey {
    if try tag(at: container) == .keyed { return WireKey(stringValue: try keys.name(of: step)) }
    return WireKey(index: step)
  }

  private func pathByWalking(to target: Int) throws(ReadFailure) -> [any CodingKey] {
    var path: [any CodingKey] = []
    var container = root
    while container < target {
      let end = try end(ofValueAt: container)
      let isKeyed = try tag(at: container) == .keyed
      var position = container + (isKeyed ? WireLimit.keyedHead : WireLimit.unkeyedHead)
      var index = 0
      var next: Int?
      while position < end, position <= target, next == nil {
        let number = isKeyed ? Int(truncatingIfNeeded: try varint(at: &position)) : index
        let valueEnd = try self.end(ofValueAt: position)
        if target >= position, target < valueEnd {
          path.append(try step(number, into: container))
          next = position
        }
        position = valueEnd
        index += 1
      }
      guard let next else { return path }
      container = next
    }
    return path
  }
}

// MARK: Errors

extension MessageReader {
  func nestedTooDeep(codingPath: [any CodingKey]) -> DecodingError {
    let description = "The value nests deeper than \(WireLimit.nesting) containers."
    return .dataCorrupted(.init(codingPath: codingPath, debugDescription: description))
  }

  /// What a decoder or container throws that is used after its message.
  @inline(never)
  func outlived(_ type: Any.Type) -> any Error { decodingError(.outlived, type, codingPath: []) }

  @inline(never)
  func decodingError(_ failure: ReadFailure, _ type: Any.Type, codingPath: [any CodingKey]) -> DecodingError {
    switch failure {
    case .corrupted(let description):
      .dataCorrupted(.init(codingPath: codingPath, debugDescription: description))
    case .mismatch(let found):
      .typeMismatch(type, .init(codingPath: codingPath, debugDescription: "Expected to decode \(type) but found \(found) instead."))
    case .null:
      .valueNotFound(type, .init(codingPath: codingPath, debugDescription: "Cannot get a value of type \(type): found nil instead."))
    case .doesNotFit(let number):
      .dataCorrupted(.init(codingPath: codingPath, debugDescription: "The number \(number) does not fit in \(type)."))
    case .noMemory(let byteCount):
      .dataCorrupted(
        .init(
          codingPath: codingPath, debugDescription: "There is no memory for \(byteCount) bytes of \(type).",
          underlyingError: NoMemory(byteCount: byteCount)))
    }
  }
}
