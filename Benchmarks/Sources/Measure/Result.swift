import Gauges

/// A row with the figures of its runs, and the verdict.
struct RowResult {
  struct Series {
    var name: String
    var unit: String
    var runs: [Double]
    var spread: Spread { Spread(runs) }
  }
  struct Verdict {
    var criterion: Criterion
    /// Of each run; empty: a peer is missing.
    var runs: [Double]
    var median: Double? { runs.isEmpty ? nil : Spread(runs).median }
    var isReached: Bool? { median.map { criterion.isReached(by: $0) } }
  }
  let name: String
  let work: String
  let must: String
  let series: [Series]
  let absent: [String]
  let verdicts: [Verdict]
  /// Why there are no figures.
  let failure: String?

  init(_ row: any Row.Type, _ samples: [Sample], failure: String? = nil) {
    name = row.name
    work = row.work
    must = row.must
    self.failure = failure
    absent = samples.first?.absent ?? []
    series = (samples.first?.figures ?? []).map { figure in
      Series(name: figure.name, unit: figure.unit, runs: samples.compactMap { $0[figure.name] })
    }
    verdicts = row.criteria.map { criterion in Verdict(criterion: criterion, runs: samples.compactMap { criterion.value($0) }) }
  }
  /// All that could be judged was reached; nil: nothing could be.
  var isReached: Bool? {
    let judged = verdicts.compactMap { $0.isReached }
    return judged.isEmpty ? nil : judged.allSatisfy { $0 }
  }
}
