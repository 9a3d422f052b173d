import HeddleSystem

/// Ctrl-C and its kin, as news for the run: the first asks it to end, the second ends the process at once.
struct Interruption: Sendable {
  private final class Handler: Sendable {
    let action = Locked<(@Sendable () -> Void)?>(nil)
  }
  private let handler = Handler()

  /// Starts to listen.
  ///
  /// Until `onFirst` is called a signal ends the process at once: nothing is running yet.
  init() throws {
    let thread = try OSThread(name: "heddle-signals") { [handler] in
      var isAsked = false
      while true {
        _ = EndSignals.next()
        guard let action = handler.action.withLock({ $0 }), !isAsked else { exitAtOnce(ExitStatus.interrupted.rawValue) }
        isAsked = true
        action()
      }
    }
    thread.detach()
  }
  /// What the first signal does.
  func onFirst(_ action: @escaping @Sendable () -> Void) { handler.action.withLock { $0 = action } }
}
