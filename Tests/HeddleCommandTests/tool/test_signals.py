"""The tool is interrupted, or killed."""

import collections
import json
import os
import random
import shutil
import signal
import subprocess
import time

from support import ToolTests, is_gone


class SignalsTests(ToolTests):
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

    def test_what_was_ignored_from_the_start_stays_so(self):
        for number in (signal.SIGHUP, signal.SIGINT):
            gate = self.fifo("open%d" % number)
            process, pids = self.begin("gate", [gate], "-j", "1", preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
            process.send_signal(number)
            with open(gate, "w") as go:
                go.write("x")
            out, err = process.communicate(timeout=20)
            self.assertEqual((process.returncode, json.loads(out)["value"]), (0, "x"), err)

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
