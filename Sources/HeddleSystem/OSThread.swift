import CHeddle

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// A thread of the operating system; joined exactly once by its owner.
public struct OSThread: Sendable {
  private let handle: pthread_t

  private final class Start {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Starts a thread with every signal blocked: the host's handlers run on the host's threads.
  ///
  /// Those that a thread raises itself by a fault stay open, or the host's crash reporter would not see a fault on this thread.
  ///
  /// - Parameter takesSignals: the thread takes signals like a program's own; for one whose process is its own.
  /// - Throws: `SystemError` where the process may have no more threads.
  public init(name: String, stackSize: Int? = nil, takesSignals: Bool = false, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    if let stackSize { unsafe pthread_attr_setstacksize(&attributes, stackSize) }
    var all = sigset_t()
    var before = sigset_t()
    if takesSignals { unsafe sigemptyset(&all) } else { unsafe sigfillset(&all) }
    for fault in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS] { unsafe sigdelset(&all, fault) }
    unsafe pthread_sigmask(SIG_SETMASK, &all, &before)
    defer { unsafe pthread_sigmask(SIG_SETMASK, &before, nil) }
    let start = unsafe Unmanaged.passRetained(
      Start {
        unsafe heddle_name_this_thread(name)
        body()
      })
    var thread = pthread_t()
    let code = unsafe pthread_create(
      &thread, &attributes,
      { argument in
        unsafe Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      unsafe start.release()
      throw SystemError("start a thread", code: code)
    }
    handle = thread
  }
  /// Waits until the thread has ended.
  ///
  /// Blocks.
  public func join() { pthread_join(handle, nil) }
  /// Gives up the right to join: the thread's memory goes when it ends.
  public func detach() { pthread_detach(handle) }
  /// Whether the caller runs on this thread.
  public var isCurrent: Bool { pthread_equal(handle, pthread_self()) != 0 }
}

/// A call of the operating system that failed: what was tried, and `errno`.
public struct SystemError: Error, CustomStringConvertible, Sendable {
  /// What was tried, as in "could not …".
  public let action: String
  /// An `errno`.
  public let code: Int32
  /// An error with that code.
  public init(_ action: String, code: Int32) {
    self.action = action
    self.code = code
  }
  /// With the code that the last call of the operating system left on this thread.
  public init(_ action: String) { self.init(action, code: errno) }
  /// What was tried and why it failed.
  public var description: String { "could not \(action): \(unsafe String(cString: strerror(code)))" }
}
