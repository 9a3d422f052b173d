#!/usr/bin/env bash
# Builds the tool and runs its main job on real input: every file of Python's standard library, on threads and on processes.
# The function computes, so threads share one core (the GIL) and processes use all. Results are compared with a plain loop.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh

echo "demo: building the tool (swift build -c release --product heddle), which takes some minutes the first time"
log=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$work" "$log"' EXIT
swift build -c release --product heddle > "$log" 2>&1 || { cat "$log"; exit 1; }
heddle=$(swift build -c release --show-bin-path)/heddle

python3 -B - > "$work/files.txt" << 'PYTHON'
import pathlib, sysconfig
library = pathlib.Path(sysconfig.get_path("stdlib"))
for path in sorted(library.rglob("*.py")):
    if "site-packages" not in path.parts:
        print(path)
PYTHON
workers=$(python3 -c 'import os; print(max(2, len(os.sched_getaffinity(0))))')
echo "demo: $(wc -l < "$work/files.txt") files, $workers workers, $(python3 --version)"

cp Examples/StandardLibrary/branches.py "$work"
for place in threads processes; do
  set -- map branches.py:measure --inputs files.txt --on $place --workers "$workers" --keep-order --output $place.jsonl
  echo
  echo "\$ heddle $*"
  (cd "$work" && "$heddle" "$@")
done
echo
echo "demo: the same in a plain loop, and a comparison of every result"
python3 -B Examples/StandardLibrary/compare.py "$work/files.txt" "$work/threads.jsonl" "$work/processes.jsonl"
head -n 1 "$work/processes.jsonl"
