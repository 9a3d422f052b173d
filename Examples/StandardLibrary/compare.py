"""Runs branches.measure in a plain loop and compares the rows that heddle wrote: compare.py FILES ROWS..."""
import json
import sys
import time

from branches import measure


def main():
    with open(sys.argv[1]) as file:
        paths = file.read().splitlines()
    begin = time.perf_counter()
    expected = [measure(path) for path in paths]
    print("plain loop: %d files in %.1f s" % (len(paths), time.perf_counter() - begin))
    for name in sys.argv[2:]:
        with open(name) as file:
            rows = [json.loads(line) for line in file]
        assert [row["index"] for row in rows] == list(range(len(paths))), name + " is not in the order of the inputs"
        assert [row["input"] for row in rows] == paths, name + " has other inputs"
        assert all(row["ok"] for row in rows), name + " has failures"
        assert [row["value"] for row in rows] == expected, name + " has other values"
    worst = max(range(len(paths)), key=lambda index: expected[index]["branches"])
    print("all results are those of the plain loop; most branches: %(branches)d in %(worst)s" % expected[worst], "of", paths[worst])


main()
