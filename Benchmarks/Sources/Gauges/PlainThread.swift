import Glibc

/// A thread that neither the language's pool nor Dispatch knows of.
///
/// Who blocks one of theirs makes Dispatch look after it once a second, which would count as Heddle's when wake-ups are counted.
public enum PlainThread {
  private final class Work: Sendable {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  /// Runs `body` on such a thread; the caller is suspended, and blocks nothing.
  public static func run<Result: Sendable>(_ body: @escaping @Sendable () -> Result) async -> Result {
    await withCheckedContinuation { continuation in
      let work = Unmanaged.passRetained(Work { continuation.resume(returning: body()) })
      var thread = pthread_t()
      let error = pthread_create(
        &thread, nil,
        { pointer in
          pointer.map { Unmanaged<Work>.fromOpaque($0).takeRetainedValue().body() }
          return nil
        }, work.toOpaque())
      precondition(error == 0, "no thread")
      pthread_detach(thread)
    }
  }
}
