#!/usr/bin/env bash
# Measures what Heddle costs on this machine, as figures and ratios: Scripts/measure.sh [--json] [--jobs N] [--runs N]
# With --json the last two lines are JSON objects. Run it on a quiet machine.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh
scratch=$PWD/.build/benchmarks
log=$(mktemp)
trap 'rm -f "$log"' EXIT
echo "measure: building (release)" >&2
swift build -c release --product heddle > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
swift build -c release --product Measure --package-path Benchmarks --scratch-path "$scratch" > "$log" 2>&1 || { cat "$log" >&2; exit 1; }
json=""
for argument in "$@"; do [ "$argument" = --json ] && json=--json; done
python3 -B Benchmarks/python.py "$(swift build -c release --show-bin-path)/heddle" $json
"$(swift build -c release --package-path Benchmarks --scratch-path "$scratch" --show-bin-path)/Measure" "$@"
