#!/usr/bin/env bash
# Everything at once on one process pool after another, while their workers are killed at random: Scripts/soak.sh [SECONDS] [SEED]
# (default: 60 s). Ends with 1 where a job is lost, runs twice, or something is left behind. HEDDLE_SOAK_BUILD: where it is built.
set -euo pipefail
cd "$(dirname "$0")/.."
scratch=${HEDDLE_SOAK_BUILD:-$PWD/.build/benchmarks}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "soak: building (release)" >&2
swift build -c release --package-path Benchmarks --scratch-path "$scratch" --product Soak > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
# What workers print as they trap is no news here.
"$(swift build -c release --package-path Benchmarks --scratch-path "$scratch" --show-bin-path)/Soak" "$@" 2> "$log" || {
  status=$?
  # What went wrong stands before the trace of who says so.
  grep -a "Error raised at top level" "$log" >&2 || tail -n 40 "$log" >&2
  exit $status
}
