#!/usr/bin/env bash
# Passes the tests in a sanitizer: Scripts/sanitize.sh address|thread [SUITE…]
# What cannot run there is passed over by name, with the reason.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh
kind=${1:-}
case $kind in address | thread) shift ;; *) echo "usage: Scripts/sanitize.sh address|thread [SUITE…]" >&2; exit 2 ;; esac
scratch=${HEDDLE_SANITIZE_BUILD:-$PWD/.build/$kind}

# Workers that crash on purpose are to die of their signal, and not of the sanitizer's report of it.
signals=handle_segv=0:handle_sigbus=0:handle_abort=0:handle_sigill=0:handle_sigfpe=0:handle_sigtrap=0
# Tests that take memory away leave that out: it would end the sanitizer.
export HEDDLE_TEST_SANITIZED=1
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
arguments=()
for skip in "${skips[@]}"; do
  echo "sanitize: passed over: ${skip%%|*}: ${skip#*|}"
  arguments+=(--skip "${skip%%|*}")
done
swift build --build-tests --sanitize "$kind" --scratch-path "$scratch"
suites=("$@")
[ $# -gt 0 ] || suites=('^HeddleWireTests\.' '^HeddleTests\.' '^HeddlePythonTests\.')
for suite in "${suites[@]}"; do
  echo "sanitize: $kind: $suite"
  swift test --skip-build --sanitize "$kind" --scratch-path "$scratch" --filter "$suite" "${arguments[@]}"
done
