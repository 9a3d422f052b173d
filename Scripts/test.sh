#!/usr/bin/env bash
# Passes the tests. Arguments go to `swift test`, for example `Scripts/test.sh --filter PoolState`.
set -euo pipefail
cd "$(dirname "$0")/.."
for tool in swift python3; do
  command -v $tool > /dev/null || { echo "test: $tool is needed and not on PATH" >&2; exit 2; }
done
echo "test: swift test $*"
exec swift test "$@"
