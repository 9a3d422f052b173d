import HeddleSystem
import Testing

@testable import Heddle

/// Small pure parts.
@Suite struct PieceTests {
  @Test func `who looked in vain looks for less, and now and then for the whole time all the same`() {
    let budget = SpinBudget(limit: 1000, least: 100)
    #expect(budget.next() == 1000)
    for _ in 0..<10 { budget.looked(budget.next(), inVain: true) }
    let looks = (0..<64).map { _ in
      let pauses = budget.next()
      budget.looked(pauses, inVain: true)
      return pauses
    }
    #expect(looks.filter { $0 == 1000 }.count == 2 && looks.filter { $0 == 100 }.count == 62)
    budget.looked(100, inVain: false)
    #expect(budget.next() == 200)
    budget.looked(1000, inVain: false)
    #expect(budget.next() == 1000)
  }
  @Test func `a search that finds something earns the next ones time, which is spent once`() {
    let budget = SearchBudget()
    let usual = budget.limit
    for _ in 0..<10 { budget.searched(3, of: budget.limit) }
    #expect(budget.limit == usual + 200)
    // Found late: what it took over the usual is spent.
    budget.searched(usual + 150, of: budget.limit)
    #expect(budget.limit == usual + 70)
    budget.searched(budget.limit, of: budget.limit)
    #expect(budget.limit == usual)
    for _ in 0..<100_000 { budget.searched(0, of: budget.limit) }
    #expect(budget.limit == usual + 6000, "not without end")
    // Jobs that come later than the usual earn less than they take.
    for _ in 0..<1_000 { budget.searched(min(usual + 100, budget.limit), of: budget.limit) }
    #expect(budget.limit < usual + 100)
  }
  @Test func `that somebody gave way is told once`() {
    let budget = SpinBudget()
    #expect(!budget.takeGaveWay())
    for count in 0...40 { budget.pause(after: count, wasWoken: false, isAwaited: true) }
    #expect(budget.takeGaveWay() && !budget.takeGaveWay())
  }
  @Test func `a steady stream has its own rate, and a change shows within seconds`() {
    var rate = RateEstimate()
    for item in 1...300 { rate.itemsEnded(1, at: Double(item) * 0.1) }
    #expect(abs(rate.itemsPerSecond(at: 30, done: 300) - 10) < 0.6)
    #expect(rate.itemsPerSecond(at: 60, done: 300) < 1)
    for item in 1...200 { rate.itemsEnded(1, at: 30 + Double(item) * 0.05) }
    #expect(rate.itemsPerSecond(at: 40, done: 500) > 15)
    #expect(RateEstimate().itemsPerSecond(at: 5, done: 0) == 0)
    #expect(RateEstimate().itemsPerSecond(at: 0, done: 1) == 0)
  }
  @Test func `the exponential back-off doubles up to its limit, with a quarter of chance`() {
    let backoff = Backoff.exponential(from: .milliseconds(100), to: .seconds(1))
    #expect(
      (2...8).map { backoff.delay(beforeAttempt: $0, random: 1) } == [100, 200, 400, 800, 1000, 1000, 1000].map { .milliseconds($0) })
    #expect(backoff.delay(beforeAttempt: 2, random: 0) == .milliseconds(75))
    #expect(backoff.delay(beforeAttempt: 1_000_000, random: 1) == .seconds(1))
    #expect(Backoff.immediate.delay(beforeAttempt: 5, random: 0.5) == .zero)
    #expect(Backoff.exponential(from: .seconds(3600), to: .seconds(86400)).delay(beforeAttempt: 40, random: 1) == .seconds(86400))
  }
  @Test func `the tail of an output is its last whole lines`() {
    var tail = OutputTail()
    tail.append(Array("one\ntwo\n\n".utf8))
    #expect(tail.text == "one\ntwo")
    for number in 0..<5000 { tail.append(Array("line \(number)\n".utf8)) }
    #expect(tail.text.hasPrefix("line ") && tail.text.hasSuffix("line 4999") && tail.text.utf8.count <= 4096)
    var whole = OutputTail()
    whole.append(Array((0..<3000).map { "row \($0)\n" }.joined().utf8))
    #expect(whole.text.hasPrefix("row ") && whole.text.hasSuffix("row 2999"))
    var exact = OutputTail()
    exact.append(Array(repeating: UInt8(ascii: "x"), count: 4096))
    #expect(exact.text.count == 4096)
    exact.append(Array(repeating: UInt8(ascii: "y"), count: 9000))
    #expect(exact.text == String(repeating: "y", count: 4096), "one line that is too long is cut")
  }
  @Test func `actions of a timer run in order of their times, and those taken back do not`() async throws {
    let timer = DeadlineTimer()
    let ran = Locked<[Int]>([])
    let begin = MonotonicTime.now
    let spans = [50, 10, 30, 10, 20]
    let tickets = spans.enumerated().map { index, span in
      timer.schedule(at: begin + .milliseconds(span)) { ran.withLock { $0.append(index) } }
    }
    timer.cancel(tickets[2])
    try await eventually("four actions") { ran.withLock { $0.count >= 4 } }
    timer.stop()
    #expect(ran.withLock { $0 } == [1, 3, 4, 0])
    #expect(MonotonicTime.now - begin >= .milliseconds(50))
    _ = timer.schedule(at: .now) { ran.withLock { $0.append(9) } }
    timer.stop()
    #expect(ran.withLock { $0.count } == 4)
  }
  @Test func `an action of a timer may stop it`() async throws {
    let timer = DeadlineTimer()
    let done = Flag()
    _ = timer.schedule(at: .now) {
      timer.stop()
      done.raise()
    }
    try await eventually("the action") { done.isUp }
  }
}
