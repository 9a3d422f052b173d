"""Runs the same batch in several ways and prints what each took: used by the examples beside it.

Each way is a name and the arguments of `heddle map`. Every way has to give the same values.
"""
import json
import os
import re
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def tool():
    """The heddle to use: HEDDLE, or the one that was built here (release before debug)."""
    for path in [os.environ.get("HEDDLE"), ROOT + "/.build/release/heddle", ROOT + "/.build/debug/heddle"]:
        if path and os.path.exists(path):
            return os.path.abspath(path)
    sys.exit("there is no heddle: swift build -c release --product heddle")


def compare(ways, check_values=True):
    """Runs each way, prints a table, and returns the rows of the last."""
    expected = None
    print("%-34s %8s %11s" % ("", "seconds", "cores used"))
    for name, arguments in ways:
        begin = time.perf_counter()
        run = subprocess.run([tool(), "map"] + arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        span = time.perf_counter() - begin
        if run.returncode:
            sys.exit("%s failed:\n%s" % (name, run.stderr))
        cores = re.search(r"([\d.]+) cores used", run.stderr)
        print("%-34s %8.2f %11s" % (name, span, cores.group(1) if cores else "?"))
        rows = [json.loads(line) for line in run.stdout.splitlines()]
        values = {row["input"]: row["value"] for row in rows}
        if expected is not None and check_values and values != expected:
            sys.exit("%s gave other values" % name)
        expected = values
    return rows


def install(*packages):
    """A Python with those packages: this one, or a virtual environment under .build."""
    try:
        for package in packages:
            __import__({"pillow": "PIL", "imageio-ffmpeg": "imageio_ffmpeg"}.get(package, package))
        return sys.executable
    except ImportError:
        pass
    folder = ROOT + "/.build/examples/" + "-".join(packages)
    python = folder + "/bin/python3"
    if not os.path.exists(python):
        subprocess.check_call([sys.executable, "-m", "venv", folder])
    if subprocess.call([python, "-m", "pip", "install", "-q", "--disable-pip-version-check"] + list(packages)):
        sys.exit("could not install " + " ".join(packages))
    return python
