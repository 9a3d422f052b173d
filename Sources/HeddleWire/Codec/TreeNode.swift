/// A value of a message that is built as a tree before it is written.
///
/// Every part can be reached and changed until the end, so any use of the containers has its meaning; each part costs an allocation.
final class TreeNode {
  enum Content {
    /// Nobody wrote here yet; it becomes an empty keyed container. Next: any other.
    case unset
    case null
    case scalar(any WireScalar)
    /// An array that is still in one piece. Next: `unkeyed`, when somebody appends to it.
    case block(any BlockArray)
    /// Names and values, in order of first use.
    case keyed(names: [String], values: [TreeNode], places: [String: Int])
    case unkeyed([TreeNode])
  }

  var content: Content

  init(_ content: Content = .unset) {
    self.content = content
  }

  var isContainer: Bool {
    switch content {
    case .keyed, .unkeyed, .block: true
    case .unset, .null, .scalar: false
    }
  }

  /// Makes this a keyed container unless it is one.
  /// - Returns: False where it is something else.
  func becomeKeyed() -> Bool {
    switch content {
    case .keyed: return true
    case .unset:
      content = .keyed(names: [], values: [], places: [:])
      return true
    case .null, .scalar, .block, .unkeyed: return false
    }
  }

  /// Makes this an unkeyed container unless it is one; a block is taken apart.
  /// - Returns: False where it is something else.
  func becomeUnkeyed() -> Bool {
    switch content {
    case .unkeyed, .block: return true
    case .unset:
      content = .unkeyed([])
      return true
    case .null, .scalar, .keyed: return false
    }
  }

  var count: Int {
    switch content {
    case .unkeyed(let values): values.count
    case .block(let array): array.count
    case .keyed(_, let values, _): values.count
    case .unset, .null, .scalar: 0
    }
  }

  /// The value under a key of a keyed container.
  func value(named name: String) -> TreeNode? {
    guard case .keyed(_, let values, let places) = content, let place = places[name] else { return nil }
    return values[place]
  }

  /// Sets the value under a key; the last one wins and stays at the place of the first.
  func set(_ value: TreeNode, named name: String) {
    guard case .keyed(var names, var values, var places) = content else { return }
    // The container is emptied meanwhile so that these are the only references and nothing is copied.
    content = .unset
    if let place = places[name] {
      values[place] = value
    } else {
      places[name] = names.count
      names.append(name)
      values.append(value)
    }
    content = .keyed(names: names, values: values, places: places)
  }

  /// Appends to an unkeyed container.
  func append(_ value: TreeNode) {
    var values: [TreeNode]
    switch content {
    case .unkeyed(let elements): values = elements
    case .block(let array): values = array.scalars.map { scalar in TreeNode(.scalar(scalar)) }
    case .unset, .null, .scalar, .keyed: return
    }
    content = .unset
    values.append(value)
    content = .unkeyed(values)
  }
}

extension FlatWriter {
  /// Appends a tree; containers are written in LIFO order here by construction.
  func append(_ node: TreeNode) throws {
    switch node.content {
    case .null: buffer.append(byte: WireTag.null.rawValue)
    case .scalar(let scalar): scalar.write(to: buffer)
    case .block(let array): append(block: array)
    case .unset: _ = open(.keyed, at: buffer.count, depth: depth)
    case .keyed(let names, let values, _):
      let handle = open(.keyed, at: buffer.count, depth: depth)
      for (name, value) in zip(names, values) {
        try beginEntry(handle, symbols.symbol(named: name))
        try append(value)
      }
    case .unkeyed(let values):
      let handle = open(.unkeyed, at: buffer.count, depth: depth)
      for value in values {
        try beginElement(handle)
        try append(value)
      }
    }
  }
}
