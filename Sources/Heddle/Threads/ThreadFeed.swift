// SAFETY: only the thread's task touches it.
/// Hands a thread's jobs of one type to that type, one after the other.
///
/// Public for ``Job``'s own `_serve`, and for nothing else.
@safe public final class _ThreadFeed: @unchecked Sendable {
  private let thread: WorkerThread
  /// The future whose job this thread has started, or is to start.
  @exclusivity(unchecked) private var claimed: AnyFuture?
  @exclusivity(unchecked) private var hasBegun = false
  private enum End {
    /// The queue has no more for the thread, which it does not count any more.
    case left
    /// The job that ended last was told to stop: this task is cancelled, and another must take over.
    case told
  }
  @exclusivity(unchecked) private var end: End?

  init(_ thread: WorkerThread) { self.thread = thread }
  /// Whether another task must take over.
  var wasTold: Bool { unsafe end == .told }

  /// What runs the next job: that of the future that was claimed and not begun, or after the end of the last of another one.
  ///
  /// Blocks. nil: the thread is to leave, or the task. The future itself stays here: who asks serves many, and would keep the first.
  func advance() -> WorkKind? {
    if unsafe hasBegun, let last = unsafe claimed {
      unsafe hasBegun = false
      unsafe claimed = nil
      thread.giveUp(last)
      if last.wasTold { unsafe end = .told }
    }
    if unsafe end != nil { return nil }
    if unsafe claimed == nil {
      unsafe claimed = thread.claim()
      if unsafe claimed == nil { unsafe end = .left }
    }
    return unsafe claimed?.kind
  }
  /// The future whose job begins now: the one that `advance` told of.
  func begin() -> AnyFuture {
    unsafe hasBegun = true
    return unsafe claimed!
  }

  /// The future of the next job; nil: the next is of another type.
  ///
  /// Blocks until there is one. Called again, it says that the job before has ended.
  @inlinable public func next<J: Job>(_: J.Type) -> Future<J.Output>? {
    guard let future = next(ObjectIdentifier(J.self)) else { return nil }
    // SAFETY: who makes the future of a job says its type.
    return unsafe unsafeDowncast(future, to: Future<J.Output>.self)
  }
  @usableFromInline func next(_ type: ObjectIdentifier) -> AnyFuture? {
    guard case .job(let job)? = advance(), ObjectIdentifier(job) == type else { return nil }
    return begin()
  }
}

extension Job {
  /// Runs a thread's jobs of this type, as long as such come; the thread calls it, nobody else.
  ///
  /// Compiled into the module that declares the type, as its twin for worker processes is, and for the same reason. Short jobs of one type
  /// need neither an asynchronous call nor memory of their own.
  @inlinable @concurrent public static func _serve(_ feed: _ThreadFeed) async {
    while let future = feed.next(Self.self) {
      do {
        let output = try await future._takeJob(Self.self).run()
        future._finish(output)
      } catch { future._finish(throwing: error) }
    }
  }
}
