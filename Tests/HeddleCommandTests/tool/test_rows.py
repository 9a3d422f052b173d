"""What rows say, whatever became of a call."""

import ast
import json
import os
import re
import signal
import sys

from support import is_busy, ToolTests


class RowsTests(ToolTests):
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
        if re.search(r"--on auto: threads, since the first calls computed \d\d%", run.err) and is_busy():
            self.skipTest("this machine is busy: what computes waits for a processor three quarters of its time")
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
        self.assertEqual((process.returncode, json.loads(out.splitlines()[0])["value"]), (130, "x"), err)
        # The signal may come to the tool after the word to go has come to the call, and others may have run then.
        self.assertTrue(len(out.splitlines()) == 3 or "%d inputs have no row yet" % (3 - len(out.splitlines())) in err, err)

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

    def test_too_many_failures_start_nothing_more(self):
        run = self.map("fail", "--inputs", "-", "--max-failures", "2", "-j", "1", input="b\n" * 1000)
        self.assertEqual(run.status, 1)
        self.assertTrue(2 <= len(run.rows) < 200, len(run.rows))
        self.assertIn("stopped after", run.err)
