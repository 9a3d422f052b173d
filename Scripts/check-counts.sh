#!/usr/bin/env bash
# Holds what a job costs, as counts that do not depend on how fast a machine is, to the limits of Benchmarks/limits.txt:
# allocations, wake-ups, system calls (strace) and instructions (valgrind) a job, and wake-ups when idle. Prints each count beside its limit.
#   Scripts/check-counts.sh [--self-test]     --self-test: jobs that do what none should; sees every limit exceeded
# What the machine cannot count is passed over by name. HEDDLE_COUNTS_BUILD: where it is built.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh
scratch=${HEDDLE_COUNTS_BUILD:-$PWD/.build/benchmarks}
worse=()
case ${1:-} in
  "") ;;
  --self-test) worse=(--worse) ;;
  *) echo "usage: Scripts/check-counts.sh [--self-test]" >&2; exit 2 ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
swift build -c release --package-path Benchmarks --scratch-path "$scratch" --product Counts > "$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
counts=$(swift build -c release --package-path Benchmarks --scratch-path "$scratch" --show-bin-path)/Counts

# Runs one kind of work under a counter with few jobs and with more, and prints the difference for each job of it.
#   difference NAME COUNTER FEW MORE WORK
difference() {
  local few more
  few=$("$2" "$5" "$3") && more=$("$2" "$5" "$4") || { echo "check-counts: $1 could not be counted" >&2; exit 1; }
  awk -v name="$1" -v few="$few" -v more="$more" -v jobs=$(($4 - $3)) 'BEGIN { printf "%s %.3f\n", name, (more - few) / jobs }' >> "$work/counts"
}
system_calls() {
  strace -f -c -o "$work/strace" "$counts" "$@" ${worse[@]+"${worse[@]}"} && awk '$NF == "total" { print $(NF == 5 ? 4 : NF - 2) }' "$work/strace"
}
instructions() {
  valgrind --tool=callgrind --callgrind-out-file=/dev/null --trace-children=no "$counts" "$@" ${worse[@]+"${worse[@]}"} > "$work/valgrind" 2>&1 \
    && awk '$2 == "Collected" { print $4 }' "$work/valgrind"
}

"$counts" ${worse[@]+"${worse[@]}"} > "$work/counts"
if strace -c -f -o /dev/null true 2> /dev/null; then
  difference system-calls.process-flood system_calls 2000 12000 process-flood
  difference system-calls.process-quiet system_calls 10 60 process-quiet
  difference system-calls.thread-flood system_calls 2000 12000 thread-flood
else
  echo "check-counts: passed over: system-calls.*: strace is missing or may not trace here" | tee -a "$work/skipped"
fi
if valgrind --tool=callgrind --callgrind-out-file=/dev/null true > /dev/null 2>&1; then
  difference instructions.inline instructions 1000 3000 inline
  difference instructions.process-submit instructions 1000 3000 process-submit
  difference instructions.thread-submit instructions 1000 3000 thread-submit
else
  echo "check-counts: passed over: instructions.*: valgrind is missing or does not run here" | tee -a "$work/skipped"
fi

python3 -B - Benchmarks/limits.txt "$work/counts" "${worse[*]:-}" << 'PYTHON'
import sys

limits, counts = (dict(line.split()[:2] for line in open(path) if line.strip() and not line.startswith("#")) for path in sys.argv[1:3])
is_self_test = sys.argv[3] == "--worse"
exceeded, within = [], []
for name, limit in limits.items():
    if name not in counts:
        # Only what needs a tool may be missing; that was said above.
        if not name.startswith(("system-calls.", "instructions.")):
            sys.exit("check-counts: %s has a limit and was not counted" % name)
        continue
    is_over = float(counts[name]) > float(limit)
    (exceeded if is_over else within).append(name)
    print("%-36s %12s   limit %8s%s" % (name, counts[name], limit, "   EXCEEDED" if is_over else ""))
unknown = sorted(set(counts) - set(limits))
if unknown:
    sys.exit("check-counts: without a limit in Benchmarks/limits.txt: " + ", ".join(unknown))
if is_self_test:
    if within:
        sys.exit("check-counts: a job that wastes is not seen by: " + ", ".join(within))
    print("check-counts: %d limits, each seen to be exceeded by jobs that waste" % len(exceeded))
elif exceeded:
    sys.exit("check-counts: more than a job may cost: %s. Mend that, or say in Benchmarks/limits.txt why it is worth it." % ", ".join(exceeded))
else:
    print("check-counts: all within their limits")
PYTHON
