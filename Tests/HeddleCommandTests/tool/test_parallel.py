"""GNU parallel's options, and what a terminal shows."""

import os
import pty
import time

from support import ToolTests


class ParallelTests(ToolTests):
    def test_options_of_gnu_parallel(self):
        self.assertEqual(self.map("same", "a", "b", "--dry-run").out, 'work.py:same("a")\nwork.py:same("b")\n')
        self.assertEqual(self.command("--dry-run", "--", "echo", "{}", ":::", "a b").out, "echo 'a b'\n")
        run = self.command("--halt", "now,fail=1", "--joblog", "log", "-j", "2", "--shell", "--", "sleep {}; exit {}", ":::", "600", "1", "5")
        self.assertEqual((run.status, [row["input"] for row in run.rows]), (1, ["1"]))
        self.assertIn("stopped after 1 failure;", run.err)
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
