#!/usr/bin/env bash
# Compiles the Swift snippets of README.md and of documentation comments in a package of their own, runs those that are programs,
# and runs the README's quick commands on its own Python example.
set -euo pipefail
cd "$(dirname "$0")/.."
. Scripts/prepare.sh
root=$PWD
snippets=$root/.build/snippets
python3 -B Scripts/snippets/extract.py "$root" "$snippets"

swift build --package-path "$snippets" --scratch-path "$snippets/.build" 2>&1 | tee "$snippets/log" | grep -E "error|warning: (unused|var)|Compiling|Build" || true
grep -q "Build complete" "$snippets/log" || { cat "$snippets/log"; exit 1; }
bin=$(swift build --package-path "$snippets" --scratch-path "$snippets/.build" --show-bin-path)

for program in "$bin"/Snippet*[0-9]; do
  echo "--- $(basename "$program")"
  "$program" 2> "$snippets/error" | tee "$snippets/output"
  # What the README says that it prints.
  case $(basename "$program") in
    Snippet1) expected="primes below 100000: 9592|workerDied SIG|timedOut" ;;
    Snippet2) expected="11" ;;
    Snippet3) expected="3.0|1024" ;;
    Snippet4) expected='threads \[...\]' ;;
    *) expected="" ;;
  esac
  IFS='|' read -r -a lines <<< "$expected"
  for line in "${lines[@]}"; do
    grep -q "$line" "$snippets/output" || { echo "snippets: $(basename "$program") did not print: $line" >&2; cat "$snippets/error" >&2; exit 1; }
  done
done

swift build --product heddle > "$snippets/log" 2>&1 || { cat "$snippets/log"; exit 1; }
PATH=$(swift build --show-bin-path):$PATH
cd "$snippets/commands"
rm -f ./*.md ./*.jsonl ./*.sqlite ./*.log ./*.gz ./.*.heddle
printf 'a.md\nb.md\n' > list.txt
echo "a log" > a.log
cp "$root/README.md" a.md
cp "$root/Sources/Heddle/Processes/README.md" b.md
while IFS= read -r command; do
  echo "\$ $command"
  bash -euc "$command"
done < commands.txt
[ "$(wc -l < words.jsonl)" = 2 ] || { echo "snippets: words.jsonl does not have a row for each input" >&2; exit 1; }
echo "snippets: all compile, programs and commands run"
