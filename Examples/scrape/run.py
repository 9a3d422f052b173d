"""Scrapes pages from a server on this machine, in Python and in Swift: one thread, 8 threads, 8 processes. python3 Examples/scrape/run.py [PAGES]"""
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
    print()
    pages = compare.swift(
        HERE, "Scrape", [row["input"] for row in rows], [("libcurl", "libcurl4-openssl-dev"), ("libxml-2.0", "libxml2-dev")])
    for row, (url, title, links, words) in zip(rows, pages):
        value = row["value"]
        if (row["input"], value["title"], len(value["links"]), value["words"]) != (url, title, int(links), int(words)):
            sys.exit("Swift and Python say something else of %s: %s %s %s, %s" % (url, title, links, words, value))
    first = min(rows, key=lambda row: row["index"])["value"]
    print("\n%d pages; the first is %r with %d links and %d words, in both languages" % (len(rows), first["title"], len(first["links"]), first["words"]))
finally:
    process.terminate()
