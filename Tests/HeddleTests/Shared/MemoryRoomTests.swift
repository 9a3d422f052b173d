import HeddleSystem
import Testing

/// How much memory is left, on given facts.
@Suite struct MemoryRoomTests {
  private func room(_ machine: Int?, _ files: [String: String]) -> Int? { MemoryRoom.available(machine: machine, read: { files[$0] }) }

  @Test func `without groups it is the machine's`() {
    #expect(room(nil, [:]) == nil && room(500, [:]) == 500)
  }
  @Test func `the tightest group on the path counts, with the caches that it can drop`() {
    let files = [
      "/proc/self/mountinfo": "30 20 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw\n",
      "/proc/self/cgroup": "0::/a/b\n",
      "/sys/fs/cgroup/a/b/memory.max": "max\n", "/sys/fs/cgroup/a/b/memory.current": "100\n",
      "/sys/fs/cgroup/a/memory.max": "1000\n", "/sys/fs/cgroup/a/memory.current": "900\n",
      "/sys/fs/cgroup/a/memory.stat": "anon 500\ninactive_file 30\nactive_file 20\nshmem 300\n",
    ]
    #expect(room(5000, files) == 150 && room(120, files) == 120)
  }
  @Test func `a group of version 1 that is over its limit has nothing left, and one without a limit does not count`() {
    var files = [
      "/proc/self/mountinfo": "30 20 0:26 / /sys/fs/cgroup/memory rw shared:4 - cgroup cgroup rw,memory\n",
      "/proc/self/cgroup": "4:memory:/x\n",
      "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "1000\n", "/sys/fs/cgroup/memory/x/memory.usage_in_bytes": "1100\n",
      "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
      "/sys/fs/cgroup/memory/memory.usage_in_bytes": "50000\n",
    ]
    #expect(room(5000, files) == 0)
    files["/sys/fs/cgroup/memory/x/memory.stat"] = "total_inactive_file 400\n"
    #expect(room(5000, files) == 300)
  }
}
