import HeddleSystem
import Testing

@testable import Heddle

/// What the kernel's files say in one environment, and how many processors that grants.
struct Machine: Sendable, CustomTestStringConvertible {
  var name: String
  var affinity = 8
  var online = 16
  var files: [String: String] = [:]
  var processors: Int
  var testDescription: String { name }

  private static let unified = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
  private static let divided = """
    31 24 0:27 / /sys/fs/cgroup/memory rw shared:5 - cgroup cgroup rw,memory
    32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw shared:6 - cgroup cgroup rw,cpu,cpuacct

    """
  /// Version 2, and a quota of the group that the process is in.
  private static func quota(_ name: String, _ quota: String, processors: Int) -> Machine {
    Machine(
      name: name, files: ["/proc/self/mountinfo": unified, "/proc/self/cgroup": "0::/user\n", "/sys/fs/cgroup/user/cpu.max": quota + "\n"],
      processors: processors)
  }
  static let all = [
    Machine(name: "no cgroups", processors: 8),
    Machine(name: "no affinity either", affinity: 0, processors: 16),
    Machine(name: "nothing at all", affinity: 0, online: -1, processors: 1),
    quota("version 2 without limit", "max 100000", processors: 8),
    quota("version 2, two processors", "200000 100000", processors: 2),
    quota("version 2, one and a half are two", "150000 100000", processors: 2),
    quota("version 2, a tenth is one", "10000 100000", processors: 1),
    quota("version 2, more than the affinity", "6400000 100000", processors: 8),
    Machine(
      name: "version 2, the tightest is an ancestor",
      files: [
        "/proc/self/mountinfo": unified, "/proc/self/cgroup": "0::/a/b/c\n", "/sys/fs/cgroup/a/b/c/cpu.max": "max 100000",
        "/sys/fs/cgroup/a/b/cpu.max": "500000 100000", "/sys/fs/cgroup/a/cpu.max": "300000 100000",
      ], processors: 3),
    Machine(
      name: "version 2 in a container with a namespace",
      files: ["/proc/self/mountinfo": unified, "/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": "400000 100000\n"], processors: 4),
    Machine(
      name: "version 2 in a container without a namespace: the path is not under the mount",
      files: [
        "/proc/self/mountinfo": "30 24 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/proc/self/cgroup": "0::/docker/abc\n",
        "/sys/fs/cgroup/cpu.max": "200000 100000\n",
      ], processors: 2),
    Machine(
      name: "version 1 without limit",
      files: [
        "/proc/self/mountinfo": divided, "/proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n",
        "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "-1\n",
        "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
      ], processors: 8),
    Machine(
      name: "version 1, three processors",
      files: [
        "/proc/self/mountinfo": divided, "/proc/self/cgroup": "4:memory:/x\n3:cpu,cpuacct:/x\n",
        "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_quota_us": "300000\n",
        "/sys/fs/cgroup/cpu,cpuacct/x/cpu.cfs_period_us": "100000\n",
      ], processors: 3),
    Machine(
      name: "version 1 in a container: its own cgroup is the mount's top",
      files: [
        "/proc/self/mountinfo": "32 24 0:28 /docker/abc /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu\n",
        "/proc/self/cgroup": "3:cpu:/docker/abc\n",
        "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "50000\n", "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "50000\n",
      ], processors: 1),
    Machine(
      name: "files of nonsense",
      files: [
        "/proc/self/mountinfo": "x\n- - - -\n" + unified, "/proc/self/cgroup": "0\n::\n0::/u\n", "/sys/fs/cgroup/u/cpu.max": "-5 zero",
      ], processors: 8),
  ]
}

@Suite struct ProcessorsTests {
  @Test(arguments: Machine.all) func `the number of processors is what affinity and cgroups grant`(machine: Machine) {
    #expect(Processors.available(affinity: machine.affinity, online: machine.online) { machine.files[$0] } == machine.processors)
  }
  @Test func `this machine grants at least one, and it is the default everywhere`() async {
    #expect(Parallelism.available >= 1)
    let pool = ThreadPoolExecutor()
    #expect(pool.maxWorkers == Parallelism.available)
    await pool.shutdown()
  }
}
