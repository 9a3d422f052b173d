#!/usr/bin/env bash
# Prints what Heddle must reach and what it reaches on this machine, beside the peers that the machine has:
#   Scripts/measure.sh [--json] [--only ROW[,ROW]] [--runs N] [--quick] [--list]
# Every row: minimum, median and maximum of N runs (5), in each of which Heddle and its peers take turns, and a verdict. --quick: one run, a
# tenth of the work. Run it on a quiet machine; all rows take some minutes. Peers: those of Swift and C always; Python, Java, rayon where found.
# The page: Scripts/measure.sh --json > result.json && Benchmarks/page.py result.json
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh
scratch=${HEDDLE_MEASURE_BUILD:-$PWD/.build/benchmarks}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "measure: building (release)" >&2
build() { swift build -c release --package-path Benchmarks --scratch-path "$scratch" "$@"; }
for product in Measure StaticStart SwiftPeers PythonCalls; do
  build --product $product > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
done
Benchmarks/Peers/build.sh "$scratch/peers"
# The interpreter itself: what is on the path may be a script that looks for it at each start.
MEASURE_PYTHON=$(python3 -c 'import sys; print(sys.executable)')
export MEASURE_PYTHON
"$(build --show-bin-path)/Measure" --peers "$PWD/Benchmarks/Peers" "$scratch/peers" "$@"
