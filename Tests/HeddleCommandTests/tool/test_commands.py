"""Commands in the place of functions."""

import json
import os
import signal
import time

from support import ToolTests, is_gone


class CommandsTests(ToolTests):
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
