"""Wrong use, help, options from elsewhere, and the other subcommands."""

import os
import re
import shutil
import subprocess
import sys

from support import HEDDLE, ToolTests


class UsageTests(ToolTests):
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
