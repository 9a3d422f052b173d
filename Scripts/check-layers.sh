#!/usr/bin/env bash
# Holds the sources to the rules of README.md ("How it is built"). Prints every violation and ends with 1 if there is one.
#   Scripts/check-layers.sh [FOLDER]     FOLDER: the package's root; default: this one. `--self-test` sees every rule fail.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --self-test ]; then
  # Each line: a file of a small package that breaks one rule.
  script=$PWD/Scripts/check-layers.sh
  count=0
  while IFS='|' read -r file text; do
    folder=$(mktemp -d)
    mkdir -p "$folder/$(dirname "$file")"
    if [ "$text" = LONG ]; then yes "// a line" | head -n 601 > "$folder/$file" || true; else printf '%s\n' "${text//\"\"/}" > "$folder/$file"; fi
    if "$script" "$folder" > /dev/null 2>&1; then
      echo "check-layers: not seen: $text in $file"
      exit 1
    fi
    rm -rf "$folder"
    count=$((count + 1))
  done << 'CASES'
Sources/Heddle/A.swift|import HeddlePython
Sources/HeddleWire/A.swift|public import HeddleSystem
Sources/HeddleSystem/A.swift|@testable import Heddle
Sources/HeddlePython/A.swift|import HeddleCommand
Sources/Heddle/A.swift|import Glibc
Sources/HeddleCommand/A.swift|import Darwin
Sources/Heddle/A.swift|import Foundation
Sources/HeddleWire/A.swift|import struct Foundation.Data
Sources/HeddleSystem/A.swift|import Dispatch
Sources/Heddle/A.c|#include <unistd.h>
Sources/HeddleSystem/A.h|#include <stdlib.h>
Sources/Heddle/A.swift|final class A: @unchecked Sendable {}
Sources/Heddle/A.swift|nonisolated(unsafe) var a = 0
Sources/Heddle/A.swift|// TO""DO: later
Sources/Heddle/A.swift|// FIX""ME later
Sources/Heddle/A.swift|// not imple""mented
Sources/Heddle/A.swift|LONG
Sources/Surprise/A.swift|let a = 1
CASES
  echo "check-layers: $count violations, each seen"
  exit 0
fi

cd "${1:-.}"
exec python3 -B - << 'PYTHON'
import pathlib
import re
import sys

# What a target may import of ours; of all else only what is listed.
BELOW = {
    "CHeddle": set(),
    "HeddleSystem": {"CHeddle"},
    "HeddleWire": {"CHeddle"},
    "Heddle": {"CHeddle", "HeddleSystem", "HeddleWire"},
    "HeddleTimeline": {"Heddle"},
    # Date, Data, URL and Decimal have forms of their own in Python; the core has no Foundation.
    "HeddlePython": {"Heddle", "HeddleSystem", "HeddleWire", "FoundationEssentials"},
    "HeddleCommand": {"Heddle", "HeddleSystem", "HeddlePython", "HeddleTimeline", "ArgumentParser", "Subprocess", "SystemPackage",
                      "GRDB", "Configuration"},
}
LIBC = {"Glibc", "Darwin", "Musl"}
EVERYWHERE = {"Synchronization", "Swift", "_Concurrency"}
LINE_LIMIT = 600
SAFETY_DISTANCE = 3
# Written so that this file does not name them.
MARKS = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|not imple" r"mented)\b")
IMPORT = re.compile(r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|package|internal|private|fileprivate)\s+)?import\s+"
                    r"(?:(?:struct|class|enum|protocol|func|var|let|typealias)\s+)?(\w+)")
violations = []


def report(path, number, sentence):
    violations.append("%s:%d: %s" % (path, number, sentence))


def check(path, target):
    lines = path.read_text(encoding="utf-8").splitlines()
    if len(lines) > LINE_LIMIT and path.suffix in (".swift", ".c", ".h"):
        report(path, len(lines), "more than %d lines; split it" % LINE_LIMIT)
    for number, line in enumerate(lines, 1):
        if MARKS.search(line):
            report(path, number, "an unfinished mark; finish it, or write an issue")
        if path.suffix in (".c", ".h") and target != "CHeddle":
            report(path, number, "C belongs into CHeddle")
            break
        if path.suffix != ".swift":
            continue
        found = IMPORT.match(line)
        if found:
            name = found.group(1)
            if name in LIBC:
                if target != "HeddleSystem":
                    report(path, number, "only HeddleSystem imports %s" % name)
            elif name not in EVERYWHERE and name not in BELOW[target]:
                report(path, number, "%s may not import %s" % (target, name))
        code = line.split("//")[0]
        if "@unchecked Sendable" in code or "nonisolated(unsafe)" in code:
            # A comment between documentation and declaration would take the documentation away, so it may stand above both.
            top = number - 1
            while top > 0 and lines[top - 1].lstrip().startswith(("///", "@")):
                top -= 1
            near = lines[max(0, number - 1 - SAFETY_DISTANCE):number + SAFETY_DISTANCE] + lines[max(0, top - SAFETY_DISTANCE):top]
            if not any("// SAFETY:" in other for other in near):
                report(path, number, "no '// SAFETY:' within %d lines says what guards this" % SAFETY_DISTANCE)


for folder in sorted(pathlib.Path("Sources").iterdir()):
    if not folder.is_dir():
        continue
    if folder.name not in BELOW:
        report(folder, 1, "a target that Scripts/check-layers.sh does not know; say which layer it is")
        continue
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".swift", ".c", ".h", ".py", ".md"):
            check(path, folder.name)
print("\n".join(violations) if violations else "check-layers: imports go down, and every rule holds")
sys.exit(1 if violations else 0)
PYTHON
