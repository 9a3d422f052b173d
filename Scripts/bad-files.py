#!/usr/bin/env python3
"""One batch of 1,000 files, five of them bad, through heddle map, GNU parallel and a plain ProcessPoolExecutor script: what each loses
and what each says. Prints the page Documentation/bad-files.md:

    Scripts/bad-files.py [HEDDLE] > Documentation/bad-files.md

One file raises, one is slow (20 s; 5 s are allowed where a limit can be said), one calls os._exit, one segfaults, one takes 2 GB of
memory (500 MB are allowed where a limit can be said). All others are counted.
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEDDLE = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else ROOT + "/.build/release/heddle")
COUNT = 1000
BAD = {100: "raise", 200: "slow", 300: "exit", 400: "segv", 500: "memory"}

WORK = '''
import ctypes, os, sys, time
def count(path):
    with open(path) as file:
        text = file.read()
    if text == "raise": raise ValueError("no number in " + path)
    if text == "slow": time.sleep(20)
    if text == "exit": os._exit(3)
    if text == "segv": ctypes.string_at(0)
    if text == "memory": return len(bytearray(2 << 30).replace(b"x", b"y"))
    return len(text)
'''
POOL = '''
import json, sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from work import count
if __name__ == "__main__":
    paths = sys.argv[1:]
    with ProcessPoolExecutor() as pool, open("rows", "w") as rows:
        futures = {pool.submit(count, path): path for path in paths}
        for future in as_completed(futures):
            path = futures[future]
            try:
                rows.write(json.dumps({"input": path, "value": future.result()}) + "\\n")
            except Exception as error:
                print("%s: %s: %s" % (path, type(error).__name__, error), file=sys.stderr)
'''
ONE = 'import json, sys; from work import count; print(json.dumps({"input": sys.argv[1], "value": count(sys.argv[1])}))'


def run(command, out=None):
    begin = time.monotonic()
    with open("err", "w+") as err, open(out or os.devnull, "w") as output:
        status = subprocess.call(command, stdout=output, stderr=err, stdin=subprocess.DEVNULL)
        err.seek(0)
        lines = err.read().splitlines()
    return status, lines, time.monotonic() - begin


def values(path):
    with open(path) as rows:
        parsed = [json.loads(line) for line in rows if line.startswith("{")]
    return {row["input"]: row["value"] for row in parsed if row.get("ok", True)}


def said(lines, kind, paths):
    """What was said of a bad file: the last line that names it."""
    path = paths[next(n for n, k in BAD.items() if k == kind)]
    about = [line.strip() for line in lines if path in line]
    return about[-1].replace("|", "\\|")[:160] if about else "nothing that names the file"


folder = tempfile.mkdtemp()
os.chdir(folder)
try:
    for name, text in [("work.py", WORK), ("pool.py", POOL), ("one.py", ONE)]:
        with open(name, "w") as file:
            file.write(text)
    os.mkdir("in")
    paths = ["in/%04d" % n for n in range(COUNT)]
    for number, path in enumerate(paths):
        with open(path, "w") as file:
            file.write(BAD.get(number, "x" * number))
    good = {path: number for number, path in enumerate(paths) if number not in BAD}
    python = os.path.realpath(sys.executable)

    results = []
    status, lines, span = run([HEDDLE, "map", "work.py:count"] + paths
                              + ["--python", python, "--timeout", "5s", "--memory-limit", "500MB", "--output", "rows"])
    found = values("rows")
    with open("rows") as rows:
        errors = {row["input"]: row["error"] for row in map(json.loads, rows) if not row["ok"]}
    words = {}
    for number, kind in BAD.items():
        error = errors.get(paths[number])
        words[kind] = "%s%s: %s" % (error["code"], " (%s)" % error["exit"] if "exit" in error else "", error["message"]) if error else "a value"
    results.append(("heddle map", status, found, span, words))

    shutil.rmtree("rows", ignore_errors=True)
    status, lines, span = run(["parallel", "--timeout", "5", "--joblog", "log", python, "one.py", ":::"] + paths, "rows")
    found = values("rows")
    with open("log") as log:
        exits = {fields[8].split()[-1]: fields for fields in (line.rstrip("\n").split("\t") for line in log)}
    words = {}
    for number, kind in BAD.items():
        fields = exits.get(paths[number])
        value = "a value; " if paths[number] in found else ""
        words[kind] = value + ("in the job log: Exitval %s, Signal %s" % (fields[6], fields[7]) if fields else said(lines, kind, paths))
    results.append(("GNU parallel", status, found, span, words))

    status, lines, span = run([python, "pool.py"] + paths)
    found = values("rows")
    words = {kind: "a value" if paths[number] in found else said(lines, kind, paths) for number, kind in BAD.items()}
    results.append(("ProcessPoolExecutor", status, found, span, words))
finally:
    shutil.rmtree(folder)



def cell(text):
    """What was said, for a table: without the folders of this run and of this machine's Python."""
    for path in [folder + "/", os.path.realpath(folder) + "/", os.path.dirname(json.__path__[0]) + "/"]:
        text = text.replace(path, "")
    text = text.replace("|", "\\|").replace("\n", " ")
    return text if len(text) <= 400 else text[:400] + " …"


print("# A thousand files, five of them bad\n")
print("Printed by `Scripts/bad-files.py`: one batch through three tools, on %d cores. %s\n" % (
    os.cpu_count(), "One file raises, one is slow, one calls `os._exit(3)`, one segfaults, one takes 2 GB of memory."))
print("| | %s |" % " | ".join(name for name, *_ in results))
print("|---|%s" % ("---|" * len(results)))
print("| good files with their result, of %d | %s |" % (
    len(good), " | ".join("%d" % sum(found.get(path) == value for path, value in good.items()) for _, _, found, _, _ in results)))
print("| exit status | %s |" % " | ".join("%d" % status for _, status, *_ in results))
print("| seconds | %s |" % " | ".join("%.1f" % span for _, _, _, span, _ in results))
for kind in BAD.values():
    print("| says of the one for `%s` | %s |" % (kind, " | ".join(cell(words[kind]) for *_, words in results)))
print("""
`heddle map` was given `--timeout 5s --memory-limit 500MB`, GNU parallel `--timeout 5` and a job log; it starts an interpreter for each
file and has no limit for the memory of one. The script for `ProcessPoolExecutor` is the usual one, with a `try`
around each result: the first dead worker breaks the pool for all that has not ended.""")
