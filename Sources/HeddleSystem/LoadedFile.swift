import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A file that this process has loaded as code.
public enum LoadedFile {
  /// Opens the executable or a library of this process by its path; nil: no file of that path, and just that file, is loaded here.
  ///
  /// So a path that another process wrote opens nothing that this process would not open itself.
  public static func open(_ path: String) -> MappedFile? {
    if path == executable { return try? MappedFile(path: unsafe String(cString: heddle_executable_path())) }
    guard let inode = inode(of: path) else { return nil }
    var information = stat()
    guard unsafe stat(path, &information) == 0, UInt64(information.st_ino) == inode else { return nil }
    return try? MappedFile(path: path)
  }
  /// What the kernel calls this process's executable.
  public static var executable: String {
    let path = unsafe [UInt8](unsafeUninitializedCapacity: 4096) { buffer, count in
      let target = unsafe UnsafeMutableRawPointer(buffer.baseAddress!).assumingMemoryBound(to: CChar.self)
      count = max(0, unsafe readlink(heddle_executable_path(), target, 4096))
    }
    return String(decoding: path, as: UTF8.self)
  }
  /// The number of the file that is mapped here under that path.
  private static func inode(of path: String) -> UInt64? {
    for line in (Processors.readFile("/proc/self/maps") ?? "").split(separator: "\n") {
      let fields = line.split(separator: " ", maxSplits: 5, omittingEmptySubsequences: true)
      if fields.count == 6, fields[1].contains("x"), fields[5].drop(while: { $0 == " " }) == path { return UInt64(fields[4]) }
    }
    return nil
  }
}

/// Names of functions as the linker knows them.
public enum SymbolName {
  /// What a Swift symbol stands for; the name itself where it is none.
  public static func demangled(_ name: String) -> String {
    guard name.hasPrefix("$s") || name.hasPrefix("$S") || name.hasPrefix("_T"), let text = unsafe heddle_demangle(name) else { return name }
    defer { unsafe free(text) }
    return unsafe String(cString: text)
  }
}
