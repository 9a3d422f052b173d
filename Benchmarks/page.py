#!/usr/bin/env python3
"""Writes the page of figures and its bar charts from what Scripts/measure.sh --json printed:

    Benchmarks/page.py [--of COMMIT] RESULT.json [LATER.json…]

A row of a later file replaces the same row of an earlier one. Writes Documentation/performance.md and Documentation/performance/ROW.svg.
"""
import html
import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
PAGE = ROOT / "Documentation" / "performance.md"
CHARTS = ROOT / "Documentation" / "performance"
# Series that are not Heddle's; all others are.
PEERS = ("TaskGroup", "CPython", "multiprocessing", "Task.detached", "socket pair", "Dispatch", "posix_spawn", "memcpy", "NIOThreadPool", "rayon",
         "Java", "concurrentPerform")
WIDTH, LABEL, VALUE, BAR, GAP, TOP = 760, 270, 120, 18, 9, 46
OURS, THEIRS, INK, QUIET = "#1f6f5c", "#b8b2a6", "#222222", "#666666"


def number(value):
    """Three digits that count."""
    if value is None:
        return "–"
    if value == 0:
        return "0"
    digits = max(0, 2 - int(__import__("math").floor(__import__("math").log10(abs(value)))))
    return f"{value:,.{min(digits, 5)}f}"


def is_peer(name):
    return name.startswith(PEERS)


def chart(row, series):
    """Horizontal bars of the medians, whiskers from minimum to maximum; a bar too long for the others to be seen is broken."""
    unit = series[0]["unit"]
    ours = max([one["median"] for one in series if not is_peer(one["name"])], default=0)
    longest = max(one["max"] for one in series)
    limit = min(longest, ours * 8) if ours > 0 and unit != "GB/s" else longest
    limit = limit or 1
    room = WIDTH - LABEL - VALUE
    height = TOP + len(series) * (BAR + GAP) + 12
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="DejaVu Sans, Helvetica, Arial, sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
        f'<text x="14" y="20" font-size="13" font-weight="bold" fill="{INK}">{html.escape(row["name"])}</text>',
        f'<text x="14" y="36" font-size="11" fill="{QUIET}">{html.escape(unit)}: '
        f'{"more" if unit == "GB/s" else "less"} is better; bars: medians, whiskers: least to most</text>',
    ]
    for place, one in enumerate(series):
        top = TOP + place * (BAR + GAP)
        middle = top + BAR / 2
        broken = one["median"] > limit
        length = room if broken else one["median"] / limit * room
        colour = THEIRS if is_peer(one["name"]) else OURS
        lines.append(f'<text x="{LABEL - 10}" y="{middle + 4}" text-anchor="end" fill="{INK}">{html.escape(one["name"])}</text>')
        lines.append(f'<rect x="{LABEL}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{colour}"/>')
        if broken:
            at = LABEL + room - 40
            lines.append(f'<path d="M{at} {top - 2} l6 {BAR / 2 + 2:.0f} l-6 {BAR / 2 + 2:.0f} h8 l6 -{BAR / 2 + 2:.0f} l-6 -{BAR / 2 + 2:.0f} z" fill="#ffffff"/>')
        else:
            least, most = (LABEL + min(one[end], limit * 1.02) / limit * room for end in ("min", "max"))
            lines.append(f'<path d="M{least:.1f} {middle} H{most:.1f} M{least:.1f} {middle - 4} v8 M{most:.1f} {middle - 4} v8" stroke="{INK}" fill="none"/>')
            length = max(length, most - LABEL)
        lines.append(f'<text x="{LABEL + length + 8:.1f}" y="{middle + 4}" fill="{INK}">{number(one["median"])}</text>')
    return "\n".join(lines + ["</svg>"]) + "\n"


def verdict(row):
    if row["failure"]:
        return "failed: " + row["failure"]
    return {True: "reached", False: "**not reached**", None: "not judged"}[row["reached"]]


def section(row):
    lines = ["", f"## {row['name']}", "", row["work"][0].upper() + row["work"][1:] + ".", "", f"Must: {row['must']}.", ""]
    units = {}
    for one in row["series"]:
        units.setdefault(one["unit"], []).append(one)
    unit, series = max(units.items(), key=lambda item: len(item[1]), default=("", []))
    if len(series) > 1 and max(one["max"] for one in series) > 0:
        (CHARTS / f"{row['name']}.svg").write_text(chart(row, series), encoding="utf-8")
        lines += [f"![{row['name']}, {unit}](performance/{row['name']}.svg)", ""]
    lines += ["| | unit | minimum | median | maximum |", "|---|---|---:|---:|---:|"]
    lines += [f"| {one['name']} | {one['unit']} | {number(one['min'])} | {number(one['median'])} | {number(one['max'])} |" for one in row["series"]]
    lines += ["", "| check, median of the runs | limit | measured | |", "|---|---:|---:|---|"]
    for one in row["criteria"]:
        said = {True: "reached", False: "**not reached**", None: "not judged: a peer is missing"}[one["reached"]]
        lines.append(f"| {one['text']} | {one['sign']} {number(one['limit'])} | {number(one['median'])} | {said} |")
    lines += [f"\nNot on this machine: {absent}." for absent in row["absent"]]
    return lines


def main():
    rows, machine, runs = {}, {}, set()
    arguments = sys.argv[1:]
    commit = ""
    if arguments[:1] == ["--of"]:
        commit, arguments = f", Heddle at commit {arguments[1]}", arguments[2:]
    for path in arguments:
        result = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        rows.update((row["name"], row) for row in result["rows"])
        machine = result["machine"]
        runs.add(result["runs"])
    if not rows:
        sys.exit("usage: page.py [--of COMMIT] RESULT.json…")
    CHARTS.mkdir(exist_ok=True)
    for old in CHARTS.glob("*.svg"):
        old.unlink()
    lines = [
        "# What Heddle costs", "",
        "Written by `Benchmarks/page.py` from what `Scripts/measure.sh --json` printed; do not edit it by hand.", "",
        "Every figure comes from %s runs, in each of which Heddle and its peers take turns. Machines differ and are noisy: compare figures of one "
        "row, as ratios, and measure on your own machine (`Scripts/measure.sh`). In the charts a bar with a gap is longer than it is drawn." % " or ".join(str(count) for count in sorted(runs)), "",
        "Measured on: " + ", ".join(f"{name} {value}" for name, value in machine.items()) + commit + ".", "",
        "| work | must | |", "|---|---|---|",
    ]
    lines += [f"| [{row['work']}](#{row['name']}) | {row['must']} | {verdict(row)} |" for row in rows.values()]
    for row in rows.values():
        lines += section(row)
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print(f"page: {len(rows)} rows, {len(list(CHARTS.glob('*.svg')))} charts")


if __name__ == "__main__":
    main()
