import CHeddle
import Glibc

/// Questions about the terminal that a descriptor may be.
public enum Terminal {
  /// Whether the descriptor is a terminal.
  public static func isTerminal(_ descriptor: Int32) -> Bool { isatty(descriptor) != 0 }
  /// The terminal's width.
  ///
  /// Unit: columns; 80 where it does not say.
  public static func width(_ descriptor: Int32) -> Int {
    var size = winsize()
    guard unsafe ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }
}

/// The signals that ask a program to end.
///
/// For programs, not for libraries: they change how the whole process is asked.
public enum EndSignals {
  /// Keeps them from ending the process: from now on they wait for `next`.
  ///
  /// To be called before any thread is started. One that was ignored from the start stays so: `nohup` is to be survived.
  ///
  /// SIGPIPE is ignored too, so that a reader that went away is an error of `write`.
  public static func take() {
    var signals = all
    unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    signal(SIGPIPE, SIG_IGN)
  }
  /// The next of them.
  ///
  /// Blocks until it comes.
  public static func next() -> Int32 {
    var signals = all
    var number: Int32 = 0
    // Where all are ignored it waits for ever, and is not to spin.
    while unsafe sigwait(&signals, &number) != 0 { usleep(100_000) }
    return number
  }
  private static var all: sigset_t {
    var signals = sigset_t()
    unsafe sigemptyset(&signals)
    for number in [SIGINT, SIGTERM, SIGHUP] where heddle_ignores_signal(number) == 0 { unsafe sigaddset(&signals, number) }
    return signals
  }
}

/// Ends this process at once: no `atexit`, no destructors.
public func exitAtOnce(_ status: Int32) -> Never { _exit(status) }
