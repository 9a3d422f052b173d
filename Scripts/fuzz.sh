#!/usr/bin/env bash
# Mutated frames through every reader of what another process wrote, and through a live supervisor:
#   Scripts/fuzz.sh [FRAMES] [address|-] [codec|marshal|ring|live]
# FRAMES each (default: 10,000,000), in an optimized build; with `address` in the AddressSanitizer; one reader, or all. HEDDLE_TEST_SEED repeats a
# run; HEDDLE_FUZZ_BUILT=1: it is built.
# HEDDLE_FUZZ_RECORD=FILE collects messages with outcomes that none before them had; what is worth it goes into Tests/HeddleWireTests/Corpus.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh
frames=${1:-10000000}
sanitizer=${2:-}
[ "$sanitizer" != - ] || sanitizer=
arguments=(-c release -Xswiftc -enable-testing --scratch-path "${HEDDLE_FUZZ_BUILD:-$PWD/.build/fuzz$sanitizer}")
[ -z "$sanitizer" ] || arguments+=(--sanitize "$sanitizer")
export HEDDLE_TEST_SEED=${HEDDLE_TEST_SEED:-$RANDOM$RANDOM} HEDDLE_FUZZ_FRAMES=$frames
# Memory that a worker asked for and was refused is an error of the worker's, not of the test's.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=0:allocator_may_return_null=1:quarantine_size_mb=64}
echo "fuzz: $frames frames for each reader, HEDDLE_TEST_SEED=$HEDDLE_TEST_SEED${sanitizer:+, $sanitizer sanitizer}"
[ -n "${HEDDLE_FUZZ_BUILT:-}" ] || swift build --build-tests "${arguments[@]}"
case ${3:-} in
  "") filters=('HeddleWireTests.*Codec against damaged' 'HeddlePythonTests.MarshalFuzzTests' 'HeddleTests.Core/Fuzz') ;;
  codec) filters=('HeddleWireTests.*Codec against damaged') ;;
  marshal) filters=('HeddlePythonTests.MarshalFuzzTests') ;;
  ring) filters=('HeddleTests.Core/Fuzz/.*whatever lies in a ring') ;;
  live) filters=('HeddleTests.Core/Fuzz/.*live supervisor') ;;
  *) echo "usage: Scripts/fuzz.sh [FRAMES] [address|-] [codec|marshal|ring|live]" >&2; exit 2 ;;
esac
for filter in "${filters[@]}"; do
  swift test --skip-build "${arguments[@]}" --filter "$filter"
done
