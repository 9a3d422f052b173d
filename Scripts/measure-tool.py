"""What `heddle map` costs beside CPython's own pool, on this machine: Scripts/measure-tool.py [first] [batch] [memory] [interpreters]

    first         from the command to the first result, against python3 -c with a ProcessPoolExecutor of its own
    batch         10,000 calls of a function that does nothing, results written as JSON lines, against the same script with CPython's pool
    memory        the tool's peak memory over one million lines and over ten million
    interpreters  cores used by a function that computes, on 2 sub-interpreters, 2 threads and 2 processes of one Python

Without a word: first, batch and interpreters. HEDDLE names the tool (default: .build/release/heddle), PYTHON the interpreter of both sides,
PYTHON312 one of 3.12 or later. Each figure is a median of runs in turn; run it on a quiet machine.
"""
import glob
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
HEDDLE = os.path.abspath(os.environ.get("HEDDLE", ROOT + "/.build/release/heddle"))
# The interpreter itself: a version manager's shim would count on one side only.
PYTHON = os.environ.get("PYTHON") or os.path.realpath(sys.executable)

FIRST = """
import concurrent.futures, sys
sys.path.insert(0, ".")
import work
with concurrent.futures.ProcessPoolExecutor(2) as pool:
    print(next(pool.map(work.nothing, ["a"])), flush=True)
"""
BATCH = """
import concurrent.futures, json, sys
sys.path.insert(0, ".")
import work
with open("inputs") as file:
    inputs = file.read().splitlines()
with concurrent.futures.ProcessPoolExecutor(2) as pool, open("plain.jsonl", "w") as output:
    for index, (text, value) in enumerate(zip(inputs, pool.map(work.nothing, inputs))):
        output.write(json.dumps({"index": index, "input": text, "ok": True, "value": value}) + "\\n")
"""
WORK = """
def nothing(x): return x
def primes(n): return sum(all(i % d for d in range(2, int(i ** 0.5) + 1)) for i in range(2, int(n)))
"""


def until_first_line(command):
    begin = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    line = process.stdout.readline()
    span = time.perf_counter() - begin
    process.stdout.read()
    assert process.wait() == 0 and line, command
    return span


def whole(command):
    begin = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL)
    return time.perf_counter() - begin


def in_turn(measure, ours, theirs, runs):
    """Medians of both, and of the ratio pair by pair, after one run of each that is not counted."""
    measure(ours), measure(theirs)
    pairs = [(measure(ours), measure(theirs)) for _ in range(runs)]
    return statistics.median(a for a, _ in pairs), statistics.median(b for _, b in pairs), statistics.median(b / a for a, b in pairs)


def first():
    ours = [HEDDLE, "map", "work.py:nothing", "a", "-j", "2", "--python", PYTHON]
    heddle, plain, ratio = in_turn(until_first_line, ours, [PYTHON, "-c", FIRST], 21)
    print("first result: heddle map %.1f ms, ProcessPoolExecutor %.1f ms (%.2f times as long)" % (heddle * 1e3, plain * 1e3, ratio))


def batch():
    with open("inputs", "w") as file:
        file.write("".join("%d\n" % n for n in range(10000)))
    ours = [HEDDLE, "map", "work.py:nothing", "--inputs", "inputs", "-j", "2", "--output", "rows.jsonl", "--overwrite", "--python", PYTHON]
    heddle, plain, ratio = in_turn(whole, ours, [PYTHON, "-c", BATCH], 7)
    for name in ["rows.jsonl", "plain.jsonl"]:
        with open(name) as file:
            rows = [json.loads(line) for line in file]
        assert sorted(int(row["value"]) for row in rows) == list(range(10000)), name
    print("10,000 calls of nothing: heddle map %.0f ms, ProcessPoolExecutor %.0f ms (%.1f times as long)" % (heddle * 1e3, plain * 1e3, ratio))


def memory():
    for count in [1_000_000, 10_000_000]:
        begin = time.perf_counter()
        source = subprocess.Popen(["seq", str(count)], stdout=subprocess.PIPE)
        rows = subprocess.Popen(["wc", "-l"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, universal_newlines=True)
        command = [HEDDLE, "map", "work.py:nothing", "--inputs", "-", "-j", "2", "--python", PYTHON]
        process = subprocess.Popen(command, stdin=source.stdout, stdout=rows.stdin, stderr=subprocess.DEVNULL)
        source.stdout.close()
        rows.stdin.close()
        # Of this process alone: its workers are its own children, not ours.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        counted = int(rows.stdout.read())
        assert process.returncode == 0 and counted == count, (process.returncode, counted)
        span = time.perf_counter() - begin
        print("%d lines: peak %.1f MB in %.0f s (%.0f a second)" % (count, usage.ru_maxrss / 1e3, span, count / span), flush=True)


def interpreters():
    python = os.environ.get("PYTHON312") or ([PYTHON] if sys.version_info >= (3, 12) else sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.1[2-9]*/bin/python3"))))
    if not python:
        return print("no Python 3.12 or later: name one with PYTHON312")
    python = python if isinstance(python, str) else python[-1]
    for place in ["interpreters", "threads", "processes"]:
        command = [HEDDLE, "map", "work.py:primes", "--on", place, "-j", "2", "--python", python] + ["60000"] * 60
        run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        assert run.returncode == 0, run.stderr
        assert {json.loads(line)["value"] for line in run.stdout.splitlines()} == {6057}
        print("computing on 2 %s: %s" % (place, re.search(r"in ([\d.]+ s).*, ([\d.]+ cores used)", run.stderr).expand(r"\1, \2")))
    print("with", subprocess.check_output([python, "-VV"], universal_newlines=True).strip())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        with open("work.py", "w") as file:
            file.write(WORK)
        for name in sys.argv[1:] or ["first", "batch", "interpreters"]:
            {"first": first, "batch": batch, "memory": memory, "interpreters": interpreters}[name]()
        os.chdir("/")
