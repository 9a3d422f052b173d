"""Scrapes pages from a server on this machine: one thread, 8 threads, processes. python3 Examples/scrape/run.py [PAGES]"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.dirname(HERE)]
sys.dont_write_bytecode = True

import compare
import server

process, address = server.start()
try:
    pages = ["%s/%d.html" % (address, n) for n in range(int(sys.argv[1]) if len(sys.argv) > 1 else 80)]
    target = [HERE + "/pages.py:scrape"] + pages
    rows = compare.compare([
        ("one thread", target + ["--on", "threads", "-j", "1"]),
        ("8 threads", target + ["--on", "threads", "-j", "8"]),
        ("8 processes", target + ["--on", "processes", "-j", "8"]),
    ])
    first = min(rows, key=lambda row: row["index"])["value"]
    print("\n%d pages; the first is %r with %d links and %d words" % (len(rows), first["title"], len(first["links"]), first["words"]))
finally:
    process.terminate()
