import HeddleWire
import Testing

@Suite struct RecordsTests {
  @Test func `items come back with their kinds, whatever their sizes`() {
    let items = (0..<40).map { number in [UInt8](repeating: UInt8(number), count: number * number % 23) }
    var bytes = [UInt8](repeating: 0xee, count: items.reduce(0) { $0 + Records.byteCount($1.count) })
    var end = 0
    for (number, item) in items.enumerated() {
      unsafe bytes.withUnsafeMutableBytes { bytes in
        unsafe item.withUnsafeBytes { unsafe Records.write($0, kind: UInt32(number), at: bytes.baseAddress! + end) }
      }
      end += Records.byteCount(item.count)
    }
    unsafe bytes.withUnsafeBytes { raw in
      var offset = 0
      for (number, item) in items.enumerated() {
        let record = unsafe Records.next(in: raw, at: &offset)
        #expect(unsafe record?.kind == UInt32(number) && record.map { Array($0.bytes) } == item)
      }
      #expect(unsafe Records.next(in: raw, at: &offset) == nil && offset == raw.count)
    }
  }
  @Test func `whatever the bytes are, no item reaches beyond them, and the end comes`() {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<20_000 {
      let bytes = (0..<Int.random(in: 0...64, using: &random)).map { _ in
        UInt8.random(in: 0...255, using: &random) & (Bool.random() ? 255 : 15)
      }
      unsafe bytes.withUnsafeBytes { raw in
        var offset = 0
        var count = 0
        while let record = unsafe Records.next(in: raw, at: &offset) {
          count += 1
          let start = unsafe record.bytes.baseAddress.map { unsafe $0 - raw.baseAddress! } ?? 0
          #expect(start >= 0 && start + record.bytes.count <= raw.count && offset <= raw.count)
        }
        #expect(count <= raw.count / Records.headByteCount)
      }
    }
  }
}
