#!/usr/bin/env bash
# Builds and runs Tests/Outside, a package that knows only Heddle's public interface, in the ways in which programs are linked.
#   Scripts/check-outside.sh [debug] [release] [static-stdlib] [static] [test]      (default: all of them)
set -euo pipefail
cd "$(dirname "$0")/../Tests/Outside"
ways=("$@")
[ $# -gt 0 ] || ways=(debug release static-stdlib static test)
scratch="${HEDDLE_OUTSIDE_BUILD:-$PWD/.build}"

build_and_run() { # name, then swift build's arguments
  local name=$1
  shift
  echo "--- outside: $name"
  swift build --product Outside "$@"
  "$(swift build --show-bin-path "$@")/Outside"
}

for way in "${ways[@]}"; do
  case $way in
    debug) build_and_run "debug" --scratch-path "$scratch" ;;
    release) build_and_run "release" --scratch-path "$scratch" -c release ;;
    static-stdlib) build_and_run "release, --static-swift-stdlib" --scratch-path "$scratch-static-stdlib" -c release --static-swift-stdlib ;;
    static)
      if ! [ -e "$(dirname "$(readlink -f "$(command -v swiftc)")")/../lib/swift_static/linux/static-executable-args.lnk" ]; then
        echo "--- outside: static executable: this toolchain has no static-executable-args.lnk, so it cannot link one; passed over"
      else
        build_and_run "release, static executable" --scratch-path "$scratch-static" -c release --static-swift-stdlib -Xswiftc -static-executable
      fi ;;
    test)
      echo "--- outside: swift test"
      swift test --scratch-path "$scratch" ;;
    *) echo "unknown: $way" >&2; exit 2 ;;
  esac
done
echo "outside: ${ways[*]}: all as documented"
