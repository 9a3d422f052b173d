/// Writes a message in one pass, as long as containers are used in LIFO order.
///
/// Open containers lie on a stack of frames. Writing to one closes those above it; closing puts a container's length into its head.
/// Whatever this cannot express (a container that was closed is written to again, a key comes twice, an error was swallowed) only sets
/// `isViolated`: the value is then encoded again by the tree, which is always right and slower. So nothing here has to undo anything.
///
/// A writer is never freed, so that encoders and containers refer to it without counting: see `Shelf`.
@safe
final class FlatWriter {
  /// A container that is open.
  struct Frame {
    /// Different for each container of all messages, so that a container which outlived its frame is recognised.
    var serial: UInt64
    /// Position of its tag.
    var start: Int
    var tag: WireTag
    /// Elements so far, in an unkeyed container.
    var count = 0
    /// The numbers below 64 of the keys so far.
    var keys: UInt64 = 0
    /// The symbol of the last key.
    var lastKey = 0
    /// Position of the last value's tag.
    var lastValue = 0
  }

  /// Names a container; valid while the frame at that depth has that serial.
  struct Handle {
    var depth: Int
    var serial: UInt64
    /// The handle of no container: every write to it is a violation.
    static var dead: Handle { Handle(depth: 0, serial: 0) }
  }

  /// The variables that every write looks at.
  struct State {
    /// How many containers are open.
    var depth: Int = 0
    var lastSerial: UInt64 = 0
    var message = MessageNumber()
    /// Where a value was promised (to a super encoder) and may still be missing, or -1.
    var promised: Int = -1
    var openCalls: Int = 0
    /// Whether containers were used in a way that only the tree can follow.
    var isViolated: Bool = false
    /// Whether an `encode` threw; if that error was swallowed, what it left behind is wrong.
    var hasFailed: Bool = false
    var segments: [Segment] = []
    /// What travels beside the message.
    var attachments: [Attachment] = []
    /// The numbers of 64 and more of keys so far, by frame, for those frames that had to be searched.
    var highKeys: [UInt64: Set<Int>] = [:]
    /// What is wrong with the value itself and could not be thrown where it was found.
    ///
    /// None or one; an array, because the emptiness of an optional error is a call and that of an array a comparison.
    var failures: [EncodingError] = []
  }

  let state = Cell(State())
  let buffer = WriteBuffer()
  let symbols = SymbolTable()
  /// SAFETY: `WireLimit.nesting` frames, of which the first `depth` are initialised; frames are plain values.
  let frames = UnsafeMutablePointer<Frame>.allocate(capacity: WireLimit.nesting)
  let blocks = BlockTypes()

  /// Ends a flat attempt early; never seen by a caller of the encoder.
  struct Violation: Error {}

  private init() {}

  /// Those that no encoder uses.
  private static let shelf = Shelf<FlatWriter>()
  /// A writer that nobody uses.
  static func take() -> FlatWriter { shelf.take() ?? FlatWriter() }
  /// Gives it to the next encoder; containers that somebody kept find that their message is over.
  func giveBack() {
    reset()
    Self.shelf.give(self)
  }

  /// Names the message that is being written, so that an encoder which outlived its own is recognised.
  var message: UInt32 {
    @inline(__always) get { state.value.message.current }
  }

  var depth: Int {
    @inline(__always) get { state.value.depth }
    @inline(__always) set { state.value.depth = newValue }
  }

  private var lastSerial: UInt64 {
    @inline(__always) get { state.value.lastSerial }
    @inline(__always) set { state.value.lastSerial = newValue }
  }

  var promised: Int {
    @inline(__always) get { state.value.promised }
    @inline(__always) set { state.value.promised = newValue }
  }

  var openCalls: Int {
    @inline(__always) get { state.value.openCalls }
    @inline(__always) set { state.value.openCalls = newValue }
  }

  var isViolated: Bool {
    @inline(__always) get { state.value.isViolated }
    @inline(__always) set { state.value.isViolated = newValue }
  }

  var hasFailed: Bool {
    @inline(__always) get { state.value.hasFailed }
    @inline(__always) set { state.value.hasFailed = newValue }
  }

  var segments: [Segment] {
    @inline(__always) get { state.value.segments }
    @inline(__always) set { state.value.segments = newValue }
  }

  var attachments: [Attachment] {
    @inline(__always) get { state.value.attachments }
    @inline(__always) set { state.value.attachments = newValue }
  }
  func attach(_ attachment: Attachment) -> Int { state.value.attachments.place(of: attachment) }

  private var highKeys: [UInt64: Set<Int>] {
    @inline(__always) get { state.value.highKeys }
    @inline(__always) set { state.value.highKeys = newValue }
  }

  var failure: EncodingError? {
    @inline(__always) get { state.value.failures.first }
    @inline(__always) set {
      if let newValue { state.value.failures = [newValue] } else if !state.value.failures.isEmpty { state.value.failures = [] }
    }
  }

  /// Starts a message; its value goes to `WireLimit.header`.
  func beginMessage() {
    clear()
    buffer.truncate(to: 0)
    symbols.beginMessage()
    state.value.message.begin()
    buffer.append(fixed: UInt64(WireLimit.versionWord))
  }

  /// Appends the key table behind what was written.
  func endMessage() {
    state.value.message.end()
    buffer.patch(buffer.count, at: 4)
    symbols.appendTable(to: buffer)
  }

  /// Drops the content, what it refers to, and memory that grew large.
  func reset() {
    clear()
    buffer.removeAll()
  }

  func clear() {
    if !segments.isEmpty { segments.removeAll() }
    if !state.value.attachments.isEmpty { state.value.attachments = [] }
    if !highKeys.isEmpty { highKeys.removeAll() }
    state.value.message.end()
    depth = 0
    promised = -1
    openCalls = 0
    isViolated = false
    hasFailed = false
    if !state.value.failures.isEmpty { state.value.failures = [] }
  }

  /// Where a value begins: in the buffer, and in the table of keys.
  struct Start {
    var position: Int
    var keyCount: Int
  }
  var start: Start { Start(position: buffer.count, keyCount: symbols.usedCount) }

  /// Takes back what a value has written, so that another way of writing it, or nothing, takes its place.
  ///
  /// Encoders and containers of it that somebody has belong to a message that is over.
  func abandonValue(at start: Start) {
    buffer.truncate(to: start.position)
    symbols.takeBack(to: start.keyCount)
    clear()
    state.value.message.begin()
  }

  @inline(__always)
  func blockType<Value>(for type: Value.Type) -> (any BlockArray.Type)? {
    blocks.type(for: type)
  }

  // MARK: Containers

  /// The keyed container of a handle, in a box that served before where one is free.
  @inline(__always)
  func keyedContainer<Key: CodingKey>(_ handle: Handle) -> KeyedEncodingContainer<Key> {
    let memo = unsafe symbols.memo(for: Key.self)
    guard let place = unsafe memo._withUnsafeGuaranteedRef({ memo in unsafe memo.box.freePlace }) else {
      return unsafe makeKeyedContainer(handle, memo.takeUnretainedValue())
    }
    unsafe place._withUnsafeGuaranteedRef { place in
      unsafe place.handle = handle
      unsafe place.cursor = 0
    }
    return unsafe memo._withUnsafeGuaranteedRef { memo in unsafe memo.box.container(as: KeyedEncodingContainer<Key>.self) }
  }

  @inline(never)
  private func makeKeyedContainer<Key: CodingKey>(_ handle: Handle, _ memo: KeyMemo) -> KeyedEncodingContainer<Key> {
    let place = FlatKeyedPlace(writer: self, memo: memo, handle: handle)
    let container = KeyedEncodingContainer(FlatKeyedEncodingContainer<Key>(place: place))
    // One of the same type that is still in use around this one is left to its holder.
    unsafe memo.box = ContainerBox(container, place: place)
    return container
  }

  /// Opens a container for the value at `start`, or finds the one that is open there.
  ///
  /// Asked twice for the same kind at the same place, as a subclass and its superclass do, it gives the same container.
  @inline(__always)
  func open(_ tag: WireTag, at start: Int, depth place: Int) -> Handle {
    guard start == buffer.count, place == depth, !isViolated else { return reopen(tag, at: start, depth: place) }
    guard depth < WireLimit.nesting else { return refuseDepth() }
    lastSerial &+= 1
    unsafe (frames + depth).initialize(to: Frame(serial: lastSerial, start: start, tag: tag))
    depth &+= 1
    buffer.append(byte: tag.rawValue)
    buffer.append(fixed: UInt32(0))
    if tag == .unkeyed { buffer.append(fixed: UInt32(0)) }
    return Handle(depth: depth &- 1, serial: lastSerial)
  }

  @inline(never)
  private func reopen(_ tag: WireTag, at start: Int, depth place: Int) -> Handle {
    // SAFETY: the frame is below `depth`.
    if !isViolated, place < depth, unsafe frames[place].start == start, unsafe frames[place].tag == tag {
      return Handle(depth: place, serial: unsafe frames[place].serial)
    }
    isViolated = true
    return .dead
  }

  /// Out of line, because an error of a type that is not known here costs a look-up of metadata wherever it is inlined.
  @inline(never)
  private func refuseDepth() -> Handle {
    failure = failure ?? .nestedTooDeep(codingPath: codingPath(depth: depth) ?? [])
    isViolated = true
    return .dead
  }

  /// Makes a container the innermost one.
  @inline(__always)
  func enter(_ handle: Handle) throws {
    // SAFETY: a handle's depth is below the capacity, and the frame below `depth` where the first comparison holds.
    if depth == handle.depth &+ 1, promised < 0, unsafe frames[handle.depth].serial == handle.serial { return }
    try enterSlowly(handle)
  }

  @inline(never)
  private func enterSlowly(_ handle: Handle) throws {
    guard !isViolated, handle.depth < depth, unsafe frames[handle.depth].serial == handle.serial else {
      isViolated = true
      throw failure ?? Violation()
    }
    keepPromise()
    close(to: handle.depth + 1)
    promised = -1
  }

  /// Writes the empty container that a promised value becomes when nobody wrote it.
  func keepPromise() {
    if promised == buffer.count { appendEmptyContainer() }
    promised = -1
  }

  func appendEmptyContainer() {
    buffer.append(byte: WireTag.keyed.rawValue)
    buffer.append(fixed: UInt32(0))
  }

  /// Closes containers until `target` are open.
  @inline(__always)
  func close(to target: Int) {
    while depth > target {
      depth &-= 1
      // SAFETY: the frame was below `depth`.
      let frame = unsafe frames[depth]
      if frame.tag == .keyed {
        buffer.patch(buffer.count &- frame.start &- WireLimit.keyedHead, at: frame.start &+ 1)
      } else if frame.tag == .unkeyed {
        buffer.patch(buffer.count &- frame.start &- WireLimit.unkeyedHead, at: frame.start &+ 1)
        buffer.patch(frame.count, at: frame.start &+ 5)
      }
    }
  }

  /// Starts an entry of a keyed container; the value follows.
  @inline(__always)
  func beginEntry(_ handle: Handle, _ symbol: Int) throws {
    try enter(handle)
    let number = symbols.number(of: symbol)
    // SAFETY: `enter` made sure that the frame is open.
    if number < 64 {
      let bit = 1 as UInt64 &<< UInt64(truncatingIfNeeded: number)
      guard unsafe frames[handle.depth].keys & bit == 0 else { return try violation() }
      unsafe frames[handle.depth].keys |= bit
    } else if isRepeated(symbol, number, in: handle) {
      return try violation()
    }
    buffer.append(varint: UInt64(truncatingIfNeeded: number))
    unsafe frames[handle.depth].lastKey = symbol
    unsafe frames[handle.depth].lastValue = buffer.count
  }

  /// Starts an element of an unkeyed container; the value follows.
  @inline(__always)
  func beginElement(_ handle: Handle) throws {
    try enter(handle)
    // SAFETY: `enter` made sure that the frame is open.
    guard unsafe frames[handle.depth].tag == .unkeyed else { return try violation() }
    unsafe frames[handle.depth].count &+= 1
    unsafe frames[handle.depth].lastValue = buffer.count
  }

  @inline(never)
  func violation() throws {
    isViolated = true
    throw Violation()
  }

  /// How many elements an unkeyed container has.
  func count(of handle: Handle) -> Int {
    guard handle.depth < depth, unsafe frames[handle.depth].serial == handle.serial else {
      isViolated = true
      return 0
    }
    return unsafe frames[handle.depth].count
  }

  /// Whether a container has this key already, where the key's number is too large for the frame's bits.
  ///
  /// Each symbol knows the frame that used it last. Serials rise, so an older frame than this one says no, this one says yes, and a newer
  /// one (inside this one) hides the answer: then the entries so far are searched, and from then on kept as a set.
  private func isRepeated(_ symbol: Int, _ number: Int, in handle: Handle) -> Bool {
    let last = symbols.noteUse(of: symbol, by: handle.serial)
    if highKeys[handle.serial] == nil {
      if last == handle.serial { return true }
      if last < handle.serial { return false }
      highKeys[handle.serial] = writtenKeys(of: handle)
    }
    return state.value.highKeys[handle.serial]?.insert(number).inserted == false
  }

  private func writtenKeys(of handle: Handle) -> Set<Int> {
    var numbers: Set<Int> = []
    let bytes = unsafe WireBytes(buffer.bytes)
    var position = unsafe frames[handle.depth].start + WireLimit.keyedHead
    while position < bytes.count, let number = try? bytes.varint(at: &position), let next = try? bytes.end(ofValueAt: position) {
      numbers.insert(Int(truncatingIfNeeded: number))
      position = next
    }
    return numbers
  }
}
