"""Where inputs come from."""

import json
import os
import subprocess

from support import ToolTests


class InputsTests(ToolTests):
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
