#!/usr/bin/env bash
# Passes the tests in a sanitizer, each suite in a process of its own: Scripts/sanitize.sh address|thread [SUITE…]
# SUITE: part of a suite's name as `swift test list` has it; default: all of HeddleWireTests, HeddleTests and HeddlePythonTests.
# Goes on after a suite that fails; ends with 1 where one failed or a sanitizer reported anything. HEDDLE_SANITIZE_BUILD: where it is built;
# HEDDLE_SANITIZE_BUILT=1: it is. HEDDLE_SANITIZE_LOGS: a folder that keeps what each suite said. What cannot run there is passed over by name,
# with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh
kind=${1:-}
case $kind in address | thread) shift ;; *) echo "usage: Scripts/sanitize.sh address|thread [SUITE…]" >&2; exit 2 ;; esac
arguments=(--sanitize "$kind" --scratch-path "${HEDDLE_SANITIZE_BUILD:-$PWD/.build/$kind}")
logs=${HEDDLE_SANITIZE_LOGS:-$(mktemp -d)}
mkdir -p "$logs"
[ -n "${HEDDLE_SANITIZE_LOGS:-}" ] || trap 'rm -rf "$logs"' EXIT

# Workers that crash on purpose are to die of their signal, and not of the sanitizer's report of it.
signals=handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:handle_sigtrap=0
# Tests that take memory away leave that out: it would end the sanitizer.
export HEDDLE_TEST_SANITIZED=$kind
# Swift's runtime keeps metadata for ever, which counts as leaks.
export ASAN_OPTIONS=$signals:detect_leaks=0:allocator_may_return_null=1:use_sigaltstack=0
# By its default the thread sanitizer sleeps a second in every exit, a worker's too, so that tests of processes took forty times as long and were
# ended by their watchdog: slow, not stuck. The watchdog's own thread is never joined.
export TSAN_OPTIONS=$signals:report_signal_unsafe=0:atexit_sleep_ms=0:report_thread_leaks=0:suppressions=$PWD/Scripts/sanitize-thread.txt

# Name or part of one, and why it cannot run.
skips=(
  "DebugInformationTests|compares with tools that take minutes over a sanitized executable"
)
echo "sanitize: passed over: a job that overflows its stack: the sanitizer's own frames need more than the stack that is left"
echo "sanitize: passed over: HeddleCommandTests: they start the tool as a program of its own, whose workers are Python's"
skipping=()
for skip in "${skips[@]}"; do
  echo "sanitize: passed over: ${skip%%|*}: ${skip#*|}"
  skipping+=(--skip "${skip%%|*}")
done
[ -n "${HEDDLE_SANITIZE_BUILT:-}" ] || swift build --build-tests "${arguments[@]}" > "$logs/build.log" 2>&1 || {
  grep -E "error:" "$logs/build.log" || tail -n 20 "$logs/build.log"
  exit 1
} >&2

# A test is listed as TARGET.SUITE/SUITE/`name`(…); the last part is the test's own. The codec's are one process: they are fast.
listed=$(swift test list --skip-build "${arguments[@]}" 2> /dev/null)
suites=$(sed -nE -e 's#^(HeddleWireTests)\..*#\1#p' -e 's#^(Heddle(Python)?Tests\.[^/`]+(/[^/`]+)?)/.*#\1#p' <<< "$listed" | sort -u)
for skip in "${skips[@]}"; do suites=$(grep -v -- "${skip%%|*}" <<< "$suites"); done
[ $# -eq 0 ] || suites=$(for part in "$@"; do grep -F -- "$part" <<< "$suites" || true; done | sort -u)
[ -n "$suites" ] || { echo "sanitize: no suite is called so: $*" >&2; exit 2; }
failed=()
for suite in $suites; do
  log=$logs/${suite//\//.}.log
  begin=$SECONDS
  status=passed
  swift test --skip-build "${arguments[@]}" --filter "^${suite//./\\.}[./]" "${skipping[@]}" > "$log" 2>&1 || status=FAILED
  # A worker's report is in the log too: what it prints is passed through.
  if grep -qE "(ERROR|WARNING): (Address|Thread)Sanitizer|runtime error:" "$log"; then status=REPORTED; fi
  echo "sanitize: $kind: $suite: $status, $(grep -oE "Test run with [0-9]+ tests?" "$log" | tail -n 1 | grep -oE "[0-9]+ tests?" || echo "no test"), $((SECONDS - begin)) s"
  if [ $status != passed ]; then
    failed+=("$suite")
    grep -E -A 25 "(ERROR|WARNING): (Address|Thread)Sanitizer|✘|\*\*\*|[Ff]atal error" "$log" | head -n 120 || tail -n 40 "$log"
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "sanitize: $kind: not clean: ${failed[*]}" >&2
  exit 1
fi
echo "sanitize: $kind: clean"
