"""The functions that the tool calls here, and what starts it."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import unittest

HEDDLE = os.path.abspath(os.environ.get("HEDDLE", ".build/debug/heddle"))
# The tool finds the Python that runs these tests.
os.environ["PATH"] = os.path.dirname(sys.executable) + os.pathsep + os.environ.get("PATH", "")

WORK = '''
import ast, ctypes, os, signal, subprocess, sys, time
def same(x): return x
def both(*args, **keywords): return [list(args), keywords]
def shout(x):
    sys.stdout.write("printed %s\\n" % x)
    print("no newline", end="")
    os.write(1, b"raw ")
    subprocess.call(["echo", "from a child"])
    return x
def parse(path):
    with open(path, "rb") as file:
        tree = ast.parse(file.read())
    return [sum(1 for _ in ast.walk(tree)), len(tree.body)]
def fail(x):
    if x.startswith("b"): raise ValueError("no " + x)
    return x
def die(x):
    if x == "exit": os._exit(7)
    if x == "segv": crash()
    if x == "loop":
        while True: pass
    if x == "leave": sys.exit(3)
    if x == "object": return object()
    if x == "memory": return len(bytearray(1 << 30))
    return x
def crash(): ctypes.string_at(0)
def nap(x):
    time.sleep(0.03)
    return [x, os.getpid()]
def count(x): return [sum(range(600000)), os.getpid()]
def once(path):
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return "again"
    os._exit(9)
def gate(path):
    """Says that it runs and waits to be let go; a plain word is its own answer."""
    if "/" not in path: return path
    with open(path + ".here", "w") as here: here.write(str(os.getpid()))
    with open(path) as go: return go.read()
def family(path):
    """Never ends, and has a child; deaf to SIGTERM."""
    if "/" not in path: return path
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "600"])
    with open(path, "w") as here: here.write("%d %d" % (os.getpid(), child.pid))
    while True: pass
def stuck(path):
    """The same in C, where nothing of Python runs, not even signal handlers."""
    child = subprocess.Popen(["sleep", "600"])
    with open(path, "w") as here: here.write("%d %d" % (os.getpid(), child.pid))
    ctypes.PyDLL(None).sleep(600)
def flaky(x):
    """Fails the first time for some inputs; some results are long."""
    marker = os.path.join("marks", x)
    if x.endswith("7") and not os.path.exists(marker):
        open(marker, "w").close()
        raise ValueError("not yet")
    return x * (500 if x.endswith("3") else 1)
def nan(x): return [float("nan"), float("inf"), -float("inf"), "\\ud800", b"\\x00\\xff"]
value = 5
'''


def take_signals():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def is_gone(pid, within=5):
    """Whether the process goes. A zombie is gone: it is its new parent's to bury."""
    end = time.monotonic() + within
    while time.monotonic() < end:
        try:
            with open("/proc/%d/stat" % pid) as stat:
                if stat.read().rpartition(")")[2].split()[0] in "ZX":
                    return True
        except OSError:
            return True
        time.sleep(0.005)
    return False


def is_busy():
    """Whether more wants to compute on this machine than can."""
    return os.getloadavg()[0] > 1.5 * os.cpu_count()


class Run:
    def __init__(self, status, out, err):
        self.status, self.out, self.err = status, out, err

    @property
    def rows(self):
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def values(self):
        return {json.dumps(row["input"]): row.get("value") for row in self.rows}


class ToolTests(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.temporary = tempfile.TemporaryDirectory()
        self.folder = os.path.realpath(self.temporary.name)
        self.write("work.py", WORK)

    def tearDown(self):
        self.temporary.cleanup()

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def read(self, name):
        with open(self.path(name)) as file:
            return file.read()

    def start(self, *arguments, **options):
        settings = dict(
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True)
        settings.update(options)
        # Who runs the tests in the background may have signals ignored, which the tool would leave so.
        settings.setdefault("preexec_fn", take_signals)
        return subprocess.Popen([HEDDLE] + list(arguments), **settings)

    def run_tool(self, *arguments, **options):
        text = options.pop("input", None)
        if text is not None:
            options["stdin"] = subprocess.PIPE
        process = self.start(*arguments, **options)
        out, err = process.communicate(text, timeout=60)
        return Run(process.returncode, out, err)

    def map(self, function, *arguments, **options):
        return self.run_tool("map", "work.py:" + function, *arguments, **options)

    def fifo(self, name):
        """A gate: its path, for `gate`."""
        os.mkfifo(self.path(name))
        os.mkfifo(self.path(name + ".here"))
        return self.path(name)

    def pipe(self, name):
        os.mkfifo(self.path(name))
        return self.path(name)

    def table(self, name):
        """The rows of a CSV file or of a database: input, ok, value, code."""
        if name.endswith(".csv"):
            with open(self.path(name), newline="") as file:
                return [(row["input"], row["ok"] == "true", row["value"], row["code"]) for row in csv.DictReader(file)]
        database = sqlite3.connect(self.path(name))
        try:
            rows = database.execute("SELECT input, ok, value, code FROM results ORDER BY id").fetchall()
        finally:
            database.close()
        return [(given, bool(ok), "" if value is None else value, code or "") for given, ok, value, code in rows]

    def command(self, *arguments, **options):
        return self.run_tool("map", *arguments, **options)

    def begin(self, function, names, *options, **settings):
        """A run with calls that stand at their gates, and the processes that they run in."""
        process = self.start("map", "work.py:" + function, *(list(names) + list(options)), **settings)
        pids = []
        for name in names:
            if "/" in name:
                with open(name + ".here" if function == "gate" else name) as here:
                    pids += [int(n) for n in here.read().split()]
        return process, pids
