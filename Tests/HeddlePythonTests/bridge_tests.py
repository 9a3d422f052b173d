"""The promises of the bridge's worker, with a byte stream in the place of the rings. Run by InterpreterTests.swift on every Python;
also by hand: python3 Tests/HeddlePythonTests/bridge_tests.py

The rings themselves need their other end, which is Swift: ExecutorTests.swift.
"""

import marshal
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import types
import unittest

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Sources/HeddlePython/Bridge")
#: The order of the program's parts, as in Bridge.swift.
PARTS = ["bridge", "transport", "targets", "shared", "values", "worker", "loop", "interpreters", "entry"]
NAME = "<heddle>"


def program():
    """The bridge as one text."""
    texts = []
    for part in PARTS:
        with open(os.path.join(FOLDER, part + ".py")) as source:
            texts.append(source.read())
    return "\n\n".join(texts)


HELLO = 0
RETURNED, RAISED, REFUSED, UNSENDABLE, OUT_OF_MEMORY = 1, 3, 4, 5, 6


class StreamTransport:
    """What the worker asks of a transport, over a socket. A frame: its length (4 bytes), then from us kind, position, processor and
    wall time and the payload; to us the position, the length of the target, the target and the payload."""

    def __init__(self, channel, memory, threads, handover=-1):
        self.socket = socket.socket(fileno=channel)
        self.parked = True

    def read(self, count):
        data = bytearray()
        while len(data) < count:
            part = self.socket.recv(count - len(data))
            if not part:
                return None
            data += part
        return data

    def greet(self):
        self.send(HELLO, 0, b"")

    def receive(self):
        header = self.read(4)
        frame = header and self.read(struct.unpack("<I", header)[0])
        if not frame:
            return None
        position, length = struct.unpack_from("<QH", frame)
        return position, frame[10 : 10 + length].decode(), memoryview(frame)[10 + length :]

    def send(self, kind, position, payload, cpu=0, wall=0, extra=0, more=0):
        self.socket.sendall(struct.pack("<IBQQQ", len(payload) + 25, kind, position, cpu, wall) + payload)

    def close(self):
        self.socket.close()


def serve():
    """Runs the bridge with a stream: what `Bridge` below starts."""
    del sys.path[0]
    bridge = types.ModuleType("bridge")
    exec(compile(program(), NAME, "exec"), bridge.__dict__)
    bridge.RingTransport = StreamTransport
    channel, lifeline, threads, limit = [int(n) for n in sys.argv[3:7]]
    bridge.serve(channel, os.dup(0), lifeline, sys.argv[2], threads, limit)


MODULE = '''
import collections, dataclasses, datetime, decimal, enum, os, pathlib, sys, threading, time, uuid, asyncio
print("printed at import")

def echo(*args, **kwargs): return [list(args), kwargs]
def identity(x): return x
def shout(x): print("shout", x); print("no newline", end=""); return x
def fail(): raise ValueError("no good")
def chained():
    try:
        {}["k"]
    except KeyError as e:
        raise RuntimeError("outer") from e
def implicit():
    try:
        1 / 0
    except ZeroDivisionError:
        raise RuntimeError("second")
def noted():
    e = ValueError("with notes"); e.__notes__ = ["one", "two"]; raise e
class Odd(Exception):
    def __str__(self): raise TypeError("broken")
def odd(): raise Odd()
def leave(): sys.exit(3)
def interrupted(): raise KeyboardInterrupt()
def recurse(): return recurse()
def huge(): return bytearray(1 << 62)
def die(): os._exit(7)
def take(size): return len(bytearray(size))
def forks(status):
    pid = os.fork()
    if pid == 0:
        if status is None: return "from the child"
        sys.exit(status)
    return os.waitpid(pid, 0)[1] >> 8
def where(): return [__name__, __file__, sys.path[0], sys.argv, os.path.exists(__file__)]
def sleepy(s): time.sleep(s); return threading.current_thread().name
def burn(s):
    end = time.perf_counter() + s
    while time.perf_counter() < end: pass
def numbers(n): yield from range(n)
async def later(x): await asyncio.sleep(0); return x + 1
async def many(n):
    for i in range(n): yield i
barrier = threading.Barrier(2)
def meet(): barrier.wait(10); return threading.current_thread().name
class Tool:
    scale = 3
    @staticmethod
    def double(x): return 2 * x
    class Inner:
        @classmethod
        def triple(cls, x): return 3 * x
Point = collections.namedtuple("Point", "x y")
@dataclasses.dataclass
class Shape:
    name: str
    at: Point
class Colour(enum.Enum):
    RED = "red"
class Level(enum.IntEnum):
    HIGH = 9
class Text(str): pass
class Opaque: pass
def rich():
    return {"point": Point(1, 2), "shape": Shape("s", Point(3, 4)), "enum": Colour.RED, Level.HIGH: Level.HIGH, "text": Text("t"),
            "set": {3, 1, 2}, "path": pathlib.Path("/a/b"), "uuid": uuid.UUID(int=5), "day": datetime.datetime(2020, 1, 2, 3),
            "decimal": decimal.Decimal("1.50"), "ordered": collections.OrderedDict(a=1), "range": range(3), "array": bytearray(b"x"),
            "deque": collections.deque([1]), "keys": {"k": 1}.keys(), "default": collections.defaultdict(int, a=1),
            "map": map(str, [1]), "tuple": (1, (2,))}
def opaque(): return [Opaque()]
def function(): return {"f": len}
def complex_number(): return 1j
def circular(): a = []; a.append(a); return a
def deep(n):
    a = []
    for _ in range(n): a = [a]
    return a
def typed_array():
    import array
    return {"a": array.array("i", [1, 2])}
if __name__ == "__main__":
    raise SystemExit("ran as a script")
value = 5
'''


class Bridge:
    """A bridge in a process of its own, and the parent's end of its channel."""

    def __init__(self, folder, threads=1, limit=0, way="calls"):
        self.mine, theirs = socket.socketpair()
        os.set_inheritable(theirs.fileno(), True)
        life, self.life = os.pipe()
        self.process = subprocess.Popen(
            [sys.executable, os.path.abspath(__file__), "serve", way, str(theirs.fileno()), str(life), str(threads), str(limit)],
            pass_fds=[theirs.fileno(), life], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            cwd=folder, start_new_session=True)
        theirs.close()
        os.close(life)
        self.mine.settimeout(20)
        self.jobs = 0
        self.greeting = self.answer()

    def read(self, count):
        data = b""
        while len(data) < count:
            part = self.mine.recv(count - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def answer(self):
        """kind, job, value, cpu, wall"""
        size = struct.unpack("<I", self.read(4))[0]
        frame = self.read(size)
        kind, job, cpu, wall = struct.unpack_from("<BQQQ", frame)
        return kind, job, marshal.loads(frame[25:]) if kind != HELLO else None, cpu / 1e9, wall / 1e9

    def send(self, target, *args, **kwargs):
        self.jobs += 1
        payload = marshal.dumps((args, kwargs), 2)
        name = target.encode()
        self.mine.sendall(struct.pack("<IQH", 10 + len(name) + len(payload), self.jobs, len(name)) + name + payload)
        return self.jobs

    def call(self, target, *args, **kwargs):
        job = self.send(target, *args, **kwargs)
        answer = self.answer()
        assert answer[1] == job
        return answer

    def stop(self):
        self.mine.close()
        out, err = self.process.communicate(timeout=20)
        try:
            os.close(self.life)
        except OSError:
            pass
        return self.process.returncode, out.decode(), err.decode()


class BridgeTests(unittest.TestCase):
    threads = 1

    @classmethod
    def setUpClass(cls):
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = os.path.realpath(cls.temporary.name)
        cls.write("work.py", MODULE)
        os.mkdir(os.path.join(cls.folder, "package"))
        cls.write("package/__init__.py", "")
        cls.write("package/part.py", "def one(): return 1\n")
        cls.bridge = Bridge(cls.folder, cls.threads)

    @classmethod
    def tearDownClass(cls):
        cls.discard()
        cls.temporary.cleanup()

    @classmethod
    def discard(cls):
        if cls.bridge.process.poll() is None:
            cls.bridge.stop()
        cls.bridge.mine.close()
        cls.bridge.process.stdout.close()
        cls.bridge.process.stderr.close()

    @classmethod
    def renew(cls):
        """Another bridge, for what depends on nothing having been called, or ends it."""
        cls.discard()
        cls.bridge = Bridge(cls.folder, cls.threads)

    @classmethod
    def write(cls, name, text):
        with open(os.path.join(cls.folder, name), "w") as file:
            file.write(textwrap.dedent(text))

    def returned(self, *args, **kwargs):
        kind, _, value, _, _ = self.bridge.call(*args, **kwargs)
        self.assertEqual(kind, RETURNED, value)
        return value

    def raised(self, *args):
        kind, _, value, _, _ = self.bridge.call(*args)
        self.assertEqual(kind, RAISED, value)
        return value

    def refused(self, target):
        kind, _, value, _, _ = self.bridge.call(target)
        self.assertEqual(kind, REFUSED, value)
        return value

    def test_it_greets(self):
        self.renew()
        self.assertEqual(self.bridge.greeting[:2], (HELLO, 0))

    def test_a_file_is_loaded_once(self):
        self.renew()
        self.write("count.py", "import os\nos.write(1, b'loaded ')\ndef a(): return 1\ndef b(): return 2\n")
        self.assertEqual((self.returned("count.py:a"), self.returned("./count.py:b")), (1, 2))
        self.assertEqual(os.read(self.bridge.process.stdout.fileno(), 1000), b"loaded ")

    def test_arguments_arrive_and_results_return(self):
        for value in [None, True, 1, -1, 2**31, 2**63, -2**100, 1.5, float("inf"), "text", u"\u00e9\U0001F600", "\ud800", b"\0\xff",
                      [1, [2]], {"k": {"n": None}}, {1: 2}, (1, 2)]:
            self.assertEqual(self.returned("work.py:identity", value), value)
        self.assertEqual(self.returned("work.py:echo", 1, 2, k=3), [[1, 2], {"k": 3}])

    def test_targets_are_files_modules_and_dotted_names(self):
        self.assertEqual(self.returned("package.part:one"), 1)
        self.assertEqual(self.returned("package/part.py:one"), 1)
        self.assertEqual(self.returned("work.py:Tool.double", 4), 8)
        self.assertEqual(self.returned("work.py:Tool.Inner.triple", 4), 12)
        self.assertEqual(self.returned("work:identity", 4), 4)
        self.assertEqual(self.returned("math:sqrt", 16), 4.0)

    def test_a_file_is_loaded_as_python_runs_it_but_not_as_main(self):
        self.renew()
        name, file, path, argv, exists = self.returned("work.py:where")
        self.assertEqual((name, file, path, argv, exists), ("work", os.path.join(self.folder, "work.py"), self.folder, ["work.py"], True))

    def test_a_file_with_a_taken_name_does_not_replace_the_module(self):
        self.write("marshal.py", "def f(): import marshal; return marshal.dumps(1)[:1]\n")
        self.assertEqual(self.returned("marshal.py:f"), marshal.dumps(1)[:1])

    def test_an_exception_is_data(self):
        error = self.raised("work.py:fail")
        self.assertEqual((error["type"], error["message"], error["notes"]), ("ValueError", "no good", []))
        self.assertTrue(error["traceback"].startswith("Traceback (most recent call last):\n  File"), error["traceback"])
        self.assertTrue(error["traceback"].endswith("ValueError: no good\n"))
        self.assertNotIn(NAME, error["traceback"])
        self.assertEqual(self.raised("work.py:identity")["type"], "TypeError")
        self.assertNotIn(NAME, self.raised("work.py:identity")["traceback"])

    def test_causes_and_notes_are_kept(self):
        error = self.raised("work.py:chained")
        self.assertEqual((error["type"], error["cause"]["type"], error["direct"]), ("RuntimeError", "KeyError", True))
        error = self.raised("work.py:implicit")
        self.assertEqual((error["cause"]["type"], error["direct"]), ("ZeroDivisionError", False))
        self.assertEqual(self.raised("work.py:noted")["notes"], ["one", "two"])
        self.assertEqual(self.raised("work.py:odd")["type"], "work.Odd")
        self.assertIn("TypeError", self.raised("work.py:odd")["message"])

    def test_leaving_interrupting_and_running_out_are_exceptions_of_the_call(self):
        error = self.raised("work.py:leave")
        self.assertEqual((error["type"], error["message"]), ("SystemExit", "3"))
        self.assertEqual(self.raised("work.py:interrupted")["type"], "KeyboardInterrupt")
        self.assertEqual(self.raised("work.py:recurse")["type"], "RecursionError")
        self.assertEqual(self.raised("work.py:huge")["type"], "MemoryError")
        self.assertEqual(self.returned("work.py:identity", 1), 1)

    def test_a_dying_function_takes_the_worker_with_it(self):
        self.renew()
        self.bridge.send("work.py:die")
        with self.assertRaises((EOFError, ConnectionError)):
            self.bridge.answer()
        self.assertEqual(self.bridge.process.wait(), 7)
        self.renew()

    def test_a_forked_child_that_returns_ends_and_answers_nothing(self):
        for status, code in [(None, 0), (3, 3), (0, 0), ("text", 1)]:
            self.assertEqual(self.returned("work.py:forks", status), code)
        self.assertEqual(self.returned("work.py:identity", 1), 1)

    def test_rich_values_become_plain(self):
        self.assertEqual(self.returned("work.py:rich"), {
            "point": {"x": 1, "y": 2}, "shape": {"name": "s", "at": {"x": 3, "y": 4}}, "enum": "red", 9: 9, "text": "t", "set": [1, 2, 3],
            "path": "/a/b", "uuid": "00000000-0000-0000-0000-000000000005", "day": "2020-01-02T03:00:00", "decimal": "1.50",
            "ordered": {"a": 1}, "range": [0, 1, 2], "array": b"x", "deque": [1], "keys": ["k"], "default": {"a": 1}, "map": ["1"],
            "tuple": (1, (2,))})
        self.assertEqual(self.returned("work.py:typed_array"), {"a": [1, 2]})

    def test_generators_and_coroutines_are_run_to_their_end(self):
        self.assertEqual(self.returned("work.py:numbers", 3), [0, 1, 2])
        self.assertEqual(self.returned("work.py:later", 3), 4)
        self.assertEqual(self.returned("work.py:many", 3), [0, 1, 2])

    def test_what_cannot_travel_is_named(self):
        for target, text in [("opaque", "work.Opaque"), ("function", "built-in function len"), ("complex_number", "z.real"),
                             ("circular", "holds itself")]:
            kind, _, value, _, _ = self.bridge.call("work.py:" + target)
            self.assertEqual(kind, UNSENDABLE)
            self.assertIn(text, value["message"])
        kind, _, value, _, _ = self.bridge.call("work.py:deep", 5000)
        self.assertEqual(kind, UNSENDABLE, value)
        self.assertEqual(len(repr(self.returned("work.py:deep", 500))), 2 * 501)

    def test_a_target_that_cannot_be_called_is_refused_with_a_hint(self):
        self.write("broken.py", "import os\nraise KeyError('at import')\n")
        self.write("wants.py", "import no_such_module_x\n")
        self.write("script.py", "import sys\nsys.exit(0)\n")
        self.write("syntax.py", "def f(:\n")
        for target, reason, text in [
            ("work.py:shot", "missingFunction", "did you mean shout?"),
            ("work.py:zzzzzz", "missingFunction", "it has Colour"),
            ("work.py:value", "notCallable", "is a int"),
            ("wrk.py:f", "missingFile", "did you mean work.py?"),
            ("none/wrk.py:f", "missingFile", "its folder"),
            ("package/:f", "missingFile", "is a directory"),
            ("pakage:f", "missingModule", "did you mean package?"),
            ("package.pat:f", "missingModule", "did you mean part?"),
            ("work", "syntax", "names no function"),
            ("broken.py:f", "importFailed", "KeyError: 'at import'"),
            ("broken:f", "importFailed", "KeyError: 'at import'"),
            ("wants.py:f", "importFailed", "no_such_module_x"),
            ("wants:f", "importFailed", "no_such_module_x"),
            ("script.py:f", "importFailed", "__main__"),
            ("syntax.py:f", "importFailed", "SyntaxError"),
        ]:
            value = self.refused(target)
            self.assertEqual((target, value["reason"]), (target, reason))
            self.assertIn(text, value["message"])
            if reason == "importFailed":
                self.assertNotIn(NAME, value["failure"]["traceback"])

    def test_what_is_printed_goes_to_standard_output_and_leaves_at_once(self):
        self.renew()
        self.returned("work.py:shout", 1)
        self.assertEqual(os.read(self.bridge.process.stdout.fileno(), 1000), b"printed at import\nshout 1\nno newline")

    def test_time_is_measured(self):
        _, _, _, cpu, wall = self.bridge.call("work.py:sleepy", 0.05)
        self.assertTrue(0.05 <= wall < 5 and cpu < 0.02, (cpu, wall))
        _, _, _, cpu, wall = self.bridge.call("work.py:burn", 0.05)
        # Others want the processor too.
        self.assertTrue(0.002 <= cpu <= wall, (cpu, wall))

    def test_it_ends_with_its_channel(self):
        self.renew()
        self.assertEqual(self.bridge.stop()[0], 0)
        self.renew()

    def test_a_busy_worker_ends_with_its_lifeline(self):
        self.renew()
        self.bridge.send("work.py:burn", 60)
        os.close(self.bridge.life)
        self.assertEqual(self.bridge.process.wait(10), -signal.SIGKILL)
        self.renew()


class LimitedBridgeTests(unittest.TestCase):
    def test_a_call_that_needs_too_much_memory_fails_alone(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "work.py"), "w") as file:
                file.write(MODULE)
            bridge = Bridge(folder, limit=200 << 20)
            self.assertEqual(bridge.call("work.py:take", 100 << 20)[::2][:2], (RETURNED, 100 << 20))
            kind, _, value, _, _ = bridge.call("work.py:take", 300 << 20)
            self.assertEqual((kind, value["limit"]), (OUT_OF_MEMORY, 200 << 20))
            self.assertEqual(bridge.call("work.py:take", 1)[0], RETURNED)
            bridge.stop()
            bridge.process.stdout.close()
            bridge.process.stderr.close()


class ThreadedBridgeTests(BridgeTests):
    """The same promises with four threads, and that calls overlap."""

    threads = 4
    # CPython 3.13.0 may hang in a child that is forked beside other threads, before it runs a line of Python.
    test_a_forked_child_that_returns_ends_and_answers_nothing = None

    def test_calls_run_at_once(self):
        jobs = {self.bridge.send("work.py:meet"), self.bridge.send("work.py:meet")}
        first, second = self.bridge.answer(), self.bridge.answer()
        self.assertEqual({first[1], second[1]}, jobs)
        self.assertNotEqual(first[2], second[2])


class LoadTests(unittest.TestCase):
    def test_the_program_is_compiled_once_where_it_can_be_kept(self):
        scope = {}
        with open(os.path.join(FOLDER, "load.py")) as source:
            exec(compile(source.read(), "load.py", "exec"), scope)

        def load(text, cache):
            values = {}
            exec(scope["load"](text, cache), values)
            return values["x"]

        with tempfile.TemporaryDirectory() as folder:
            cache = os.path.join(folder, "of", "mine", "bridge-1")
            self.assertEqual(load("x = 1", cache), 1)
            # The name stands for the text, so nobody looks at that again.
            self.assertEqual(load("x = 2", cache), 1)
            (kept,) = os.listdir(os.path.dirname(cache))
            for bad in [b"", b"\xff garbage", marshal.dumps(5)[:3], marshal.dumps(5)]:
                with open(os.path.join(os.path.dirname(cache), kept), "wb") as file:
                    file.write(bad)
                self.assertEqual(load("x = 3", cache), 3)
            self.assertEqual(os.listdir(os.path.dirname(cache)), [kept])
            for nowhere in ["", os.path.join(folder, "of", "mine", kept, "below"), "/proc/none/bridge"]:
                self.assertEqual(load("x = 4", nowhere), 4)


class CheckTests(unittest.TestCase):
    def check(self, target):
        read, write = os.pipe()
        try:
            boot = "import sys; scope = {}; exec(compile(sys.argv.pop(1), '<heddle>', 'exec'), scope); scope['main'](sys.argv[1:], None)"
            command = [sys.executable, "-c", boot, program(), "check", target, str(write), "-1"]
            subprocess.run(command, pass_fds=[write], check=True)
            answer = os.read(read, 1 << 16)
            self.assertEqual(answer[:1], b"+")
            return marshal.loads(answer[1:])
        finally:
            os.close(read)
            os.close(write)

    def test_a_check_answers_what_became_of_the_target(self):
        self.assertNotIn("reason", self.check("math:sqrt"))
        self.assertEqual(self.check("math:sqrt")["version"], list(sys.version_info[:3]))
        self.assertEqual(self.check("math:sqart")["reason"], "missingFunction")


class NumpyTests(BridgeTests):
    """Arrays and scalars of NumPy, also inside of other values: marshal alone would write them as raw bytes."""

    @classmethod
    def setUpClass(cls):
        try:
            import numpy  # noqa: F401
        except ImportError:
            raise unittest.SkipTest("this Python has no NumPy")
        super(NumpyTests, cls).setUpClass()

    def test_arrays_and_scalars(self):
        self.write("arrays.py", """
            import numpy
            def f():
                return {"a": numpy.arange(4).reshape(2, 2), "s": numpy.float64(1.5), "i": numpy.int32(3), "b": numpy.bool_(True)}
        """)
        self.assertEqual(self.returned("arrays.py:f"), {"a": [[0, 1], [2, 3]], "s": 1.5, "i": 3, "b": True})


# Only their own.
for _name in [n for n in dir(BridgeTests) if n.startswith("test_")]:
    setattr(NumpyTests, _name, None)

if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        serve()
    else:
        unittest.main()
