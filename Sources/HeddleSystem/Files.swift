import CHeddle
import Glibc

/// Questions about files by their names.
package enum Files {
  /// Whether something has that name.
  package static func exists(_ path: String) -> Bool { unsafe access(path, F_OK) == 0 }
  /// Whether it is a file that this process may start.
  package static func isExecutable(_ path: String) -> Bool {
    var information = stat()
    return unsafe stat(path, &information) == 0 && information.st_mode & S_IFMT == S_IFREG && access(path, X_OK) == 0
  }
}
