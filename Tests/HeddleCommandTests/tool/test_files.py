"""Files of results: gone on with, refused, full, in tables."""

import json
import os
import subprocess

from support import ToolTests


class FilesTests(ToolTests):
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
