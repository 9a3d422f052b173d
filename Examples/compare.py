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
    print("building heddle, which takes some minutes the first time", file=sys.stderr)
    build = ["swift", "build", "-c", "release", "--product", "heddle", "--package-path", ROOT]
    run = subprocess.run(build, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if run.returncode:
        sys.exit(run.stdout)
    return ROOT + "/.build/release/heddle"


def compare(ways, check_values=True):
    """Runs each way, prints a table, and returns the rows of the last."""
    expected = None
    print("%-34s %8s %11s" % ("in Python", "seconds", "cores used"))
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


def swift(folder, product, arguments, packages=()):
    """Builds the Swift half of an example, runs it, shows its table, and returns the fields of its result lines."""
    missing = [debian for header, debian in packages if subprocess.call(["pkg-config", "--exists", header])]
    if missing:
        print("installing %s" % " ".join(missing), file=sys.stderr)
        install = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "
        if subprocess.call(install + " ".join(missing), shell=True, stdout=sys.stderr):
            sys.exit("could not install %s; the Swift half needs it" % " ".join(missing))
    build = ["swift", "build", "-c", "release", "--package-path", folder, "--scratch-path", ROOT + "/.build/examples/" + product]
    print("building the Swift half, which takes some minutes the first time", file=sys.stderr)
    run = subprocess.run(build + ["--product", product], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    if run.returncode:
        sys.exit(run.stdout)
    place = subprocess.check_output(build + ["--show-bin-path"], universal_newlines=True).strip()
    print("%-34s %8s %11s" % ("in Swift", "seconds", "cores used"), flush=True)
    run = subprocess.run([place + "/" + product] + arguments, stdout=subprocess.PIPE, universal_newlines=True)
    lines = run.stdout.splitlines()
    print("\n".join(line for line in lines if not line.startswith("result\t")))
    if run.returncode:
        sys.exit("%s failed" % product)
    return [line.split("\t")[1:] for line in lines if line.startswith("result\t")]
