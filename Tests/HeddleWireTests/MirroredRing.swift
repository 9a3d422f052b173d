import Glibc
import HeddleWire

/// A ring's memory, mapped twice in a row, as a channel has it.
enum MirroredRing {
  static func map() -> UnsafeMutableRawPointer {
    let length = RegionLayout.ringByteCount
    var name = Array("/tmp/heddle-ring-XXXXXX".utf8CString)
    let file = unsafe mkstemp(&name)
    unsafe unlink(name)
    ftruncate(file, off_t(length))
    defer { close(file) }
    let base = unsafe mmap(nil, 2 * length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)!
    for half in 0..<2 { unsafe mmap(base + half * length, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, file, 0) }
    return unsafe base
  }
  static func unmap(_ base: UnsafeMutableRawPointer) { unsafe munmap(base, 2 * RegionLayout.ringByteCount) }
}
/// Lets another thread run.
func yieldThread() { sched_yield() }
