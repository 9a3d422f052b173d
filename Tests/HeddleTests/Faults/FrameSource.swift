import HeddleWire

@testable import Heddle

/// A frame as it is written into a ring.
struct WrittenFrame: Equatable {
  var header: FrameHeader
  var payload: [UInt8]

  static func == (left: WrittenFrame, right: WrittenFrame) -> Bool {
    left.payload == right.payload && left.headerBytes == right.headerBytes
  }
  private var headerBytes: [UInt8] { withUnsafeBytes(of: header) { Array($0) } }
}

/// Frames that a worker could have written, each with something changed.
struct FrameSource {
  /// What it writes about its job.
  enum Part: Int, Codable {
    /// Large results that are hardly ever complete: the first whole result would be the last.
    case silent
    /// Results, large ones in parts.
    case answering
    /// The same for the items of a map, of which many may come.
    case chunk
  }
  /// What was changed in a frame.
  enum Change: Int, CaseIterable {
    /// Bytes of a result, or of a part of one.
    case payload
    /// What a reader passes on as it is: what kind of outcome it is.
    case label
    /// What the protocol rests on: sizes, kinds, positions, flags, the shape of a large result.
    case structure
  }

  var random: Seeded
  private let part: Part
  /// How many of ten thousand frames have their structure changed.
  private let damage: Int
  /// What has not been written of the large result that is under way, the next piece last.
  private var left: [ArraySlice<UInt8>] = []

  init(seed: UInt64, part: Part, damage: Int) {
    random = Seeded(seed)
    self.part = part
    self.damage = damage
  }
  mutating func next(position: UInt64) -> (frame: WrittenFrame, change: Change) {
    let honest = honest(position)
    var frame = honest
    let isFixed = frame.header.kind == ResponseKind.beginResult || frame.payload.isEmpty
    let change: Change =
      Int.random(in: 0..<10_000, using: &random) < damage ? .structure : isFixed ? .label : .payload
    while frame == honest {
      switch change {
      case .payload: changePayload(&frame)
      case .label: frame.header.type = label(ofAny: true)
      case .structure: changeStructure(&frame)
      }
    }
    return (frame, change)
  }

  // MARK: What an honest worker writes

  private mutating func honest(_ position: UInt64) -> WrittenFrame {
    while left.last?.isEmpty == true { left.removeLast() }
    if let piece = left.popLast() {
      let payload = piece.prefix(Int.random(in: 1...300, using: &random))
      left.append(piece.dropFirst(payload.count))
      return WrittenFrame(header: FrameHeader(kind: ResponseKind.part, byteCount: payload.count), payload: Array(payload))
    }
    let flags = part == .chunk ? ResponseKind.more : 0
    let message = Self.messages.randomElement(using: &random)!
    switch Int.random(in: 0..<10, using: &random) {
    case 0: return WrittenFrame(header: FrameHeader(kind: ResponseKind.hello, byteCount: message.count), payload: message)
    case 1...6 where part != .silent:
      let payload = part == .chunk ? records() : message
      let type = part == .chunk ? ResultKind.value : label(ofAny: false)
      return WrittenFrame(
        header: FrameHeader(kind: ResponseKind.result, byteCount: payload.count, position: position, type: type, flags: flags),
        payload: payload)
    default:
      // Most are there after some parts; of others few of the announced bytes ever come.
      let isLong = part == .silent || Int.random(in: 0..<8, using: &random) == 0
      left = (0..<Int.random(in: 0...2, using: &random)).map { _ in noise(Int.random(in: 0...(isLong ? 60_000 : 600), using: &random))[...]
      }
      left.append(isLong ? noise(60_000)[...] : message[...])
      let shape = MessageShape(mainByteCount: left.last!.count, segmentByteCounts: left.dropLast().reversed().map(\.count)).encoded
      let payload = unsafe shape.withUnsafeBytes { unsafe Array($0) }
      return WrittenFrame(
        header: FrameHeader(
          kind: ResponseKind.beginResult, byteCount: payload.count, position: position, type: label(ofAny: false), flags: flags),
        payload: payload)
    }
  }
  /// The results of some items of a map.
  private mutating func records() -> [UInt8] {
    var bytes = withUnsafeBytes(of: RecordsHead(first: Int.random(in: 0..<4, using: &random))) { Array($0) }
    for _ in 0..<Int.random(in: 1...3, using: &random) {
      let message = Self.messages.randomElement(using: &random)!
      let kind = UInt32.random(in: 1...3, using: &random)
      let start = bytes.count
      bytes += [UInt8](repeating: 0, count: Records.byteCount(message.count))
      bytes.withUnsafeMutableBytes { bytes in
        message.withUnsafeBytes { unsafe Records.write($0, kind: kind, at: bytes.baseAddress! + start) }
      }
    }
    return bytes
  }
  /// What kind of outcome it is.
  private mutating func label(ofAny: Bool) -> UInt32 {
    let kind = UInt32.random(in: ofAny ? 0...9 : 1...3, using: &random)
    if ofAny && Int.random(in: 0..<8, using: &random) == 0 { return .random(in: 0...(.max), using: &random) }
    return part == .chunk ? ItemTag(kind: kind, index: Int.random(in: 0..<4, using: &random)).type : kind
  }
  private mutating func noise(_ count: Int) -> [UInt8] { [UInt8](repeating: .random(in: 0...(.max), using: &random), count: count) }

  /// Outputs of `WritesFrames`, thrown errors and texts, as a worker sends them.
  private static let messages: [[UInt8]] = {
    let encoder = MessageEncoder()
    func message(_ value: some Encodable) -> [UInt8] {
      try! encoder.encode(value)
      return unsafe Array(encoder.bytes)
    }
    return [
      message([String: [Int]]()), message(["a": [1, 2, 3]]), message(["key": Array(0..<60), "other": [], "é": [.max, .min]]),
      message(Dictionary(uniqueKeysWithValues: (0..<20).map { ("key \($0)", [$0]) })),
      message(SentError(typeName: TypeName.name(of: Refusal.self)!, error: Refusal(code: 1, reason: "no"))),
      message(RemoteFailure(typeName: "Opaque", description: "deep trouble")), message("It could not be decoded."), message(7),
    ]
  }()

  // MARK: What is changed

  private mutating func changePayload(_ frame: inout WrittenFrame) {
    let place = Int.random(in: 0..<frame.payload.count, using: &random)
    // A part has the size that it has: another one breaks the protocol.
    switch Int.random(in: 0..<(frame.header.kind == ResponseKind.part ? 3 : 6), using: &random) {
    case 0: frame.payload[place] ^= 1 << UInt8.random(in: 0..<8, using: &random)
    case 1: for index in place..<min(place + 4, frame.payload.count) { frame.payload[index] = 0xff }
    case 2: frame.payload[place] = .random(in: 0...20, using: &random)
    case 3: frame.payload.removeSubrange(place...)
    case 4: frame.payload.remove(at: place)
    default: frame.payload.insert(contentsOf: Self.messages.randomElement(using: &random)!.suffix(30), at: place)
    }
    frame.header.byteCount = UInt32(frame.payload.count)
  }
  private mutating func changeStructure(_ frame: inout WrittenFrame) {
    switch Int.random(in: 0..<9, using: &random) {
    case 0: frame.header.kind = .random(in: 0...255, using: &random)
    case 1: frame.header.byteCount = .random(in: 0...(.max), using: &random)
    case 2: frame.header.byteCount = frame.header.byteCount &+ UInt32.random(in: 1...64, using: &random)
    case 3: frame.header.position = .random(in: 0...(.max), using: &random)
    case 4: frame.header.attachmentCount = .random(in: 1...(.max), using: &random)
    case 5: frame.header.flags = .random(in: 0...255, using: &random)
    case 6: frame.header = FrameHeader(kind: ResponseKind.result, byteCount: frame.payload.count, position: UInt64(frame.header.position))
    case 7: frame.header.kind = ResponseKind.part
    default:
      // Of a large result this is its shape.
      if frame.payload.isEmpty { return }
      frame.payload[Int.random(in: 0..<frame.payload.count, using: &random)] = .random(in: 0...255, using: &random)
      frame.header.kind = ResponseKind.beginResult
    }
  }
}
