import Gauges
import PoolStarts

/// Starts pools in a program that has the Swift runtime inside, as `--static-swift-stdlib` links one for a server.
///
/// Figures are milliseconds.
@main
struct StaticStart {
  static func main() async {
    await CommandServer.serve { name, numbers in
      let rounds = numbers.first ?? 1
      switch name {
      case "first": return try await PoolStarts.firstResult(rounds)
      case "further": return try await PoolStarts.furtherWorker(rounds)
      default: return nil
      }
    }
  }
}
