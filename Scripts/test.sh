#!/usr/bin/env bash
# Passes the tests. Arguments go to `swift test`, for example `Scripts/test.sh --filter PoolState`.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh
if [ $# -gt 0 ]; then
  echo "test: swift test $*"
  exec swift test "$@"
fi
# One target after another: each in a process of its own, because the core's tests count what is left behind after each of them, and
# would count the workers of others.
swift build --build-tests
for target in HeddleWireTests HeddleTests HeddlePythonTests HeddleCommandTests; do
  echo "test: swift test --skip-build --filter $target"
  swift test --skip-build --filter "^$target\\."
done
