import HeddleSystem
import Synchronization
import Testing

@testable import HeddleCommand

struct AutoTests {
  private func outcome(computed: Double, elapsed: Double) -> CallOutcome {
    CallOutcome(ending: .returned([]), seconds: elapsed, attempts: 1, processorTime: .seconds(computed))
  }

  @Test(
    arguments: [
      ([(0.01, 0.1), (0.01, 0.1)], nil), ([(0.01, 0.1), (0.01, 0.1), (0.01, 0.1)], .threads),
      ([(0.09, 0.1), (0.09, 0.1), (0.09, 0.1)], .processes), ([(0.1, 2)], .threads), ([(1.9, 2)], .processes),
      ([(0, 0), (0, 0), (0, 0)], .processes),
    ] as [([(Double, Double)], Placement?)])
  func `what waits goes to threads, once enough was seen`(calls: [(Double, Double)], verdict: Placement?) {
    var sample = AutoRunner.Sample()
    for (computed, elapsed) in calls { sample.add(outcome(computed: computed, elapsed: elapsed)) }
    #expect(sample.verdict == verdict)
  }
  @Test func `what takes its worker along stays in processes`() {
    var sample = AutoRunner.Sample()
    for _ in 0..<2 { sample.add(outcome(computed: 0, elapsed: 0.4)) }
    sample.add(CallOutcome(ending: .failed(code: "workerDied", message: "", exit: "SIGSEGV"), seconds: 0, attempts: 1))
    #expect(sample.verdict == .processes)
  }
}
