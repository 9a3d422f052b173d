import Synchronization

/// How much more memory there is before somebody is killed for want of it.
public enum MemoryRoom {
  /// What the machine and this process's control groups still have, caches that can be dropped with it; nil where nothing says so.
  ///
  /// Unit: bytes. Takes some tens of microseconds.
  public static func available() -> Int? { available(machine: Machine.availableMemory, read: Processors.readFile) }

  /// The same on given facts.
  ///
  /// `read` answers with a file's text, or nil where there is none.
  public static func available(machine: Int?, read: (String) -> String?) -> Int? {
    var least = machine
    func consider(limit: Int?, used: Int?, dropped: Int) {
      guard let limit, let used else { return }
      let room = max(0, limit - used + dropped)
      least = min(least ?? room, room)
    }
    let mounts = Processors.cgroupMounts(read("/proc/self/mountinfo") ?? "")
    for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[0] == "0" && fields[1].isEmpty, let mount = mounts.unified {
        for folder in mount.folders(of: String(fields[2])) {
          guard let limit = number(read(folder + "/memory.max")) else { continue }
          consider(limit: limit, used: number(read(folder + "/memory.current")), dropped: cache(read(folder + "/memory.stat"), ""))
        }
      } else if fields[1].split(separator: ",").contains("memory"), let mount = mounts.memory {
        for folder in mount.folders(of: String(fields[2])) {
          guard let limit = number(read(folder + "/memory.limit_in_bytes")), limit < unlimited else { continue }
          consider(
            limit: limit, used: number(read(folder + "/memory.usage_in_bytes")), dropped: cache(read(folder + "/memory.stat"), "total_"))
        }
      }
    }
    return least
  }
  /// What version 1 says where there is no limit: the largest number, in pages.
  private static let unlimited = 1 << 62
  private static func number(_ text: String?) -> Int? {
    (text ?? "").split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
  }
  /// Pages of files, which the kernel drops before it kills anybody; shared memory is not among them.
  private static func cache(_ text: String?, _ prefix: String) -> Int {
    var sum = 0
    for line in (text ?? "").split(separator: "\n") {
      let fields = line.split(separator: " ")
      if fields.count == 2, fields[0] == prefix + "inactive_file" || fields[0] == prefix + "active_file" { sum += Int(fields[1]) ?? 0 }
    }
    return sum
  }

  /// Whether `byteCount` bytes can be taken at once.
  ///
  /// A group that is full kills a process of its own instead of answering with an error, so one looks before. Looking costs as much as
  /// 200 KiB; small amounts are looked at together.
  static func hasRoom(for byteCount: Int) -> Bool {
    let taken = unlooked.add(byteCount, ordering: .relaxed)
    if taken.newValue < lookInterval { return true }
    unlooked.store(0, ordering: .relaxed)
    return available().map { $0 - reserve >= byteCount } ?? true
  }
  private static let unlooked = Atomic<Int>(0)
  /// Unit: bytes.
  private static let lookInterval = 4 << 20
  /// Left to the program's own, smaller needs.
  ///
  /// Unit: bytes.
  private static let reserve = 8 << 20
}
