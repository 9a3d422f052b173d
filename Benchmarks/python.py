"""Runs heddle map on a computing function on 2 processes and on 2 threads: python.py HEDDLE [--json]. Prints time and cores used."""
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

import compute


def measure(heddle, place, inputs):
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    target = str(pathlib.Path(__file__).with_name("compute.py")) + ":primes"
    run = subprocess.run([heddle, "map", target, "--on", place, "-j", "2", "--keep-order", *inputs], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    span = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert run.returncode == 0, run.stderr
    expected = {text: compute.primes(text) for text in set(inputs)}
    rows = [json.loads(line) for line in run.stdout.splitlines()]
    assert [row["value"] for row in rows] == [expected[text] for text in inputs]
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return span, used / span


# Long enough that starting and ending the interpreters counts little.
inputs = ["100000"] * 60
figures = {}
for place in ("processes", "threads"):
    span, cores = measure(sys.argv[1], place, inputs)
    figures["heddle map, computing Python on 2 %s (s)" % place] = round(span, 3)
    figures["heddle map, computing Python on 2 %s, cores used (cores)" % place] = round(cores, 3)
if "--json" in sys.argv:
    print(json.dumps(figures))
else:
    for name, value in figures.items():
        print("%s: %s" % (name, value))
