import CHeddle
import HeddleSystem

/// Kills what jobs have put into groups or sessions of their own where this process is killed and its workers cannot do it.
///
/// A process of this same executable that sleeps until this one has gone, from the first worker on until the pool ends. For Python's workers:
/// the kernel kills them at that moment, so that none of their threads could look for what they have started. Only the supervisor has it.
final class FamilyGuard {
  private let child: ChildProcess
  /// Its end tells the guard that this process has gone.
  private let lifeline: Descriptor

  /// `NAME=value` for the environment of a pool's workers, by which all that they start is known.
  static var newWord: String { "HEDDLE_POOL_\(heddle_worker_depth())=\(Processes.uniqueWord)" }

  /// Starts the guard of the workers that have `word`.
  init(word: String) throws(SystemError) {
    let ends = try Descriptor.pipe()
    let recipe = WorkerRecipe.sameExecutable(.passedThrough)
    child = try ChildProcess(
      path: recipe.path, arguments: ["heddle-guard"], environment: recipe.environment + ["HEDDLE_GUARD=\(word)"],
      descriptors: [ends.first.number, -1, -1])
    lifeline = ends.second
    heddle_add_lifeline(lifeline.number)
  }
  /// All workers are buried: there is nothing left to look for.
  deinit {
    child.killGroup()
    _ = child.reap()
    heddle_remove_lifeline(lifeline.number)
  }
}
