#!/usr/bin/env bash
# Builds and runs Tests/Outside, a package that knows only Heddle's public interface, in the ways in which programs are linked.
#   Scripts/check-outside.sh [debug] [release] [stripped] [static-stdlib] [static] [test]      (default: all of them)
set -euo pipefail
cd "$(dirname "$0")/../Tests/Outside"
ways=("$@")
[ $# -gt 0 ] || ways=(debug release stripped static-stdlib static test)
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
    stripped)
      # What a strip leaves of a crash is module and address; the checks are told what not to expect.
      if ! command -v strip > /dev/null; then
        echo "--- outside: release, stripped: no strip is here; passed over"
      else
        echo "--- outside: release, stripped"
        swift build --product Outside --scratch-path "$scratch" -c release
        folder=$(swift build --show-bin-path --scratch-path "$scratch" -c release)
        strip -o "$folder/OutsideStripped" "$folder/Outside"
        HEDDLE_OUTSIDE_STRIPPED=1 "$folder/OutsideStripped"
      fi ;;
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
