extension FlatWriter {
  /// Starts the value of a super encoder, which may be written later or never.
  func promise() -> Int {
    promised = buffer.count
    return promised
  }

  /// Whether the value at `start` can be written now.
  @inline(__always)
  func claim(_ start: Int, depth place: Int) throws {
    guard start == buffer.count, place == depth, !isViolated else { return try violation() }
  }

  /// Appends any value; a nested type that encodes nothing becomes an empty keyed container.
  @inline(__always)
  func append<Value: Encodable>(_ value: Value) throws {
    if let block = blocks.type(for: Value.self) {
      append(block: reinterpret(value, as: block))
      return
    }
    let start = buffer.count
    let place = depth
    try call(value, at: start, depth: place)
    finishValue(at: start, depth: place)
  }

  /// Makes a bare message of a value of one of the commonest types; false: it is of another, and nothing was done.
  @inline(__always)
  func writeBare<Value>(_ value: Value) -> Bool {
    // SAFETY: the two types are the same one, in each case.
    if Value.self == Int.self {
      beginBare()
      unsafe unsafeBitCast(value, to: Int.self).write(to: buffer)
    } else if Value.self == String.self {
      beginBare()
      unsafe unsafeBitCast(value, to: String.self).write(to: buffer)
    } else if Value.self == Bool.self {
      beginBare()
      unsafe unsafeBitCast(value, to: Bool.self).write(to: buffer)
    } else if Value.self == Double.self {
      beginBare()
      unsafe unsafeBitCast(value, to: Double.self).write(to: buffer)
    } else {
      return false
    }
    return true
  }

  private func beginBare() {
    clear()
    buffer.truncate(to: 0)
    buffer.append(byte: WireLimit.bare)
  }

  /// Lets a value encode itself at a place, where it may have written already.
  @inline(__always)
  func call<Value: Encodable>(_ value: Value, at start: Int, depth place: Int) throws {
    guard openCalls < WireLimit.calls else { throw failDeep(at: place) }
    openCalls &+= 1
    do {
      try value.encode(to: FlatEncoder(self, start: start, depth: place))
    } catch {
      openCalls &-= 1
      hasFailed = true
      throw error
    }
    openCalls &-= 1
  }

  @inline(never)
  private func failDeep(at place: Int) -> any Error {
    hasFailed = true
    return EncodingError.nestedTooDeep(codingPath: codingPath(depth: place) ?? [])
  }

  @inline(__always)
  func finishValue(at start: Int, depth place: Int) {
    if promised >= 0 { keepPromise() }
    close(to: place)
    if buffer.count == start { appendEmptyContainer() }
  }

  /// Appends an array as one block, or keeps it as a segment where it is large.
  func append<Block: BlockArray>(block array: Block) {
    unsafe array.withBlock { bytes in
      let isSegment = bytes.count >= WireLimit.segment
      buffer.append(byte: (isSegment ? WireTag.segment : .block).rawValue)
      buffer.append(byte: Block.kind.rawValue)
      buffer.append(varint: UInt64(array.count))
      if isSegment {
        buffer.append(varint: UInt64(segments.count))
        state.value.segments.append(unsafe Segment(owner: array, kind: Block.kind.rawValue, bytes: bytes))
      } else {
        unsafe buffer.append(contentsOf: bytes)
      }
    }
  }

  /// Makes an unkeyed container without elements into a block; it takes no more elements after that.
  ///
  /// - Returns: False where the container has elements, so that the caller appends one by one.
  func replaceContainer(_ handle: Handle, by array: some BlockArray) throws -> Bool {
    try enter(handle)
    guard unsafe frames[handle.depth].tag == .unkeyed, unsafe frames[handle.depth].count == 0 else { return false }
    unsafe frames[handle.depth].tag = .block
    unsafe frames[handle.depth].count = array.count
    buffer.truncate(to: unsafe frames[handle.depth].start)
    append(block: array)
    return true
  }

}

// MARK: Where a value is

extension FlatWriter {
  /// The path of what is written at a depth, nil where the frames no longer know.
  func codingPath(depth place: Int) -> [any CodingKey]? {
    guard place <= depth else { return nil }
    return (0..<place).map { level in
      let frame = unsafe frames[level]
      return frame.tag == .keyed ? WireKey(stringValue: symbols.name(of: frame.lastKey)) : WireKey(index: frame.count - 1)
    }
  }

  /// The path of a value, which only the tree can tell once others were written behind it.
  func codingPath(ofValueAt start: Int, depth place: Int) -> [any CodingKey] {
    guard place <= depth, !isViolated, place == 0 || isLast(start, at: place - 1), let path = codingPath(depth: place) else {
      isViolated = true
      return []
    }
    return path
  }

  private func isLast(_ start: Int, at level: Int) -> Bool {
    // SAFETY: callers made sure that the frame is open.
    unsafe frames[level].lastValue == start
  }

  /// The path of a container.
  func codingPath(of handle: Handle) -> [any CodingKey] {
    guard handle.depth < depth, !isViolated, unsafe frames[handle.depth].serial == handle.serial else {
      isViolated = true
      return []
    }
    return codingPath(depth: handle.depth) ?? []
  }
}
