import CHeddle
import HeddleSystem
import HeddleWire

/// The worker's writing side: results into the ring, and the bell for a parent that sleeps.
struct ResponseWriter: ~Copyable {
  private let memory: ChannelMemory
  private let socket: Int32
  private var ring: RingWriter
  private var bell = Bell()
  private var roomBell = Bell()
  private var roomTicket: UInt64 = 0
  /// Where the ring's end was when `ringIfNobodyReads` looked last: if the parent has not come so far since, nobody reads.
  private var mark: UInt64 = 0

  init(_ memory: ChannelMemory, socket: Int32) {
    self.memory = memory
    self.socket = socket
    ring = RingWriter(memory)
  }

  /// Writes a frame and publishes it.
  ///
  /// Blocks while there is no room.
  mutating func write(
    kind: UInt8, position: UInt64 = 0, type: UInt32 = 0, payload: UnsafeRawBufferPointer, flags: UInt8 = 0, attachmentCount: Int = 0
  ) {
    let size = Frame.byteCount(payload: payload.count)
    if ring.room(keeping: ring.head) < size { waitForRoom(size) }
    let header = FrameHeader(
      kind: kind, byteCount: payload.count, position: position, type: type, flags: flags, attachmentCount: attachmentCount)
    unsafe ring.write(header, payload)
    ring.publish()
  }
  /// Writes a result, in parts where it is large.
  ///
  /// - Parameter attachmentCount: how much memory was sent for it.
  mutating func writeResult(
    position: UInt64, kind: UInt32, main: UnsafeRawBufferPointer, segments: [Segment], flags: UInt8 = 0, attachmentCount: Int
  ) {
    if segments.isEmpty && main.count <= Frame.payloadLimit {
      unsafe write(
        kind: ResponseKind.result, position: position, type: kind, payload: main, flags: flags, attachmentCount: attachmentCount)
      return
    }
    let shape = MessageShape(
      mainByteCount: main.count, segmentByteCounts: segments.map { unsafe $0.bytes.count }, segmentKinds: segments.map(\.kind)
    ).encoded
    unsafe shape.withUnsafeBytes {
      unsafe write(
        kind: ResponseKind.beginResult, position: position, type: kind, payload: $0, flags: flags, attachmentCount: attachmentCount)
    }
    unsafe writeParts(main)
    for segment in segments { unsafe writeParts(segment.bytes) }
  }
  private mutating func writeParts(_ bytes: UnsafeRawBufferPointer) {
    var offset = 0
    while offset < bytes.count {
      let end = min(bytes.count, offset + Frame.payloadLimit)
      unsafe write(kind: ResponseKind.part, payload: UnsafeRawBufferPointer(rebasing: bytes[offset..<end]))
      offset = end
    }
  }
  /// Begins a frame of results that grows in place.
  ///
  /// Blocks while there is no room.
  mutating func beginDraft(position: UInt64, first: Int) -> RecordsDraft {
    let size = Frame.byteCount(payload: RecordsDraft.limit)
    if ring.room(keeping: ring.head) < size { waitForRoom(size) }
    return RecordsDraft(position: position, first: first, in: ring)
  }
  func append(_ bytes: UnsafeRawBufferPointer, kind: UInt32, to draft: inout RecordsDraft) {
    unsafe draft.append(bytes, kind: kind, in: ring, memory)
  }
  /// Publishes it.
  mutating func finish(_ draft: RecordsDraft, nanoseconds: UInt64? = nil) {
    draft.finish(in: &ring, nanoseconds: nanoseconds)
    ring.publish()
  }
  private mutating func waitForRoom(_ size: Int) {
    var spins = 0
    while true {
      // The parent is trusted; where it says it is, it is.
      _ = ring.refreshTail()
      if ring.room(keeping: ring.head) >= size { return }
      spins += 1
      if spins < 200 {
        heddle_pause()
        continue
      }
      let bells = memory.bellCount
      roomTicket += 1
      let wants = unsafe memory.ownWord(RegionLayout.wantsRoom)
      unsafe wants.pointee.store(roomTicket, ordering: .sequentiallyConsistent)
      ringIfParked()
      _ = ring.refreshTail()
      if ring.room(keeping: ring.head) < size { awaitBell(after: bells) }
      unsafe wants.pointee.store(0, ordering: .relaxed)
    }
  }

  // MARK: The bell

  /// Sleeps until the parent rings.
  ///
  /// May wake early.
  func awaitBell(after count: UInt32) {
    // Where it sleeps on the word another thread of this process waits for the parent's end.
    if heddle_wakes_by_word() { return memory.awaitBell(after: count) }
    if heddle_await_bell(socket) == 0 { heddle_exit_at_once(0) }
  }
  /// Rings if the parent sleeps and has not been rung for.
  mutating func ringIfParked() {
    let sleep = unsafe memory.otherWord(RegionLayout.parked).pointee.load(ordering: .sequentiallyConsistent)
    if bell.shouldRing(sleep: sleep) { heddle_ring_bell(socket) }
  }
  /// The same, if results lie there that nobody has read.
  mutating func ringIfUnread() {
    if unsafe memory.otherWord(RegionLayout.tail).pointee.load(ordering: .acquiring) != ring.head { ringIfParked() }
  }
  /// In a burst: rings if nothing was read since the last call.
  ///
  /// Who drains the ring at this moment need not be woken.
  mutating func ringIfNobodyReads() {
    let tail = unsafe memory.otherWord(RegionLayout.tail).pointee.load(ordering: .acquiring)
    if tail < mark { ringIfParked() }
    mark = ring.head
  }
  /// Rings for a parent that waits for room in the request ring, once half of what it wrote is read.
  mutating func ringIfRoomIsWanted(unread: borrowing RingReader) {
    let sleep = unsafe memory.otherWord(RegionLayout.wantsRoom).pointee.load(ordering: .sequentiallyConsistent)
    guard sleep != 0, (unread.available ?? 0) <= RegionLayout.ringByteCount / 2 else { return }
    if roomBell.shouldRing(sleep: sleep) { heddle_ring_bell(socket) }
  }
}
