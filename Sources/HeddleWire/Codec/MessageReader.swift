/// Reads one message; what the containers of a decoder share.
///
/// Containers know positions and ask here. Nothing that a message says is believed: every read is checked against the message's end, every
/// length against what surrounds it, and a container may outlive the message (then its number is not that of the message, and reads throw).
///
/// A reader is never freed, so that containers refer to it without counting: see `Shelf`.
@safe
final class MessageReader {
  /// What is remembered about the innermost container at a depth; only hints, so a container that finds another one's trail starts again.
  struct Trail {
    /// Position of the container's tag.
    var container = 0
    /// Where the entry begins that is read next, when keys are read in written order.
    var cursor = 0
    /// Position of the value that was asked for last.
    var child = 0
    /// That value's key number, or index.
    var step = 0
  }

  /// A place where a value is.
  struct Place {
    /// Position of the tag; 0 for a super that was never written, which reads as nil.
    var position: UInt32
    /// Where what surrounds the value ends; for position 0, which super it is.
    var limit: UInt32
    /// How many containers surround the value.
    var depth: UInt32
  }

  /// The variables that every read looks at.
  @safe private struct State {
    var bytes = WireBytes.empty
    /// SAFETY: the reader's `ownKeys`.
    var keys: Unmanaged<KeyTable>
    /// How many trails were used since they were cleared.
    var usedTrails = 0
    var openCalls = 0
    var message = MessageNumber()
    /// The place of the value that is read: a message has one, a series several.
    var root = WireLimit.header
    /// Entries by key number, of containers that are large and were read out of order; by position of the container.
    var indexes: [Int: [Int: Int]] = [:]
    /// The supers that were asked for and are not there: the container and the key.
    var absent: [(container: Place, key: String)] = []
    /// What came beside the message.
    var attachments: [Attachment] = []
    /// What one of the values found out about the sender.
    var accusation: String?
  }

  private let state: Cell<State>
  /// The table of the message that was read last.
  private var ownKeys = KeyTable()
  let segments = SegmentStore()
  let kinds = TravelKinds()
  /// The box for the next keyed container, by key type.
  private let boxes = ObjectTable<KeyedBoxes>()
  /// SAFETY: `WireLimit.nesting` trails, all initialised; containers are no deeper.
  private let trails = UnsafeMutablePointer<Trail>.allocate(capacity: WireLimit.nesting)
  /// The tables met last, which messages of the same types have again.
  private var knownKeys: ContiguousArray<KeyTable> = []
  private var nextKnown = 0

  /// How many tables are remembered.
  ///
  /// A worker runs few types of job at a time.
  private static let knownLimit = 8
  /// Largest table remembered.
  ///
  /// Unit: bytes.
  private static let knownByteCount = 4_096
  /// From how many entries on a keyed container that is read out of order gets an index.
  static let indexThreshold = 16

  private init() {
    state = Cell(unsafe State(keys: .passUnretained(ownKeys)))
    unsafe trails.initialize(repeating: Trail(), count: WireLimit.nesting)
  }

  /// Those that no decoder uses.
  private static let shelf = Shelf<MessageReader>()
  /// A reader that nobody uses.
  static func take() -> MessageReader { shelf.take() ?? MessageReader() }
  /// Gives it to the next decoder; containers that somebody kept find that their message is not being read.
  func giveBack() {
    accusation = nil
    unsafe segments.prepareLarge = nil
    Self.shelf.give(self)
  }

  private(set) var bytes: WireBytes {
    @inline(__always) get { state.value.bytes }
    @inline(__always) set { state.value.bytes = newValue }
  }

  private(set) var keys: KeyTable {
    get { ownKeys }
    set {
      ownKeys = newValue
      unsafe state.value.keys = .passUnretained(newValue)
    }
  }

  /// What came beside the message.
  var attachments: [Attachment] {
    get { state.value.attachments }
    set { state.value.attachments = newValue }
  }
  /// What one of the values found out about the sender; stays until it is taken.
  var accusation: String? {
    get { state.value.accusation }
    set { state.value.accusation = newValue }
  }
  func attachment(_ number: Int) -> Attachment? {
    state.value.attachments.indices.contains(number) ? state.value.attachments[number] : nil
  }

  /// Names the message, so that a container which outlived its own is recognised.
  var message: UInt32 {
    @inline(__always) get { state.value.message.current }
  }
  /// Says that it is being read; thrown by whatever outlived it.
  @inline(__always)
  func check(_ message: UInt32) throws(ReadFailure) {
    if message != self.message { throw .outlived }
  }

  /// The place of the value that is read.
  var root: Int {
    @inline(__always) get { state.value.root }
  }

  private var usedTrails: Int {
    @inline(__always) get { state.value.usedTrails }
    @inline(__always) set { state.value.usedTrails = newValue }
  }

  var openCalls: Int {
    @inline(__always) get { state.value.openCalls }
    @inline(__always) set { state.value.openCalls = newValue }
  }

  // MARK: Messages

  /// Takes a message and returns the place of its value.
  func begin(_ message: WireBytes) throws(ReadFailure) -> Place {
    var position = 4
    guard message.count <= WireLimit.message else { throw .corrupted("The message has \(message.count) bytes.") }
    let first = try message.byte(at: 0)
    state.value.message.begin()
    state.value.root = WireLimit.header
    if first == WireLimit.bare {
      // Without a container nobody asks for keys, so those of the message before may stay.
      guard try message.tag(at: 1).rawValue <= WireTag.string.rawValue else {
        throw .corrupted("The message is bare and begins with a container.")
      }
      bytes = message
      return Place(position: 1, limit: UInt32(truncatingIfNeeded: message.count), depth: 0)
    }
    guard first == 0, try message.byte(at: 1) == WireLimit.version else {
      throw .corrupted("The message does not begin with version \(WireLimit.version) of the format.")
    }
    let table = Int(try message.fixed(UInt32.self, at: &position))
    guard table >= WireLimit.header, table <= message.count else { throw .corrupted("The key table is said to be at byte \(table).") }
    try readKeys(message.slice(table..<message.count))
    bytes = message.slice(0..<table)
    return Place(position: UInt32(WireLimit.header), limit: UInt32(table), depth: 0)
  }

  /// Goes on to the next value of the message, and forgets what belongs to the last.
  @inline(__always)
  func beginNext(at position: Int, limit: Int) -> Place {
    state.value.root = position
    if !state.value.absent.isEmpty { state.value.absent.removeAll() }
    return Place(position: UInt32(truncatingIfNeeded: position), limit: UInt32(truncatingIfNeeded: limit), depth: 0)
  }

  /// Forgets the message.
  func end() {
    bytes = .empty
    state.value.message.end()
    segments.removeAll()
    for depth in 0..<usedTrails { unsafe trails[depth] = Trail() }
    usedTrails = 0
    if !state.value.indexes.isEmpty { state.value.indexes.removeAll() }
    if !state.value.absent.isEmpty { state.value.absent.removeAll() }
    if !state.value.attachments.isEmpty { state.value.attachments = [] }
    openCalls = 0
  }

  private func readKeys(_ text: WireBytes) throws(ReadFailure) {
    if unsafe state.value.keys._withUnsafeGuaranteedRef({ keys in keys.has(text: text) }) { return }
    try findKeys(text)
  }

  @inline(never)
  private func findKeys(_ text: WireBytes) throws(ReadFailure) {
    if let known = knownKeys.first(where: { table in table.has(text: text) }) {
      keys = known
      return
    }
    keys = try KeyTable(text)
    guard text.count <= Self.knownByteCount else { return }
    if knownKeys.count < Self.knownLimit {
      knownKeys.append(keys)
    } else {
      knownKeys[nextKnown] = keys
      nextKnown = (nextKnown + 1) % Self.knownLimit
    }
  }

  // MARK: Keyed containers

  /// A type's boxes, as an object: they are changed where they are.
  ///
  /// The first serves nearly always; a value that nests its own type needs one for each level, and so does one that was kept.
  private final class KeyedBoxes {
    @exclusivity(unchecked) var first = ContainerBox<WireKeyedPlace>()
    @exclusivity(unchecked) var others: ContiguousArray<ContainerBox<WireKeyedPlace>> = []
  }

  /// The keyed container at a place, in a box that served before where one is free.
  @inline(__always)
  func keyedContainer<Key: CodingKey>(_ opened: KeyedPlace) -> KeyedDecodingContainer<Key> {
    let boxes = unsafe boxes.object(for: Key.self) { KeyedBoxes() }
    return unsafe boxes._withUnsafeGuaranteedRef { boxes in
      guard let place = unsafe boxes.first.freePlace else { return nestedContainer(opened, boxes) }
      unsafe fill(place, opened, Key.self)
      return unsafe boxes.first.container(as: KeyedDecodingContainer<Key>.self)
    }
  }

  @inline(__always)
  private func fill<Key: CodingKey>(_ place: Unmanaged<WireKeyedPlace>, _ opened: KeyedPlace, _: Key.Type) {
    unsafe place._withUnsafeGuaranteedRef { place in
      unsafe place.container = opened
      unsafe place.message = message
      unsafe place.numbers = unsafe numbers(for: Key.self)
    }
  }

  /// Which numbers the keys of a type have in the message's table.
  @inline(__always)
  private func numbers<Key: CodingKey>(for type: Key.Type) -> Unmanaged<KeyNumbers> {
    unsafe state.value.keys._withUnsafeGuaranteedRef { keys in unsafe keys.numbers(for: type) }
  }

  @inline(never)
  private func nestedContainer<Key: CodingKey>(_ opened: KeyedPlace, _ boxes: KeyedBoxes) -> KeyedDecodingContainer<Key> {
    for index in unsafe boxes.others.indices {
      guard let place = unsafe boxes.others[index].freePlace else { continue }
      unsafe fill(place, opened, Key.self)
      return unsafe boxes.others[index].container(as: KeyedDecodingContainer<Key>.self)
    }
    let place = unsafe WireKeyedPlace(reader: self, container: opened, message: message, numbers: numbers(for: Key.self))
    let container = KeyedDecodingContainer(unsafe WireKeyedDecodingContainer<Key>(place: .passUnretained(place)))
    if unsafe boxes.others.count >= WireLimit.nesting {
      // More than values can nest: somebody keeps containers, against the rules, and may look at the place for ever.
      _ = unsafe Unmanaged.passRetained(place)
      return container
    }
    let box = ContainerBox(container, place: place)
    if unsafe boxes.first.isEmpty { unsafe boxes.first = box } else { unsafe boxes.others.append(box) }
    return container
  }

  // MARK: Hints

  @inline(__always)
  func trail(at depth: Int) -> Trail {
    precondition(depth < WireLimit.nesting)
    // SAFETY: all trails are initialised, here and below.
    return unsafe trails[depth]
  }

  /// Where the entry begins that is read next in written order.
  @inline(__always)
  func cursor(of container: KeyedPlace) -> Int {
    let trail = trail(at: Int(container.depth))
    return trail.container == Int(container.position) ? trail.cursor : container.first
  }

  /// Says that the entry before `cursor` was read.
  @inline(__always)
  func advance(_ container: KeyedPlace, to cursor: Int) throws(ReadFailure) {
    guard cursor <= Int(container.end) else { throw .truncated(cursor) }
    noteTrail(Int(container.depth))
    unsafe trails[Int(container.depth)].container = Int(container.position)
    unsafe trails[Int(container.depth)].cursor = cursor
  }

  /// Says which value of a keyed container is read now.
  @inline(__always)
  func noteChild(_ value: Int, step: Int, in container: KeyedPlace) {
    let cursor = cursor(of: container)
    unsafe trails[Int(container.depth)] = Trail(container: Int(container.position), cursor: cursor, child: value, step: step)
  }

  /// Says which element of an unkeyed container is read now.
  @inline(__always)
  func noteElement(_ value: Int, index: Int, in container: UnkeyedPlace) {
    precondition(container.depth < WireLimit.nesting)
    unsafe trails[Int(container.depth)] = Trail(container: Int(container.position), cursor: 0, child: value, step: index)
  }

  @inline(__always)
  func noteTrail(_ depth: Int) {
    if depth >= usedTrails { usedTrails = depth + 1 }
  }

  func index(of container: KeyedPlace) -> [Int: Int]? {
    state.value.indexes.isEmpty ? nil : state.value.indexes[Int(container.position)]
  }

  func setIndex(_ index: [Int: Int], of container: KeyedPlace) {
    state.value.indexes[Int(container.position)] = index
  }

  /// Remembers a super that is not there, and gives it a place that reads as nil.
  func addAbsent(key: String, in container: Place) -> Place {
    state.value.absent.append((container, key))
    return Place(position: 0, limit: UInt32(truncatingIfNeeded: state.value.absent.count - 1), depth: container.depth + 1)
  }

  func absentSuper(_ number: Int) -> (container: Place, key: String)? {
    state.value.absent.indices.contains(number) ? state.value.absent[number] : nil
  }

  // MARK: Scalars

  @inline(__always)
  func tag(at position: Int) throws(ReadFailure) -> WireTag { try bytes.tag(at: position) }

  @inline(__always)
  func varint(at position: inout Int) throws(ReadFailure) -> UInt64 { try bytes.varint(at: &position) }

  @inline(__always)
  func fixed<Number: FixedWidthInteger & BitwiseCopyable>(_ type: Number.Type, at position: inout Int) throws(ReadFailure) -> Number {
    try bytes.fixed(type, at: &position)
  }

  @inline(__always)
  func text(at position: inout Int) throws(ReadFailure) -> String { try bytes.text(at: &position) }

  @inline(__always)
  func end(ofValueAt position: Int) throws(ReadFailure) -> Int { try bytes.end(ofValueAt: position) }

  /// Reads any value.
  func element(at position: inout Int) throws(ReadFailure) -> WireElement {
    let tag = try tag(at: position)
    var end = position + 1
    let element: WireElement
    switch tag {
    case .null: element = .null
    case .no, .yes: element = .bool(tag == .yes)
    case .integer:
      let zigzag = try varint(at: &end)
      element = .integer(Int128(Int64(bitPattern: zigzag &>> 1) ^ -Int64(bitPattern: zigzag & 1)))
    case .unsigned: element = .integer(Int128(try fixed(UInt64.self, at: &end)))
    case .wide: element = .integer(try fixed(Int128.self, at: &end))
    case .wideUnsigned:
      let number = try fixed(UInt128.self, at: &end)
      element = Int128(exactly: number).map(WireElement.integer) ?? .large(number)
    case .float: element = .float(Float(bitPattern: try fixed(UInt32.self, at: &end)))
    case .double: element = .double(Double(bitPattern: try fixed(UInt64.self, at: &end)))
    case .string: element = .string(try text(at: &end))
    case .keyed:
      end = try self.end(ofValueAt: position)
      element = .keyed
    case .unkeyed, .block, .segment:
      end = try self.end(ofValueAt: position)
      element = .unkeyed
    }
    position = end
    return element
  }

  func isNull(at position: Int) throws -> Bool {
    do throws(ReadFailure) {
      return try tag(at: position) == .null
    } catch {
      throw decodingError(error, Any?.self, codingPath: [])
    }
  }
}
