"""The tool from outside, as a shell would see it. Run by ToolTests.swift; also by hand:
HEDDLE=.build/debug/heddle python3 Tests/HeddleCommandTests/tool_tests.py [-k name]
"""

import ast
import collections
import csv
import json
import os
import pty
import random
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

HEDDLE = os.path.abspath(os.environ.get("HEDDLE", ".build/debug/heddle"))

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

    # Real files

    def test_a_thousand_real_files_as_in_a_plain_loop(self):
        library = os.path.dirname(os.__file__)
        files = []
        for folder, _, names in os.walk(library):
            if "site-packages" in folder or "lib2to3" in folder:
                continue
            for name in names:
                path = os.path.join(folder, name)
                if name.endswith(".py"):
                    files.append(path)
        # The smaller ones: what is shown is that they are all there.
        files = sorted(sorted(files, key=os.path.getsize)[:1000])
        self.assertEqual(len(files), 1000)
        expected, failed = {}, set()
        for path in files:
            with open(path, "rb") as file:
                source = file.read()
            try:
                tree = ast.parse(source)
                expected[path] = [sum(1 for _ in ast.walk(tree)), len(tree.body)]
            except Exception:
                failed.add(path)
        self.write("files", "".join(path + "\n" for path in files))
        for place in ["processes", "threads"]:
            # The interpreter that made the expectation.
            run = self.map("parse", "--inputs", "files", "--on", place, "--keep-order", "--python", sys.executable)
            self.assertEqual([row["input"] for row in run.rows], files)
            self.assertEqual([row["index"] for row in run.rows], list(range(1000)))
            self.assertEqual({row["input"]: row["value"] for row in run.rows if row["ok"]}, expected)
            self.assertEqual({row["input"] for row in run.rows if not row["ok"]}, failed)
            self.assertEqual(run.status, 1 if failed else 0, run.err)

    # Rows

    def test_rows_are_as_they_are_fixed(self):
        run = self.map("fail", "a", "b", "--workers", "1")
        good, bad = run.rows
        self.assertEqual(list(good), ["index", "input", "ok", "value", "seconds", "attempts"])
        self.assertEqual((good["index"], good["input"], good["ok"], good["value"], good["attempts"]), (0, "a", True, "a", 1))
        self.assertEqual(list(bad), ["index", "input", "ok", "error", "seconds", "attempts"])
        self.assertEqual(list(bad["error"]), ["code", "type", "message", "traceback"])
        self.assertEqual((bad["error"]["code"], bad["error"]["type"], bad["error"]["message"]), ("exception", "ValueError", "no b"))
        self.assertTrue(bad["error"]["traceback"].startswith("Traceback (most recent call last):\n"))
        self.assertEqual(run.status, 1)
        run = self.map("nan", "x")
        self.assertIn('"value": [NaN, Infinity, -Infinity, "\\ud800", "AP8="]', run.out)

    def test_every_death_is_a_row(self):
        for place in ["processes", "threads"]:
            run = self.map("die", "a", "exit", "b", "segv", "c", "loop", "leave", "object", "d", "--timeout", "500ms", "--on", place, "-j", "1")
            rows = {row["input"]: row for row in run.rows}
            self.assertEqual(len(run.rows), 9)
            for name in "abcd":
                self.assertEqual(rows[name]["value"], name)
            self.assertEqual((rows["exit"]["error"]["code"], rows["exit"]["error"]["exit"]), ("workerDied", "exit 7"))
            self.assertEqual((rows["segv"]["error"]["code"], rows["segv"]["error"]["exit"]), ("workerDied", "SIGSEGV"))
            # The user's own line, and that of the library in which it was.
            self.assertRegex(rows["segv"]["error"]["message"], r"in string_at at .*ctypes.*:\d+, called from crash at .*work\.py:\d+")
            self.assertEqual(rows["loop"]["error"]["code"], "timedOut")
            self.assertTrue(0.5 <= rows["loop"]["seconds"] < 5, rows["loop"])
            self.assertEqual((rows["leave"]["error"]["code"], rows["leave"]["error"]["type"]), ("exception", "SystemExit"))
            self.assertEqual(rows["object"]["error"]["code"], "notEncodable")
            self.assertTrue(rows["exit"]["seconds"] > 0)
            self.assertEqual({row["attempts"] for row in run.rows}, {1})
            for part in ["4 succeeded, 5 failed", "workerDied (SIGSEGV): 1", "segv: ", "timedOut: 1", "SystemExit: 1"]:
                self.assertIn(part, run.err)
            self.assertEqual(run.status, 1)

    def test_auto_measures_and_says_what_it_chose(self):
        names = ["%d" % n for n in range(40)]
        run = self.map("nap", *names, "--on", "auto", "-j", "2", "-k")
        self.assertEqual([row["value"][0] for row in run.rows], names)
        self.assertRegex(run.err, r"--on auto: threads, since the first calls computed \d% of their time; --on threads says so")
        # Those on trial ran in two processes, the others in one.
        late = {row["value"][1] for row in run.rows[-30:]}
        self.assertEqual((run.status, len(late)), (0, 1), run.err)
        run = self.map("count", *names, "--on", "auto", "-j", "2")
        self.assertEqual((run.status, len(run.rows)), (0, 40))
        self.assertRegex(run.err, r"--on auto: processes, since the first calls computed \d+% of their time")
        self.assertEqual(len({row["value"][1] for row in run.rows}), 2)
        # What ends its worker stays where it takes nobody along.
        run = self.map("die", "exit", "a", "b", "c", "--on", "auto", "-j", "1")
        self.assertIn("--on auto: processes", run.err)
        self.assertEqual([row["ok"] for row in run.rows], [False, True, True, True])
        run = self.map("nap", "a", "--on", "auto", "--timeout", "5s")
        self.assertIn("--on auto: processes, since what has a limit", run.err)
        # Ctrl-C while calls are held back: what was not run has no row.
        process, _ = self.begin("gate", [self.fifo("held"), "a", "b"], "--on", "auto", "-j", "1")
        process.send_signal(signal.SIGINT)
        with open(self.path("held"), "w") as go:
            go.write("x")
        out, err = process.communicate(timeout=20)
        self.assertEqual((process.returncode, len(out.splitlines())), (130, 1), err)

    def test_tries_are_counted(self):
        run = self.map("once", self.path("flag"), "--retries", "1")
        self.assertEqual((run.status, run.rows[0]["value"], run.rows[0]["attempts"]), (0, "again", 2))
        self.assertTrue(run.rows[0]["seconds"] < 1)
        run = self.map("fail", "b", "a", "--retries", "2")
        attempts = {row["input"]: row["attempts"] for row in run.rows}
        self.assertEqual((run.status, attempts), (1, {"a": 1, "b": 3}))
        run = self.map("die", "loop", "--retries", "1", "--timeout", "300ms")
        self.assertEqual((run.rows[0]["error"]["code"], run.rows[0]["attempts"]), ("timedOut", 2))
        self.assertTrue(0.3 <= run.rows[0]["seconds"] < 2, run.rows)
        run = self.map("die", "exit", "--retries", "1", "--on", "threads")
        self.assertEqual((run.rows[0]["error"]["exit"], run.rows[0]["attempts"]), ("exit 7", 2))

    def test_what_functions_print_goes_to_standard_error(self):
        for place in ["processes", "threads"]:
            run = self.map("shout", "a", "b", "--on", place)
            self.assertEqual((run.status, run.values), (0, {'"a"': "a", '"b"': "b"}))
            for part in ["printed a", "printed b", "raw", "from a child"]:
                self.assertIn(part, run.err)

    def test_a_memory_limit_is_kept(self):
        for place in ["processes", "threads"]:
            run = self.map("die", "a", "memory", "b", "--memory-limit", "500MB", "--on", place)
            rows = {row["input"]: row for row in run.rows}
            self.assertEqual((rows["memory"]["error"]["code"], rows["a"]["value"], rows["b"]["value"]), ("memoryLimitExceeded", "a", "b"))
            self.assertIn("500 MB", rows["memory"]["error"]["message"])
            self.assertEqual(run.status, 1)

    # Inputs

    def test_inputs_come_from_anywhere(self):
        lines = "a\r\n\n  \nb\n c \r\nlast"
        self.write("lines", lines)
        expected = [(0, "a"), (1, "b"), (2, " c "), (3, "last")]
        for run in [self.map("same", "--inputs", "lines"), self.map("same", "--inputs", "-", input=lines)]:
            self.assertEqual(sorted((row["index"], row["value"]) for row in run.rows), expected)
        run = self.map("both", "--inputs", "-", "--input-format", "json", "--keep-order", input='{"k": 1}\n[1, "x"]\n7\n{oops}\n')
        self.assertEqual([row.get("value") for row in run.rows], [[[], {"k": 1}], [[1, "x"], {}], [[7], {}], None])
        self.assertEqual([row["input"] for row in run.rows], [{"k": 1}, [1, "x"], 7, "{oops}"])
        self.assertEqual((run.status, run.rows[3]["error"]["code"]), (1, "notEncodable"))
        run = self.map("both", "--inputs", "-", "--input-format", "csv", "--keep-order", input='a,b\n1,"x, y"\n')
        self.assertEqual([(row["input"], row["value"]) for row in run.rows], [({"a": "1", "b": "x, y"}, [[], {"a": "1", "b": "x, y"}])])
        run = self.map("same", "--inputs", "-", input="")
        self.assertEqual((run.status, run.out), (0, ""))

    def test_rows_leave_while_inputs_are_awaited(self):
        process = self.start("map", "work.py:same", "--inputs", "-", stdin=subprocess.PIPE)
        for text in ["a", "b"]:
            process.stdin.write(text + "\n")
            process.stdin.flush()
            self.assertEqual(json.loads(process.stdout.readline())["value"], text)
        process.communicate(timeout=20)
        self.assertEqual(process.returncode, 0)

    def test_memory_is_flat_over_many_inputs(self):
        peaks = []
        for count in [5000, 200000]:
            source = subprocess.Popen(["seq", str(count)], stdout=subprocess.PIPE)
            with open(self.path("rows"), "w") as rows:
                process = self.start("map", "work.py:same", "--inputs", "-", stdin=source.stdout, stdout=rows, stderr=subprocess.DEVNULL)
                source.stdout.close()
                _, status, usage = os.wait4(process.pid, 0)
            process.returncode = status
            source.wait()
            self.assertEqual(status, 0)
            peaks.append(usage.ru_maxrss)
            with open(self.path("rows")) as rows:
                self.assertEqual(sum(1 for _ in rows), count)
        self.assertLess(peaks[1], peaks[0] + 12000, peaks)

    # Wrong use

    def test_wrong_use_is_one_sentence_and_status_2(self):
        self.write("broken.py", "raise KeyError('at import')\n")
        self.write("note.py", "open('imported', 'w')\ndef f(x): return x\n")
        for arguments, part in [
            (["work.py:sane", "a"], "did you mean same?"),
            (["wrk.py:same", "a"], "did you mean work.py?"),
            (["work.py", "a"], "write work.py:function"),
            (["work.py:value", "a"], "cannot be called"),
            (["no_such_module_x:f", "a"], "there is no module no_such_module_x"),
            (["work.py:same", "a", "--python", "/none"], "/none does not exist"),
            (["work.py:same", "a", "--python", "/bin/false"], "/bin/false is no Python"),
            (["work.py:same", "a", "--bogus"], "--bogus"),
            (["work.py:same", "a", "--timeout", "soon"], "30s"),
            (["note.py:f", "a", "--timeout", "soon"], "30s"),
            (["work.py:same", "a", "--memory-limit", "much"], "500MB"),
            (["work.py:same", "a", "--workers", "0"], "at least 1"),
            (["work.py:same", "a", "--workers", "-3"], "at least 1"),
            (["work.py:same", "a", "--retries", "-1"], "0 or more"),
            (["work.py:same", "a", "--on", "thread"], "threads"),
            (["work.py:same"], "no inputs"),
            ([], "target"),
            (["work.py:same", "--inputs", "none"], "none: No such file"),
            (["work.py:same", "a", "--resume"], "--output"),
            (["work.py:same", "a", "--output", "no/such/folder"], "No such file"),
        ]:
            run = self.run_tool("map", *arguments)
            self.assertEqual((run.status, run.out), (2, ""), (arguments, run.err))
            self.assertIn(part, run.err, arguments)
            self.assertEqual(len(run.err.splitlines()), 1, run.err)
            self.assertTrue(run.err.startswith("heddle: "), run.err)
        run = self.run_tool("map", "broken.py:f", "a")
        self.assertEqual(run.status, 2)
        self.assertIn("KeyError: 'at import'", run.err.splitlines()[-1])
        self.assertEqual(self.run_tool("nap").status, 2)
        self.assertFalse(os.path.exists(self.path("imported")))

    def test_help_suffices(self):
        for arguments, parts in [
            (["--help"], ["heddle map", "*.jpg"]),
            (["map", "--help"], ["file.py:function", "--timeout", "130", "--resume", '"attempts": 1}']),
            (["--version"], ["heddle 0."]),
        ]:
            run = self.run_tool(*arguments)
            self.assertEqual((run.status, run.err), (0, ""))
            for part in parts:
                self.assertIn(part, run.out)
            self.assertLessEqual(max(len(line) for line in run.out.splitlines()), 80)

    # Files of results

    def test_an_output_file_is_refused_gone_on_with_or_replaced(self):
        arguments = ["a", "bad", "c", "--output", "rows"]
        self.assertEqual(self.map("fail", *arguments).status, 1)
        rows = self.read("rows")
        refused = self.map("fail", *arguments)
        self.assertEqual((refused.status, self.read("rows")), (2, rows))
        for option in ["--resume", "--retry-failed", "--overwrite"]:
            self.assertIn(option, refused.err)
        run = self.map("fail", "d", *(arguments + ["--retry-failed"]))
        self.assertEqual((run.status, run.out, len(self.read("rows").splitlines())), (1, "", 3))
        # What failed succeeds now, and replaces its row.
        run = self.map("same", "d", *(arguments + ["--resume", "--keep-order"]))
        self.assertEqual(run.status, 0, run.err)
        rows = [json.loads(line) for line in self.read("rows").splitlines()]
        self.assertEqual(sorted(row["input"] for row in rows), ["a", "bad", "c", "d"])
        self.assertTrue(all(row["ok"] for row in rows))
        run = self.map("same", "x", "--output", "rows", "--overwrite")
        self.assertEqual((run.status, [json.loads(line)["input"] for line in self.read("rows").splitlines()]), (0, ["x"]))

    def test_too_many_failures_start_nothing_more(self):
        run = self.map("fail", "--inputs", "-", "--max-failures", "2", "-j", "1", input="b\n" * 1000)
        self.assertEqual(run.status, 1)
        self.assertTrue(2 <= len(run.rows) < 200, len(run.rows))
        self.assertIn("stopped after", run.err)

    def test_a_full_disk_loses_only_what_does_not_fit(self):
        with open("/dev/full", "w") as full:
            run = self.map("same", "a", "b", stdout=full)
        self.assertEqual(run.status, 1)
        self.assertIn("No space left on device", run.err)
        small = self.path("small")
        os.mkdir(small)
        if subprocess.call(["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", small], stderr=subprocess.DEVNULL):
            return
        try:
            self.write("many", "".join("input %d\n" % n for n in range(2000)))
            run = self.map("same", "--inputs", "many", "--output", "small/rows")
            self.assertEqual(run.status, 1)
            self.assertIn("No space left on device", run.err)
            rows = self.read("small/rows")
            self.assertTrue(rows.endswith("}\n"))
            whole = [json.loads(line)["input"] for line in rows.splitlines()]
            self.assertEqual(len(set(whole)), len(whole))
            subprocess.check_call(["mount", "-o", "remount,size=1m", small])
            self.assertEqual(self.map("same", "--inputs", "many", "--output", "small/rows", "--resume").status, 0)
            inputs = sorted(json.loads(line)["input"] for line in self.read("small/rows").splitlines())
            self.assertEqual(inputs, sorted("input %d" % n for n in range(2000)))
        finally:
            subprocess.check_call(["umount", small])

    def test_a_reader_that_goes_away_ends_the_run_quietly(self):
        process = self.start("map", "work.py:same", "--inputs", "/dev/stdin", stdin=subprocess.PIPE)
        process.stdin.write("x\n")
        process.stdin.flush()
        self.assertEqual(json.loads(process.stdout.readline())["value"], "x")
        process.stdout.close()
        try:
            for _ in range(100000):
                process.stdin.write("y\n")
            process.stdin.close()
        except BrokenPipeError:
            pass
        process.wait(20)
        self.assertEqual(process.returncode, 141)
        self.assertNotIn("Traceback", process.stderr.read())
        process.stderr.close()

    # Signals

    def begin(self, function, names, *options):
        """A run with calls that stand at their gates, and the processes that they run in."""
        process = self.start("map", "work.py:" + function, *(list(names) + list(options)))
        pids = []
        for name in names:
            if "/" in name:
                with open(name + ".here" if function == "gate" else name) as here:
                    pids += [int(n) for n in here.read().split()]
        return process, pids

    def test_an_interrupt_lets_what_runs_end(self):
        gates = [self.fifo("one"), self.fifo("two")]
        process, pids = self.begin("gate", gates + ["later%d" % n for n in range(50)], "-j", "2", "--output", "rows")
        process.send_signal(signal.SIGINT)
        with open(gates[0], "w") as go:
            go.write("in time")
        # The other gate stays closed: five seconds, then its worker is killed.
        start = time.monotonic()
        _, err = process.communicate(timeout=20)
        self.assertTrue(3 < time.monotonic() - start < 9)
        self.assertEqual(process.returncode, 130)
        rows = [json.loads(line) for line in self.read("rows").splitlines()]
        self.assertIn("in time", [row["value"] for row in rows])
        self.assertNotIn(gates[1], [row["input"] for row in rows])
        self.assertIn("interrupted", err)
        self.assertIn("--resume", err)
        self.assertNotIn("Traceback", err)
        for pid in pids:
            self.assertTrue(is_gone(pid))

    def test_a_second_interrupt_ends_at_once(self):
        for first, second in [(signal.SIGINT, signal.SIGINT), (signal.SIGTERM, signal.SIGTERM)]:
            name = self.pipe("here%d" % first)
            process, pids = self.begin("family", [name], "-j", "1")
            process.send_signal(first)
            # What the first has started is seen from outside: nothing. So the second is repeated until it is taken as such.
            start = time.monotonic()
            while process.poll() is None and time.monotonic() - start < 4:
                process.send_signal(second)
                time.sleep(0.01)
            self.assertTrue(time.monotonic() - start < 3)
            process.communicate(timeout=10)
            self.assertEqual(process.returncode, 130)
            for pid in pids:
                self.assertTrue(is_gone(pid, 1))

    def test_a_killed_tool_leaves_nothing(self):
        for function, place in [("family", "processes"), ("stuck", "processes"), ("family", "threads"), ("stuck", "threads")]:
            name = self.pipe(function + place)
            options = ["-j", "1", "--on", place]
            if function == "family" and place == "threads":
                # Signal handlers are the main thread's alone.
                continue
            process, pids = self.begin(function, [name], *options)
            self.assertEqual(len(pids), 2)
            process.kill()
            process.communicate(timeout=10)
            for pid in pids:
                self.assertTrue(is_gone(pid, 1), (function, place))

    def test_finished_rows_survive_a_kill(self):
        gate = self.fifo("gate")
        process, _ = self.begin("gate", ["a", "b", "c", gate], "-j", "1", "--output", "rows")
        # They have ended, so their rows come without another call having to end.
        end = time.monotonic() + 10
        while self.read("rows").count("\n") < 3 and time.monotonic() < end:
            time.sleep(0.005)
        process.kill()
        process.communicate(timeout=10)
        self.assertEqual([json.loads(line)["value"] for line in self.read("rows").splitlines()], ["a", "b", "c"])
        run = self.map("same", "a", "b", "c", gate, "--output", "rows", "--resume")
        self.assertEqual((run.status, len(self.read("rows").splitlines())), (0, 4), run.err)

    def test_kills_at_random_moments_lose_nothing_and_double_nothing(self):
        """SIGKILL of the tool while it starts, writes, tidies; each time resumed. HEDDLE_LONG=1: 200 kills."""
        kills, long = 0, os.environ.get("HEDDLE_LONG")
        wanted = 200 if long else 15
        inputs = ["input %d" % (n % 900) for n in range(1000)]
        self.write("inputs", "".join(x + "\n" for x in inputs))
        dice = random.Random(wanted)
        batches = 0
        while kills < wanted:
            batches += 1
            output = "rows%d" % batches
            os.mkdir(self.path("marks"))
            seen, delay = {}, 0.05
            for turn in range(1000):
                options = ["--retry-failed"] if turn % 5 == 4 and os.path.exists(self.path(output)) else ["--resume"]
                options += ["--keep-order"] if turn % 3 == 2 else []
                process = self.start("map", "work.py:flaky", "--inputs", "inputs", "--output", output, "-j", "2", *options)
                start = time.monotonic()
                try:
                    process.communicate(timeout=dice.uniform(0, delay))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                if process.returncode == -signal.SIGKILL:
                    kills += 1
                    delay = min(delay * 1.2, 1.0)
                else:
                    self.assertIn(process.returncode, [0, 1])
                    delay = 0.3 + 0.7 * (time.monotonic() - start)
                if not os.path.exists(self.path(output)):
                    continue
                text = self.read(output)
                rows = [json.loads(line) for line in text.split("\n")[:-1]]
                good = collections.Counter(row["input"] for row in rows if row["ok"])
                for name, count in seen.items():
                    self.assertGreaterEqual(good[name], count, "a finished row was lost")
                self.assertFalse(good - collections.Counter(inputs), "a row was written twice")
                seen = good
                if process.returncode == 0 and "--resume" in options:
                    break
            rows = [json.loads(line) for line in self.read(output).splitlines()]
            self.assertEqual(collections.Counter(row["input"] for row in rows), collections.Counter(inputs))
            self.assertTrue(all(row["ok"] and "replaces" not in row for row in rows))
            self.assertFalse([name for name in os.listdir(self.folder) if name.endswith(".tidy")])
            for name in os.listdir(self.path("marks")):
                os.unlink(os.path.join(self.path("marks"), name))
            os.rmdir(self.path("marks"))

    def test_a_changed_source_is_warned_of(self):
        self.assertNotIn("warning", self.map("same", "a", "--output", "rows").err)
        self.assertNotIn("warning", self.map("same", "a", "b", "--output", "rows", "--resume").err)
        with open(self.path("work.py"), "a") as source:
            source.write("\n# changed\n")
        for _ in range(2):
            run = self.map("same", "a", "c", "--output", "rows", "--resume")
            self.assertIn("warning: the source of work.py:same has changed since rows of rows were made", run.err)
        self.assertEqual((run.status, len(self.read("rows").splitlines())), (0, 3))
        run = self.map("shout", "a", "--output", "rows", "--resume")
        self.assertIn("made by work.py:same, and this run calls work.py:shout", run.err)
        self.assertNotIn("warning", self.map("same", "a", "--output", "rows", "--overwrite").err)
        self.assertNotIn("warning", self.map("same", "a", "b", "--output", "rows", "--resume").err)

    def test_two_runs_on_one_file_are_one_too_many(self):
        gate = self.fifo("gate")
        process, _ = self.begin("gate", [gate], "-j", "1", "--output", "rows")
        for option in ["--resume", "--overwrite", "--retry-failed"]:
            run = self.map("same", "b", "--output", "rows", option)
            self.assertEqual((run.status, run.out), (2, ""))
            self.assertIn("another run is writing to rows", run.err)
        with open(gate, "w") as go:
            go.write("x")
        process.communicate(timeout=10)
        self.assertEqual((process.returncode, len(self.read("rows").splitlines())), (0, 1))

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

    def test_tables_hold_what_json_lines_hold(self):
        inputs = ["a", 'x, "y"', "b 1", "a"]
        for name in ["rows.csv", "rows.db"]:
            run = self.map("fail", *(inputs + ["--output", name, "--keep-order"]))
            expected = [(x, x != "b 1", "" if x == "b 1" else x, "exception" if x == "b 1" else "") for x in inputs]
            self.assertEqual((run.status, run.out, self.table(name)), (1, "", expected), run.err)
            self.assertEqual(self.map("fail", "a", "--output", name).status, 2)
            run = self.map("same", *(inputs + ["new", "a", "--output", name, "--resume", "--keep-order"]))
            self.assertIn("3 succeeded, 0 failed, 3 done before", run.err)
            self.assertIn("made by work.py:fail", run.err)
            self.assertEqual((run.status, self.table(name)), (0, [(x, True, x, "") for x in inputs + ["new", "a"]]))
            self.assertEqual(self.map("same", "q", "--output", name, "--overwrite").status, 0)
            self.assertEqual(self.table(name), [("q", True, "q", "")])
            leftover = [n for n in os.listdir(self.folder) if n.startswith(name) and n != name]
            self.assertEqual(leftover, [])
        run = self.map("both", "--inputs", "-", "--input-format", "json", "--output", "j.db", input='{"k": 1}\n')
        self.assertEqual(self.table("j.db"), [('{"k": 1}', True, '[[], {"k": 1}]', "")])
        self.assertEqual(self.map("same", "a", "--output", "x", "--output-format", "sqlite").status, 0)
        self.write("notes.csv", "name,phone\nme,1\n")
        self.write("notes.db", "precious")
        for name in ["notes.csv", "notes.db"]:
            before = self.read(name)
            self.assertEqual((self.map("same", "a", "--output", name, "--resume").status, self.read(name)), (2, before))

    def test_tables_survive_kills(self):
        inputs = ["input %d" % (n % 250) for n in range(300)]
        self.write("inputs", "".join(x + "\n" for x in inputs))
        dice = random.Random(7)
        for name in ["rows.csv", "rows.db"]:
            os.mkdir(self.path("marks"))
            for turn in range(400):
                process = self.start("map", "work.py:flaky", "--inputs", "inputs", "--output", name, "-j", "2", "--resume")
                try:
                    process.communicate(timeout=dice.uniform(0.05, 0.3 + turn * 0.02))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                self.assertIn(process.returncode, [0, 1, -9])
                if process.returncode == 0:
                    break
            rows = self.table(name)
            self.assertTrue(all(ok for _, ok, _, _ in rows))
            self.assertEqual(collections.Counter(given for given, _, _, _ in rows), collections.Counter(inputs))
            shutil.rmtree(self.path("marks"))
        # A CSV file that is cut anywhere goes on.
        with open(self.path("rows.csv"), "rb") as file:
            whole = file.read()
        os.mkdir(self.path("marks"))
        for length in [0, 1, 40, 70, len(whole) // 2, len(whole) - 1]:
            with open(self.path("rows.csv"), "wb") as file:
                file.write(whole[:length])
            self.assertEqual(self.map("same", "--inputs", "inputs", "--output", "rows.csv", "--resume").status, 0, length)
            self.assertEqual(collections.Counter(row[0] for row in self.table("rows.csv")), collections.Counter(inputs))

    # Options from elsewhere

    def test_options_come_from_a_file_and_the_environment(self):
        self.write("options.json", '{"map": {"retries": 2, "keep-order": true, "workers": "1"}}')
        run = self.map("fail", "b", "a", "--config", "options.json")
        self.assertEqual([(row["input"], row["attempts"]) for row in run.rows], [("b", 3), ("a", 1)])
        environment = dict(os.environ, HEDDLE_MAP_RETRIES="1", HEDDLE_CONFIG="options.json")
        self.assertEqual(self.map("fail", "b", env=environment).rows[0]["attempts"], 2)
        self.assertEqual(self.map("fail", "b", "--retries", "0", env=environment).rows[0]["attempts"], 1)
        home = dict(os.environ, HOME=self.folder)
        home.pop("XDG_CONFIG_HOME", None)
        os.makedirs(self.path(".config/heddle"))
        self.write(".config/heddle/config.json", '{"map": {"retries": 4}}')
        self.assertEqual(self.map("fail", "b", env=home).rows[0]["attempts"], 5)
        for text, part in [('{"map": {"retires": 1}}', "retires"), ("{", "JSON"), ('{"mpa": {}}', "mpa"), ('{"map": {"timeout": "soon"}}', "soon")]:
            self.write("options.json", text)
            run = self.map("fail", "a", "--config", "options.json")
            self.assertEqual((run.status, len(run.err.splitlines())), (2, 1), run.err)
            self.assertIn(part, run.err)
        self.assertEqual(self.map("fail", "a", "--config", "nowhere").status, 2)
        # What stands there for all runs is no reason to refuse one that it does not go with.
        text = '{"map": {"memory-limit": "1GB", "on": "threads", "python": "python3", "output-format": "csv", "tag": true, "max-failures": 5}}'
        self.write("options.json", text)
        run = self.command("--config", "options.json", "--", "echo", "{}", ":::", "a")
        self.assertEqual((run.status, run.out[:2]), (0, "a\t"), run.err)
        run = self.map("same", "a", "--config", "options.json", "--output", "out.csv", "--halt", "never")
        self.assertEqual((run.status, self.read("out.csv")[:6]), (0, "index,"), run.err)
        run = self.map("same", "a", "--config", "options.json", "--timeout", "300%")
        self.assertEqual(run.status, 0, run.err)
        run = self.map("same", "a", "--config", "options.json", "--halt", "whenever")
        self.assertEqual((run.status, "now,fail=1" in run.err), (2, True))

    def test_the_doctor_and_the_manual(self):
        run = self.run_tool("doctor")
        self.assertEqual((run.status, run.err), (0, ""), run.out)
        for part in ["cores may be used", "shared memory can be made", "heddle map uses Python", "a function was called in a worker process"]:
            self.assertIn(part, run.out)
        pythons = re.findall(r"(?:uses Python|there too).*", run.out)
        self.assertEqual(len(pythons), len(set(re.sub(".*--python ", "", line) for line in pythons)), run.out)
        used = re.search(r"uses Python (\S+), (.*)", run.out)
        same = [line for line in run.out.splitlines() if "Python %s is there too" % used.group(1) in line]
        for line in same:
            other = shutil.which(line.rpartition("--python ")[2])
            real = subprocess.check_output([other, "-c", "import os, sys; print(os.path.realpath(sys.executable))"], universal_newlines=True)
            self.assertNotEqual(real.strip(), os.path.realpath(used.group(2)), run.out)
        run = self.run_tool("doctor", "--python", "/none")
        self.assertEqual(run.status, 1)
        self.assertIn("FAIL  /none does not exist", run.out)
        page = self.run_tool("manual").out
        self.assertTrue(page.startswith(".TH HEDDLE 1"))
        for part in ["\\-\\-keep\\-order", "HEDDLE DOCTOR", "EXIT STATUS"]:
            self.assertIn(part, page)
        for shell in ["bash", "zsh", "fish"]:
            self.assertIn("retry-failed", self.run_tool("--generate-completion-script", shell).out)

    # Commands

    def command(self, *arguments, **options):
        return self.run_tool("map", *arguments, **options)

    def test_commands_have_rows_like_functions(self):
        run = self.command("-k", "--", "printf", "%s|", "{}", "{/.}", "{#}", "a 'b'", ":::", "d/x.y", "*$HOME;")
        self.assertEqual([row["value"] for row in run.rows], ["d/x.y|x|1|a 'b'|", "*$HOME;|*$HOME;|2|a 'b'|"])
        self.assertEqual((run.status, list(run.rows[0])), (0, ["index", "input", "ok", "value", "seconds", "attempts"]))
        script = "echo out {}; echo to the error >&2; case {} in k*) kill -SEGV $$;; e*) exit 3;; s*) sleep 600;; esac"
        run = self.command("--shell", "--timeout", "500ms", "--tag", "--", script, ":::", "a b", "k", "e", "s")
        self.assertEqual({line.split("\t")[0] for line in run.out.splitlines()}, {"a b", "k", "e", "s"})
        rows = {row["input"]: row for row in map(json.loads, (line.split("\t", 1)[1] for line in run.out.splitlines()))}
        self.assertEqual((run.status, rows["a b"]["value"]), (1, "out a b\n"))
        self.assertEqual((rows["k"]["error"]["code"], rows["k"]["error"]["exit"]), ("workerDied", "SIGSEGV"))
        self.assertEqual(rows["k"]["error"]["message"], "the command was killed by SIGSEGV: to the error")
        self.assertEqual(rows["e"]["error"], {"code": "exception", "message": "the command exited with 3: to the error", "exit": "exit 3"})
        self.assertIn("  exit 3: 1\n", run.err)
        self.assertEqual(rows["s"]["error"]["code"], "timedOut")
        self.assertIn("a b\tto the error\n", run.err)
        run = self.command("--retries", "2", "--output", "rows", "--", "cat", ":::", "none", "work.py")
        rows = {row["input"]: row for row in map(json.loads, self.read("rows").splitlines())}
        self.assertEqual((rows["none"]["attempts"], rows["work.py"]["value"]), (3, self.read("work.py")))
        self.write("none", "here now")
        run = self.command("--output", "rows", "--resume", "--", "cat", ":::", "none", "work.py")
        self.assertEqual((run.status, len(self.read("rows").splitlines())), (0, 2))
        self.assertIn("1 succeeded, 0 failed, 1 done before", run.err)
        run = self.command("--output", "rows", "--resume", "--", "tac", ":::", "none", "work.py", "new")
        self.assertIn("were made by cat {}, and this run calls tac {}", run.err)

    def test_no_more_commands_run_than_jobs_and_places_are_theirs(self):
        os.mkdir(self.path("now"))
        script = ": {}; touch now/{%}.{#}; ls now | wc -l; ls now | grep -c '^{%}[.]'; sleep 0.05; rm now/{%}.{#}"
        run = self.command("--shell", "-j", "3", "--inputs", "-", "--", script, input="".join("%d\n" % n for n in range(40)))
        counts = [[int(part) for part in row["value"].split()] for row in run.rows]
        self.assertEqual((run.status, len(counts)), (0, 40))
        self.assertLessEqual(max(count for count, _ in counts), 3)
        self.assertGreaterEqual(max(count for count, _ in counts), 2)
        self.assertEqual({own for _, own in counts}, {1})

    def test_a_command_is_killed_with_all_that_it_started(self):
        script = "sleep 600 & echo $! > {}.pid; echo $$ > {}; wait"
        run = self.command("--shell", "--timeout", "300ms", "--", script, ":::", "a")
        self.assertEqual(run.rows[0]["error"]["code"], "timedOut")
        for name in ["a", "a.pid"]:
            self.assertTrue(is_gone(int(self.read(name)), 1))
        # What a command leaves behind goes with it.
        run = self.command("--shell", "--", ": {}; sleep 600 > /dev/null & echo $!", ":::", "x")
        self.assertTrue(is_gone(int(run.rows[0]["value"]), 1))
        for end in [signal.SIGKILL, signal.SIGTERM]:
            name = "b%d" % end
            process = self.start("map", "--shell", "--", "trap '' TERM; " + script.replace("> {};", "> {};: > {}.go;"), ":::", name)
            while not os.path.exists(self.path(name + ".go")):
                time.sleep(0.005)
            process.send_signal(end)
            process.communicate(timeout=20)
            self.assertEqual(process.returncode, -9 if end == signal.SIGKILL else 130)
            for part in ["", ".pid"]:
                self.assertTrue(is_gone(int(self.read(name + part)), 1), end)

    def test_a_mistyped_subcommand_is_told_which_was_meant(self):
        for arguments, part in [
            (["mpa", "work.py:same", "a"], "did you mean heddle map?"),
            (["docter"], "did you mean heddle doctor?"),
            (["work.py:same", "a"], "did you mean heddle map work.py:same?"),
            (["frobnicate"], "there are map, doctor, manual, help"),
        ]:
            run = self.run_tool(*arguments)
            self.assertEqual((run.status, run.out, len(run.err.splitlines())), (2, "", 1), run.err)
            self.assertIn(part, run.err)

    def test_commands_are_refused_before_anything_runs(self):
        for arguments, part in [
            (["--", "no-such-program", ":::", "a"], "no program no-such-program"),
            (["--", "cat"], "no inputs"),
            (["--"], "target"),
            (["--", ":::", "a"], "target"),
            (["--memory-limit", "1GB", "--", "cat", ":::", "a"], "--memory-limit is for functions"),
            (["--", "cat", ":::", "a", ":::", "b"], "twice"),
            (["--shell", "work.py:same", "a"], "--shell"),
            (["--timeout", "50%", "--", "cat", ":::", "a"], "more than 100%"),
            (["--halt", "later", "--", "cat", ":::", "a"], "now,fail=1"),
        ]:
            run = self.command(*arguments)
            self.assertEqual((run.status, run.out, len(run.err.splitlines())), (2, "", 1), (arguments, run.err))
            self.assertIn(part, run.err)

    # GNU parallel's options

    def test_options_of_gnu_parallel(self):
        self.assertEqual(self.map("same", "a", "b", "--dry-run").out, 'work.py:same("a")\nwork.py:same("b")\n')
        self.assertEqual(self.command("--dry-run", "--", "echo", "{}", ":::", "a b").out, "echo 'a b'\n")
        run = self.command("--halt", "now,fail=1", "--joblog", "log", "-j", "2", "--shell", "--", "sleep {}; exit {}", ":::", "600", "1", "5")
        self.assertEqual((run.status, [row["input"] for row in run.rows]), (1, ["1"]))
        self.assertIn("stopped after 1 failures", run.err)
        head, line = self.read("log").splitlines()
        self.assertEqual(head.split("\t"), "Seq Host Starttime JobRuntime Send Receive Exitval Signal Command".split())
        fields = line.split("\t")
        self.assertEqual((fields[0], fields[1], fields[6:]), ("2", ":", ["1", "0", "sleep 1; exit 1"]))
        self.assertTrue(abs(time.time() - float(fields[2])) < 20 and 1 <= float(fields[3]) < 5)
        # The start is that of the call, also where its row waits for others; the place is the one that it ran in.
        begin = time.time()
        run = self.command("-k", "--joblog", "log", "-j", "2", "--shell", "--", "sleep {}; : {%}", ":::", "1", "0.1")
        first, second = [line.split("\t") for line in self.read("log").splitlines()[1:]]
        self.assertTrue(abs(float(first[2]) - float(second[2])) < 0.5 and float(second[2]) - begin < 0.9, (begin, first, second))
        self.assertEqual({first[8], second[8]}, {"sleep 1; : 1", "sleep 0.1; : 2"})
        # A run that is refused leaves the log of the one before, and makes none.
        before = self.read("log")
        self.assertEqual(self.map("no_such_function", "a", "--joblog", "log").status, 2)
        self.assertEqual(self.map("no_such_function", "a", "--joblog", "other").status, 2)
        self.assertEqual((self.read("log"), os.path.exists(self.path("other"))), (before, False))
        run = self.map("fail", "b", "a", "a", "--halt", "soon,success=1", "-j", "1")
        self.assertEqual(run.status, 0)
        start = time.monotonic()
        run = self.map("same", "a", "b", "c", "--delay", "200ms", "-j", "3")
        self.assertGreaterEqual(time.monotonic() - start, 0.4)
        self.assertEqual(run.status, 0)
        self.write("many", "".join("%d\n" % n for n in range(200)))
        run = self.map("same", "--inputs", "many", "--shuf", "-j", "1")
        order = [row["index"] for row in run.rows]
        self.assertNotEqual(order, sorted(order))
        self.assertEqual(sorted(order), list(range(200)))
        self.assertTrue(all(row["input"] == str(row["index"]) for row in run.rows))
        self.write("nul", "a\nb\0 \0c\r\0")
        self.assertEqual([row["value"] for row in self.map("same", "-0", "-k", "--inputs", "nul").rows], ["a\nb", " ", "c\r"])
        self.assertRegex(self.map("same", "--inputs", "many", "--bar").err, r"\[[#-]{20}\] \d+/200 \d+%")
        self.assertIn("/200 ", self.map("same", "--inputs", "many", "--eta").err)


        self.assertEqual(self.command("--nice", "11", "--shell", "--", "nice #", ":::", "x").rows[0]["value"], "11\n")
        run = self.map("die", *(["a"] * 5 + ["loop"] + ["b"] * 5 + ["--timeout", "1000%", "-j", "2"]))
        errors = [row["error"]["code"] for row in run.rows if not row["ok"]]
        self.assertEqual((errors, len(run.rows)), (["timedOut"], 11))
        self.assertIn("10 succeeded, 1 failed", run.err)
        self.assertEqual(self.map("same", "a", "--memfree", "1MB").status, 0)

    # The terminal

    def test_progress_is_shown_on_a_terminal_and_nowhere_else(self):
        self.assertNotIn("\x1b", self.map("same", "a").err)
        self.assertIn("\x1b[K", self.map("same", "a", "--progress", "always").err)
        for options, is_shown in [([], True), (["--progress", "never"], False)]:
            parent, child = pty.openpty()
            process = self.start("map", "work.py:shout", "a", "b", "c", *options, stderr=child)
            os.close(child)
            text = b""
            while True:
                try:
                    part = os.read(parent, 4096)
                except OSError:
                    break
                if not part:
                    break
                text += part
            os.close(parent)
            out, _ = process.communicate(timeout=20)
            text = text.decode()
            process.stdout.close()
            self.assertEqual(len(out.splitlines()), 3)
            self.assertEqual("\x1b[K" in text, is_shown, text)
            self.assertIn("printed a", text)
            self.assertIn("3 succeeded, 0 failed", text.splitlines()[-1])


if __name__ == "__main__":
    unittest.main()
