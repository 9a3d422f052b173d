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
# valgrind 3.19 gives up at debug information that it does not know.
strip --strip-debug -o "$work/Counts" "$counts" 2> /dev/null || cp "$counts" "$work/Counts"

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
  valgrind --tool=callgrind --callgrind-out-file=/dev/null --trace-children=no "$work/Counts" "$@" ${worse[@]+"${worse[@]}"} > "$work/valgrind" 2>&1 \
    && awk '$2 == "Collected" { print $4 }' "$work/valgrind"
}

count_all() {
  "$counts" ${worse[@]+"${worse[@]}"} >> "$work/counts"
  if [ -n "$traces" ]; then
    difference system-calls.process-flood system_calls 2000 "$many" process-flood
    difference system-calls.process-quiet system_calls 10 60 process-quiet
  fi
  if [ -n "$simulates" ]; then
    # What submit costs on processes cannot be counted: valgrind knows no pidfd_open, without which no worker starts.
    difference instructions.inline instructions 300 800 inline
    difference instructions.thread-submit instructions 1000 3000 thread-submit
  fi
}
cat > "$work/compare.py" << 'PYTHON'
import sys

limits = dict(line.split() for line in open(sys.argv[1]) if line.strip() and not line.startswith("#"))
counts = {}
for name, count in (line.split() for line in open(sys.argv[2])):
    counts[name] = min(float(count), counts.get(name, float("inf")))
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
    print("%-36s %12.3f   limit %8s%s" % (name, counts[name], limit, "   EXCEEDED" if is_over else ""))
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
traces="" simulates=""
# Jobs that waste take longer.
[ ${#worse[@]} = 0 ] && many=12000 || many=3000
if strace -c -f -o /dev/null true 2> /dev/null; then traces=yes; else
  echo "check-counts: passed over: system-calls.*: strace is missing or may not trace here"
fi
if valgrind --tool=callgrind --callgrind-out-file=/dev/null true > /dev/null 2>&1; then simulates=yes; else
  echo "check-counts: passed over: instructions.*: valgrind is missing or does not run here"
fi
# Wake-ups depend a little on what else the machine does, so what is exceeded is counted again; what costs more does so each time.
for try in 1 2 3; do
  count_all
  python3 -B "$work/compare.py" Benchmarks/limits.txt "$work/counts" "${worse[*]:-}" && exit 0
  [ ${#worse[@]} = 0 ] || exit 1
  [ $try = 3 ] || echo "check-counts: once more, of which the least counts"
done
exit 1
