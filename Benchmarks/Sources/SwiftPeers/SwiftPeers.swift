import CGauges
import Dispatch
import Gauges
import NIOCore
import NIOPosix

/// What Swift programs use where they have no Heddle, and the plain C that no executor can go below, on the work that Measure names.
///
/// Figures are microseconds a job unless said otherwise.
@main
struct SwiftPeers {
  static func main() async {
    await CommandServer.serve { name, numbers in
      let count = numbers.first ?? 1
      switch name {
      case "taskgroup": return await taskGroup(count)
      case "task-single": return await detachedTasks(count)
      case "dispatch": return dispatch(count)
      case "dispatch-single": return dispatchRounds(count, quiet: 0)
      case "dispatch-quiet": return dispatchRounds(count, quiet: 10_000)
      case "perform": return perform(count)
      case "nio": return try nio(count)
      case "socket": return gauge_socket_rounds(Int32(count), 0) / 1e3
      case "socket-quiet": return gauge_socket_rounds(Int32(count), 10_000) / 1e3
      // Milliseconds.
      case "spawn": return gauge_spawn(Int32(count)) / 1e6
      // GB/s of so many MiB.
      case "copy": return gauge_copy(count << 20, 10)
      default: return nil
      }
    }
  }

  @inline(never) static func work(_ number: Int) -> Int { number &+ 1 }
  static func taskGroup(_ count: Int) async -> Double {
    await Stopwatch.nanoseconds {
      let sum = await withTaskGroup(of: Int.self) { group in
        for number in 0..<count { group.addTask { work(number) } }
        return await group.reduce(0, &+)
      }
      precondition(sum == count * (count + 1) / 2)
    } / Double(count) / 1e3
  }
  static func detachedTasks(_ count: Int) async -> Double {
    await Stopwatch.nanoseconds {
      for number in 0..<count { _ = await Task.detached { work(number) }.value }
    } / Double(count) / 1e3
  }
  /// Without results: Dispatch gives none.
  static func dispatch(_ count: Int) -> Double {
    let queue = DispatchQueue(label: "flood", attributes: .concurrent)
    let group = DispatchGroup()
    return Stopwatch.span {
      for number in 0..<count { queue.async(group: group) { _ = work(number) } }
      group.wait()
    } / Double(count) / 1e3
  }
  static func dispatchRounds(_ count: Int, quiet: UInt32) -> Double {
    let queue = DispatchQueue(label: "rounds", attributes: .concurrent)
    let done = DispatchSemaphore(value: 0)
    var times = (0..<count).map { number in
      if quiet > 0 { usleep(quiet) }
      return Stopwatch.span {
        queue.async {
          _ = work(number)
          done.signal()
        }
        done.wait()
      } / 1e3
    }
    return quiet > 0 ? gauge_median(&times, Int32(count)) : times.reduce(0, +) / Double(count)
  }
  static func perform(_ count: Int) -> Double {
    Stopwatch.span { DispatchQueue.concurrentPerform(iterations: count) { _ = work($0) } } / Double(count) / 1e3
  }
  /// With a future each.
  static func nio(_ count: Int) throws -> Double {
    let pool = NIOThreadPool(numberOfThreads: 2)
    pool.start()
    let loop = MultiThreadedEventLoopGroup.singleton.any()
    let time = try Stopwatch.span {
      let futures = (0..<count).map { number in pool.runIfActive(eventLoop: loop) { work(number) } }
      let values = try EventLoopFuture.whenAllSucceed(futures, on: loop).wait()
      precondition(values.count == count)
    }
    try pool.syncShutdownGracefully()
    return time / Double(count) / 1e3
  }
}
