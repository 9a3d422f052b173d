import CHeddle

/// Where the kernel shows this process's control groups (cgroups, version 1 and 2).
enum ControlGroup {
  /// The folders of this process's group and of all above it, the nearest first.
  ///
  /// - Parameters:
  ///   - controller: `cpu`, `memory`, …
  ///   - read: answers with a file's text, or nil where there is none.
  /// - Returns: those of version 2, where one tree serves all controllers, and those of version 1, where the controller has its own.
  static func folders(of controller: String, read: (String) -> String?) -> (unified: [String], own: [String]) {
    var result: (unified: [String], own: [String]) = ([], [])
    let mounts = mounts(of: controller, in: read("/proc/self/mountinfo") ?? "")
    for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
      let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
      guard fields.count == 3 else { continue }
      if fields[0] == "0" && fields[1].isEmpty, let mount = mounts.unified {
        result.unified = mount.folders(of: String(fields[2]))
      } else if fields[1].split(separator: ",").contains(Substring(controller)), let mount = mounts.own {
        result.own = mount.folders(of: String(fields[2]))
      }
    }
    return result
  }

  private struct Mount {
    /// The cgroup that the mount shows at its top, and where it is mounted.
    var root: String
    var point: String
    /// The folders of a cgroup and of all above it, as far as the mount shows them.
    func folders(of path: String) -> [String] {
      var inside = path
      if root != "/", path.hasPrefix(root) { inside = String(path.dropFirst(root.count)) }
      var parts = inside.split(separator: "/")
      // In a container without a cgroup namespace the path may not exist under the mount: then its top is ours.
      var folders: [String] = []
      while true {
        folders.append(parts.isEmpty ? point : point + "/" + parts.joined(separator: "/"))
        if parts.isEmpty { return folders }
        parts.removeLast()
      }
    }
  }
  /// Lines like `36 35 0:30 /root /sys/fs/cgroup/cpu rw,relatime shared:9 - cgroup cgroup rw,cpu`.
  private static func mounts(of controller: String, in text: String) -> (unified: Mount?, own: Mount?) {
    var unified: Mount?
    var own: Mount?
    for line in text.split(separator: "\n") {
      let fields = line.split(separator: " ")
      guard let dash = fields.firstIndex(of: "-"), dash >= 6, fields.count > dash + 3 else { continue }
      let mount = Mount(root: String(fields[3]), point: String(fields[4]))
      switch fields[dash + 1] {
      case "cgroup2": unified = mount
      case "cgroup": if fields[dash + 3].split(separator: ",").contains(Substring(controller)) { own = mount }
      default: break
      }
    }
    return (unified, own)
  }
}

/// Files that are read at once, as those of /proc are.
enum SmallFile {
  /// nil: it cannot be opened.
  static func text(_ path: String) -> String? {
    let number = unsafe path.withCString { unsafe heddle_open_for_reading($0) }
    guard number >= 0 else { return nil }
    let descriptor = Descriptor(owning: number)
    var text: [UInt8] = []
    while case .bytes(let more) = descriptor.readAvailable(limit: 65536) { text += more }
    return String(decoding: text, as: UTF8.self)
  }
}
