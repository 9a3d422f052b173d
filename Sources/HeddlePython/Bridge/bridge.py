"""The Python side of Heddle: takes calls from a channel, runs them, sends back what they gave.

Usage:  bridge.py serve CHANNEL MEMORY LIFELINE THREADS LIMIT    (three descriptors, a number, and bytes or 0)
        bridge.py check TARGET ANSWER LIFELINE                   (loads a target, writes one answer to a descriptor)

README.md beside this file says what travels. No dependencies; Python 3.8 and later. The text must also *parse* on every older
Python (no f-strings, no keyword-only arguments), so that one that is too old answers with a sentence and not with a SyntaxError.
"""

import sys

if sys.version_info < (3, 8):
    sys.stderr.write(
        "Heddle needs Python 3.8 or later; %s is %s\n" % (sys.executable, ".".join(str(n) for n in sys.version_info[:3]))
    )
    sys.exit(78)

import marshal
import os
import time
import types

# How a call ended: HeddleWire's ResultKind.
RETURNED = 1
RAISED = 3
REFUSED = 4
UNSENDABLE = 5
OUT_OF_MEMORY = 6

#: The marshal version that every supported Python reads and writes alike: no references, no short forms.
FORMAT = 2
#: A call shorter than this (in ns) is taken to have computed all the time: asking the clock of the thread costs 0.7 us.
SHORT_CALL = 50000
#: Longest text of a message or traceback that travels. Unit: characters.
LONGEST_TEXT = 1 << 18
#: What is run to its end before it is sent: generators, coroutines, asynchronous generators.
DEFERRED = frozenset([types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType])
#: How many causes of an exception travel, and how deep a result may nest.
LONGEST_CAUSE_CHAIN = 16
DEEPEST_RESULT = 900

#: The name of this code in tracebacks; its own frames are taken out of them.
HERE = (lambda: 0).__code__.co_filename


# -- Transport ---------------------------------------------------------------------------------------------------------------


class RingTransport(object):
    """Calls and answers through the memory that is shared with the parent: HeddleWire/Transport, in Python.

    The numbers below are those of RegionLayout.swift and Frame.swift. A memoryview reads and writes an aligned eight-byte word as one
    access, and x86-64 keeps stores in order; where a store must be seen before a later load, a lock's compare-and-exchange is the
    fence. `receive` is called by one thread at a time, and `send` too.
    """

    VERSION = 1
    MAGIC = 0x3130656C64646568
    WORDS = 1 << 16
    RING = 1 << 20
    MASK = RING - 1
    CAPACITY = 256
    PAYLOAD = 1 << 17
    # Words, in steps of eight bytes.
    HEAD, TAIL, PARKED, WANTS_ROOM, BUSY_TIME, BUSY_JOBS, IDENTITY, CLAIMS, STARTS = 0, 8, 16, 24, 32, 33, 64, 128, 512
    DEFINE, JOB, BEGIN_JOB, PART, STOP = 1, 2, 3, 4, 5
    HELLO, RESULT, BEGIN_RESULT, RESULT_PART = 1, 2, 3, 4

    #: How often it looks for the next call before it sleeps: some 30 us, what a wake-up costs. After a burst, whose end it most
    #: likely is, a spin would only take the processor from the parent.
    SPINS, SPINS_AFTER_BURST = 400, 20
    #: After so many looks without a reader for its answers it rings: the parent sleeps.
    PATIENCE = 30

    def __init__(self, channel, memory, threads):
        # Not `socket`, whose import takes longer than all else here: only what it is made of is used.
        import _socket as socket
        import mmap
        import struct
        import threading

        size = 2 * (self.WORDS + self.RING)
        if os.fstat(memory).st_size != size:
            raise SystemExit("this memory is not Heddle's")
        # What the parent writes is mapped read-only: a function that runs wild cannot spoil calls that another worker may have to run.
        theirs = memoryview(mmap.mmap(memory, size // 2, prot=mmap.PROT_READ, offset=0))
        ours = memoryview(mmap.mmap(memory, size // 2, offset=size // 2))
        self._theirs, self._ours = theirs[: self.WORDS].cast("Q"), ours[: self.WORDS].cast("Q")
        self._requests, self._answers = theirs[self.WORDS :], ours[self.WORDS :]
        if list(self._theirs[self.IDENTITY : self.IDENTITY + 4]) != [self.MAGIC, self.VERSION, self.RING, self.CAPACITY]:
            raise SystemExit("the parent is another version of Heddle")
        os.close(memory)
        self._socket = socket.socket(fileno=channel)
        self._socket.setblocking(True)
        self._header = struct.Struct("<IBBHII")
        self._shape = struct.Struct("<QQ")
        self._measures = struct.Struct("<QQ")
        self._fence = threading.Lock()
        self._bells = threading.Condition(threading.Lock())
        self._is_listening = False
        self._targets = []
        self._tail = self._head = self._position = 0
        self._sleeps = self._rung = self._room_rung = self._mark = 0
        self._jobs = self._burst = self._busy = self._checked = 0
        self._since = time.monotonic_ns()
        # Under one GIL a spin would hold up the threads that have work.
        self._several = threads > 1
        self._spins = 0 if self._several else self.SPINS
        self._closed = False
        self.parked = True

    # Reading

    def receive(self):
        """The next call that is ours as (position, target, payload); None when there will be none. Blocks."""
        theirs, ours, unpack = self._theirs, self._ours, self._header.unpack_from
        self.parked = False
        while not self._closed:
            if theirs[self.HEAD] == self._tail:
                self._await_requests()
                continue
            size, kind, flags, _, low, number = unpack(self._requests, self._tail & self.MASK)
            if kind == self.JOB or kind == self.BEGIN_JOB:
                position = self._position = self._position + ((low - self._position) & 0xFFFFFFFF)
                is_large = kind == self.BEGIN_JOB
                if not self._claim(position):
                    self._pass(size, is_large)
                    continue
                payload = self._bytes(self._tail + 16, size)
                # Read before its place is given back: the parent may be waiting to write the next part there.
                whole = self._shape.unpack_from(payload)[0] if is_large else 0
                if self._several:
                    # Another thread may pass many calls before this one is read, and what was passed may be written over.
                    payload = bytes(payload)
                self._pass(size, is_large)
                if is_large:
                    payload = self._parts(whole)
                return position, self._targets[number], payload
            if kind == self.DEFINE:
                self._targets.append(bytes(self._bytes(self._tail + 16, size)).decode("utf-8"))
            elif kind == self.STOP:
                self._closed = True
            # Otherwise a part of a large call that was taken back.
            self._pass(size, kind == self.PART)
        return None

    def _claim(self, position):
        """Claims a call before it starts. False: the parent took it back."""
        slot = position & (self.CAPACITY - 1)
        self._ours[self.STARTS + slot] = time.monotonic_ns()
        self._ours[self.CLAIMS + slot] = position + 1
        self._order()
        verdict = self._theirs[self.CLAIMS + slot]
        while verdict >> 2 == position + 1 and verdict & 3 == 1:
            time.sleep(0)
            verdict = self._theirs[self.CLAIMS + slot]
        return verdict >> 2 != position + 1 or verdict & 3 != 2

    def _order(self):
        """What was stored is seen before what is loaded from here on."""
        # Held for nothing but its fence; several threads come by here, so none may release what another holds.
        with self._fence:
            pass

    def _bytes(self, start, size):
        start &= self.MASK
        if start + size <= self.RING:
            return self._requests[start : start + size]
        return b"".join((self._requests[start:], self._requests[: start + size - self.RING]))

    def _parts(self, size):
        whole = bytearray()
        while len(whole) < size:
            if self._theirs[self.HEAD] == self._tail:
                self._await_requests()
                continue
            part = self._header.unpack_from(self._requests, self._tail & self.MASK)[0]
            whole += self._bytes(self._tail + 16, part)
            self._pass(part, True)
        return whole

    def _pass(self, size, is_large=False):
        """Gives a frame's place back. The parent waits for room only in the middle of a large call."""
        self._tail += (16 + size + 15) & ~15
        self._ours[self.TAIL] = self._tail
        if is_large:
            self._order()
        wants = self._theirs[self.WANTS_ROOM]
        if wants and wants != self._room_rung and self._theirs[self.HEAD] - self._tail <= self.RING // 2:
            self._room_rung = wants
            self._ring()

    def _await_requests(self):
        theirs, tail, head = self._theirs, self._tail, self.HEAD
        self._report(time.monotonic_ns())
        spins = min(self._spins, self.SPINS_AFTER_BURST) if self._burst > 8 else self._spins
        self._burst = 0
        for spin in range(spins):
            if theirs[head] != tail:
                self._since = time.monotonic_ns()
                return
            if spin == self.PATIENCE:
                self._ring_if_unread()
        self._ring_if_unread()
        self.parked = True
        self._sleeps += 1
        self._ours[self.PARKED] = self._sleeps
        self._order()
        if theirs[head] == tail and not self._await_bell(lambda: theirs[head] != tail):
            self._closed = True
        self._ours[self.PARKED] = 0
        self._since = time.monotonic_ns()

    def _await_bell(self, is_due):
        """Sleeps until a bell rings, which any of those who sleep may have taken. False: the parent is gone."""
        # One thread listens and wakes the others. `is_due` is asked under the lock: a bell that was taken before has made it true.
        with self._bells:
            if is_due():
                return True
            if self._is_listening:
                self._bells.wait()
                return True
            self._is_listening = True
        try:
            return len(self._socket.recv(256)) > 0
        except InterruptedError:
            return True
        except OSError:
            return False
        finally:
            with self._bells:
                self._is_listening = False
                self._bells.notify_all()

    # Writing

    def greet(self):
        """Says that this worker listens."""
        self._frame(self.HELLO, 0, 0, b"")
        self._ring_if_parked()

    def send(self, kind, position, payload, cpu=0, wall=0):
        """Sends one answer, whole. Blocks while the parent does not read."""
        measures = self._measures.pack(cpu, wall)
        size = 16 + len(payload)
        if size <= self.PAYLOAD:
            self._frame(self.RESULT, position, kind, measures + payload)
        else:
            self._frame(self.BEGIN_RESULT, position, kind, self._shape.pack(size, 0))
            self._frame(self.RESULT_PART, 0, 0, measures)
            view = memoryview(payload)
            for start in range(0, len(payload), self.PAYLOAD):
                self._frame(self.RESULT_PART, 0, 0, view[start : start + self.PAYLOAD])
        self._jobs += 1
        self._burst += 1
        if not self._spins:
            # Another thread may sleep in `receive`, so nobody comes by there to ring.
            self._ring_if_parked()
        now = time.monotonic_ns()
        if now - self._since > 50000:
            self._report(now)
            # In a burst: ring if nothing was read since the last look.
            if self._theirs[self.TAIL] < self._mark:
                self._ring_if_parked()
            self._mark = self._head

    def _frame(self, kind, position, number, payload):
        size = len(payload)
        room = (16 + size + 15) & ~15
        if self._head + room - self._theirs[self.TAIL] > self.RING:
            self._await_room(room)
        start = self._head & self.MASK
        answers = self._answers
        self._header.pack_into(answers, start, size, kind, 0, 0, position & 0xFFFFFFFF, number)
        start += 16
        if start + size <= self.RING:
            answers[start : start + size] = payload
        elif start >= self.RING:
            answers[:size] = payload
        else:
            first = self.RING - start
            answers[start:] = payload[:first]
            answers[: size - first] = payload[first:]
        self._head += room
        self._ours[self.HEAD] = self._head

    def _await_room(self, room):
        while True:
            self._sleeps += 1
            self._ours[self.WANTS_ROOM] = self._sleeps
            self._order()
            self._ring_if_parked()
            if self._head + room - self._theirs[self.TAIL] <= self.RING:
                break
            if not self._await_bell(lambda: self._head + room - self._theirs[self.TAIL] <= self.RING):
                os._exit(0)
        self._ours[self.WANTS_ROOM] = 0

    def _ring_if_unread(self):
        if self._theirs[self.TAIL] != self._head:
            self._ring_if_parked()

    def _ring_if_parked(self):
        self._order()
        sleep = self._theirs[self.PARKED]
        if sleep and sleep != self._rung:
            self._rung = sleep
            self._ring()

    def _ring(self):
        import _socket as socket

        try:
            self._socket.send(b"\1", socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
        except OSError:
            # Full: it rings already. Closed: the lifeline ends us.
            pass

    def _report(self, now):
        """Says how long the calls took since the last report."""
        self._busy += now - self._since
        self._since = now
        self._ours[self.BUSY_TIME] = self._busy
        self._ours[self.BUSY_JOBS] = self._jobs

    def close(self):
        """Gives up the channel. Takes no lock: it also runs in a child that was forked while another thread was in `receive`."""
        os.close(self._socket.detach())


def hold_lifeline(descriptor):
    """Has the kernel kill this process group when the other end of the pipe is closed, however busy the interpreter is then."""
    import fcntl
    import select
    import signal

    set_signal = getattr(fcntl, "F_SETSIG", 10)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(descriptor, set_signal, signal.SIGKILL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC)
    # Closed before the kernel was told to watch it: nobody will tell us again.
    watch = select.poll()
    watch.register(descriptor, select.POLLIN)
    if watch.poll(0):
        os.killpg(0, signal.SIGKILL)


# -- Targets -----------------------------------------------------------------------------------------------------------------


class Refusal(Exception):
    """A target that cannot be called: the reason as a word, a sentence, and the exception behind it."""

    def __init__(self, reason, sentence, cause=None):
        Exception.__init__(self, sentence)
        self.reason = reason
        self.sentence = sentence
        self.cause = cause


def resolve(target):
    """The function that `file.py:function` or `package.module:function` names. Raises `Refusal`."""
    place, _, path = target.rpartition(":")
    if not place or not path:
        raise Refusal("syntax", "%r names no function: write file.py:function or package.module:function" % target)
    module = load_file(place) if place.endswith(".py") or "/" in place else load_module(place)
    value = module
    walked = place
    for name in path.split("."):
        try:
            value = getattr(value, name)
        except AttributeError:
            raise Refusal("missingFunction", "%s has no %s%s" % (walked, name, suggest_function(name, value)))
        walked += (":" if walked == place else ".") + name
    if not callable(value):
        raise Refusal(
            "notCallable", "%s is a %s and cannot be called%s" % (target, type_name(type(value)), suggest_function("", module))
        )
    return value


def load_file(path):
    """The module in the file at `path`, loaded as `python path` would, except that its `__name__` is the file's name."""
    full = os.path.abspath(path)
    if not os.path.isfile(full):
        what = "is a directory" if os.path.isdir(full) else "does not exist"
        raise Refusal("missingFile", "%s %s%s" % (path, what, suggest_file(full)))
    stem = os.path.basename(full)[: -len(".py")] if full.endswith(".py") else os.path.basename(full)
    # A name that is taken (json.py) would put the script in the place of a module that others use.
    name = stem if stem not in sys.modules else "heddle_target_" + stem
    loaded = sys.modules.get(stem)
    if loaded is not None and getattr(loaded, "__file__", None) == full:
        return loaded
    folder = os.path.dirname(os.path.realpath(full))
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    sys.argv[:] = [path]

    module = types.ModuleType(name)
    module.__file__ = full
    sys.modules[name] = module
    try:
        # Compiled here and not imported: a cached .pyc is judged by a time stamp and a size, and an edit may change neither.
        with open(full, "rb") as source:
            code = compile(source.read(), full, "exec", dont_inherit=True)
        exec(code, module.__dict__)
    except BaseException as error:
        sys.modules.pop(name, None)
        raise import_failure(path, error)
    return module


def load_module(name):
    """The module of that dotted name, imported from the working directory or from where Python finds it."""
    import importlib

    folder = os.getcwd()
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    sys.argv[:] = [name]
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name == error.name or name.startswith(error.name + ".")):
            raise Refusal("missingModule", "there is no module %s%s" % (error.name, suggest_module(error.name)))
        raise import_failure(name, error)
    except BaseException as error:
        raise import_failure(name, error)


def import_failure(place, error):
    if isinstance(error, SystemExit):
        advice = "; put what should run only as a script under: if __name__ == \"__main__\":"
        return Refusal("importFailed", "%s exits when it is loaded%s" % (place, advice), error)
    return Refusal("importFailed", "%s fails when it is loaded: %s" % (place, last_line(error)), error)


def close_matches(name, names):
    import difflib

    found = difflib.get_close_matches(name, names, 1, 0.6)
    return "; did you mean %s?" % found[0] if found else ""


def suggest_function(name, owner):
    names = [n for n in dir(owner) if not n.startswith("_") and callable(getattr(owner, n, None))]
    own = [n for n in names if getattr(getattr(owner, n), "__module__", None) == getattr(owner, "__name__", None)] or names
    return close_matches(name, names) or ("; it has %s" % ", ".join(own[:8]) if own else "; it has no functions")


def suggest_file(full):
    folder, name = os.path.split(full)
    try:
        return close_matches(name, [n for n in os.listdir(folder) if n.endswith(".py")])
    except OSError:
        return "; its folder %s does not exist" % folder


def suggest_module(name):
    import pkgutil

    package, _, last = name.rpartition(".")
    path = getattr(sys.modules.get(package), "__path__", None) if package else None
    if package and path is None:
        return ""
    hint = close_matches(last, [m.name for m in pkgutil.iter_modules(path)])
    if not hint and os.path.isfile(name + ".py"):
        hint = "; for the file write %s.py" % name
    return hint


# -- Exceptions as data ------------------------------------------------------------------------------------------------------


def type_name(kind):
    """What a traceback prints for the type."""
    module = getattr(kind, "__module__", None)
    name = getattr(kind, "__qualname__", kind.__name__)
    return name if module in (None, "builtins", "__main__") else "%s.%s" % (module, name)


def text_of(value):
    try:
        text = str(value)
        return str.__str__(text) if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "..."
    except BaseException as error:
        return "<str() of this %s failed with %s>" % (type_name(type(value)), type_name(type(error)))


def last_line(error):
    message = text_of(error)
    return type_name(type(error)) + (": " + message if message else "")


def own_frames(trace):
    """The traceback from the first frame that is the user's."""
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name != HERE and not name.startswith("<frozen importlib"):
            return trace
        trace = trace.tb_next
    return None


def describe(error, depth=0):
    """An exception as a dictionary; its causes too, as Python would print them."""
    report = {"type": type_name(type(error)), "message": text_of(error), "notes": [], "traceback": ""}
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, (list, tuple)):
        report["notes"] = [text_of(note) for note in notes]
    trace = own_frames(error.__traceback__)
    if depth == 0:
        try:
            import traceback

            lines = traceback.TracebackException(type(error), error, trace).format()
            text = "".join(lines)
        except BaseException:
            text = last_line(error) + "\n"
        if len(text) > LONGEST_TEXT:
            text = text[: LONGEST_TEXT // 2] + "\n...\n" + text[-LONGEST_TEXT // 2 :]
        report["traceback"] = text
    direct = error.__cause__ is not None
    cause = error.__cause__ if direct else None if error.__suppress_context__ else error.__context__
    if cause is not None and depth < LONGEST_CAUSE_CHAIN:
        report["cause"] = describe(cause, depth + 1)
        report["direct"] = direct
    return report


# -- Results as plain values -------------------------------------------------------------------------------------------------

SCALARS = frozenset([type(None), bool, int, float, str, bytes])


def is_plain(value):
    """Whether marshal writes the value as what it is. Not asked of marshal: that writes every buffer (an array) as bytes."""
    # Walked without recursion, so that what marshal can write is not stopped by the interpreter's limit.
    walk = [iter((value,))]
    while walk:
        for item in walk[-1]:
            kind = type(item)
            if kind in SCALARS:
                continue
            if kind is dict:
                if not SCALARS.issuperset(map(type, item)):
                    return False
                item = item.values()
            elif kind is not list and kind is not tuple:
                return False
            if SCALARS.issuperset(map(type, item)):
                continue
            if len(walk) > DEEPEST_RESULT:
                return False
            walk.append(iter(item))
            break
        else:
            walk.pop()
    return True


TOO_DEEP = "the result nests too deep, or holds itself; return something flatter"


class Unsendable(Exception):
    """A value that has no plain form."""


def plain(value, depth=0):
    """The value made of None, bool, int, float, str, bytes, list, tuple and dict. Raises `Unsendable`."""
    kind = type(value)
    if kind in SCALARS:
        return value
    if depth > DEEPEST_RESULT:
        raise Unsendable(TOO_DEEP)
    depth += 1
    if kind is list:
        return [plain(item, depth) for item in value]
    if kind is tuple:
        return tuple([plain(item, depth) for item in value])
    if kind is dict:
        return {plain_key(key, depth): plain(item, depth) for key, item in value.items()}
    return plain_object(value, depth)


def plain_key(key, depth):
    key = plain(key, depth)
    try:
        hash(key)
    except TypeError:
        raise Unsendable("the result has a dictionary whose key is a %s; use str or int as keys" % type_name(type(key)))
    return key


def plain_object(value, depth):
    import collections.abc
    import datetime
    import enum

    if isinstance(value, enum.Enum):
        return plain(value.value, depth)
    # numpy's arrays and scalars, tensors, series, array.array. Before float: numpy.float64 is one.
    as_list = getattr(type(value), "tolist", None)
    if as_list is not None and not isinstance(value, memoryview):
        result = value.tolist()
        if type(result) is type(value):
            raise unsendable(value)
        return plain(result, depth)
    for base in (bool, int, float, str, bytes):
        if isinstance(value, base):
            return base.__str__(value) if base is str else base(value) if base is not int else int.__int__(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: plain(getattr(value, name), depth) for name in fields if hasattr(value, name)}
    if isinstance(value, tuple):
        names = getattr(type(value), "_fields", None)
        if names is not None and len(names) == len(value):
            return {str(name): plain(item, depth) for name, item in zip(names, value)}
        return [plain(item, depth) for item in value]
    if isinstance(value, collections.abc.Mapping):
        return {plain_key(key, depth): plain(value[key], depth) for key in value}
    if isinstance(value, collections.abc.Set):
        items = [plain(item, depth) for item in value]
        try:
            return sorted(items)
        except TypeError:
            return items
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value), depth)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return value.total_seconds()
    if type(value).__module__ in ("decimal", "fractions", "uuid", "ipaddress", "zoneinfo"):
        return str(value)
    if isinstance(value, (collections.abc.Sequence, collections.abc.Iterator, collections.abc.ValuesView, collections.deque)):
        return [plain(item, depth) for item in value]
    raise unsendable(value)


def unsendable(value):
    advice = "return None, bool, int, float, str, bytes, or lists and dictionaries of them"
    if isinstance(value, complex):
        advice = "return [z.real, z.imag]"
    elif isinstance(value, type) or callable(value):
        return Unsendable("the result holds %s itself, which cannot travel; %s" % (text_of(value), advice))
    return Unsendable("the result holds a value of type %s, which cannot travel; %s" % (type_name(type(value)), advice))


def finish(value):
    """What a value of one of the `DEFERRED` types gives when it is run to its end."""
    if type(value) is types.GeneratorType:
        return list(value)
    import asyncio

    if type(value) is types.CoroutineType:
        return asyncio.run(value)
    scope = {}
    exec("async def collect(items):\n  return [item async for item in items]", scope)
    return asyncio.run(scope["collect"](value))


def encode(value):
    """The bytes of a result. Raises `Unsendable`, or what the value's own methods raise."""
    if not is_plain(value):
        try:
            value = plain(value)
        except RecursionError:
            raise Unsendable(TOO_DEEP)
    try:
        return marshal.dumps(value, FORMAT)
    except ValueError as error:
        raise Unsendable("the result cannot be written: %s; return something smaller or flatter" % error)


# -- Running calls -----------------------------------------------------------------------------------------------------------


class Worker(object):
    """Runs calls one after another, from one thread or from several."""

    def __init__(self, transport, threads, limit=0):
        self.transport = transport
        self.threads = threads
        self.limit = limit
        self.functions = {}
        # A file that fails when it is loaded is not loaded again for each of ten thousand calls.
        self.refusals = {}

    def run(self):
        """Serves until the other side is gone."""
        import threading

        self.receiving = threading.Lock()
        self.sending = threading.Lock()
        self.loading = threading.RLock()
        self.transport.greet()
        if self.threads == 1:
            self.serve()
            return
        crew = [threading.Thread(target=self.serve, name="heddle-%d" % n) for n in range(self.threads)]
        for thread in crew:
            thread.daemon = True
            thread.start()
        for thread in crew:
            thread.join()

    def function(self, target):
        """The function of that name; it is looked up once."""
        with self.loading:
            found = self.functions.get(target)
            if found is None:
                if target in self.refusals:
                    raise self.refusals[target]
                try:
                    found = self.functions[target] = resolve(target)
                except Refusal as error:
                    self.refusals[target] = error
                    raise
            return found

    def serve(self):
        """One thread's loop. Every line of it is paid by every call."""
        transport, receiving, sending, functions = self.transport, self.receiving, self.sending, self.functions
        loads, dumps, wall_clock, thread_clock = marshal.loads, marshal.dumps, time.perf_counter_ns, time.thread_time_ns
        several = self.threads > 1
        mark_wall, mark_cpu = wall_clock(), thread_clock()
        while True:
            with receiving:
                message = transport.receive()
                if message is None:
                    return
                parked = transport.parked
            position, target, payload = message
            if parked or several:
                mark_wall, mark_cpu = wall_clock(), thread_clock()
            start = wall = 0
            try:
                arguments, keywords = loads(payload)
                function = functions.get(target)
                if function is None:
                    function = self.function(target)
                start = wall_clock()
                value = function(*arguments, **keywords)
                if type(value) in SCALARS:
                    wall = wall_clock() - start
                    payload = dumps(value, FORMAT)
                else:
                    if type(value) in DEFERRED:
                        value = finish(value)
                    wall = wall_clock() - start
                    payload = encode(value)
                kind = RETURNED
                value = arguments = keywords = None
            except Refusal as error:
                kind, payload = REFUSED, marshal.dumps(refusal_data(error), FORMAT)
            except Unsendable as error:
                kind, payload = UNSENDABLE, marshal.dumps({"message": str(error)}, FORMAT)
            except BaseException as error:
                # Zero where it was the arguments that could not be read.
                wall = wall_clock() - start if start else 0
                value = arguments = keywords = None
                # What its frames hold may be what there is too much of.
                report = describe(error)
                error.__traceback__ = None
                kind = OUT_OF_MEMORY if self.limit and isinstance(error, MemoryError) else RAISED
                payload = marshal.dumps(report if kind == RAISED else {"limit": self.limit, "failure": report}, FORMAT)
            if wall < SHORT_CALL:
                cpu = wall
            else:
                # Without a park since the mark the thread has been computing all the time up to `start`.
                now = thread_clock()
                cpu = min(max(now - mark_cpu - (start - mark_wall), 0), wall)
                mark_wall, mark_cpu = wall_clock(), now
            try:
                # What the function printed leaves before its result does.
                sys.stdout.flush()
            except Exception:
                # Closed, or replaced by something that has no flush: the function's own doing.
                pass
            with sending:
                transport.send(kind, position, payload, cpu, wall)
            message = payload = None


def refusal_data(error):
    data = {"reason": error.reason, "message": error.sentence}
    if error.cause is not None:
        data["failure"] = describe(error.cause)
    return data


def flush():
    """What was printed leaves before the process does."""
    try:
        sys.stdout.flush()
    except Exception:
        # Closed, or replaced by something that has no flush: the function's own doing.
        pass


def limit_memory(limit):
    """Has the kernel refuse this process, and each that it starts, more than `limit` bytes of memory of its own.

    Writable private memory is what counts (RLIMIT_DATA): code, files that are mapped and reserved addresses do not, as they would
    with RLIMIT_AS, which an interpreter with NumPy exceeds before it has computed anything.
    """
    import resource

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def end_fork(transport):
    """In a child that the function forked: it ends where it would answer or take another call, as a script would at its end."""

    def answer(kind, position, payload, cpu=0, wall=0):
        status = 0
        if kind != RETURNED:
            report = marshal.loads(payload)
            status = 1
            if report.get("type") == "SystemExit":
                text = report["message"]
                status = int(text) & 255 if text.isdigit() else 0 if text in ("None", "") else 1
            elif "traceback" in report:
                sys.stderr.write(report["traceback"])
        flush()
        os._exit(status)

    transport.send = answer
    transport.close()


def serve(channel, memory, lifeline, threads, limit=0):
    """Takes calls from the shared memory, with bells on the descriptor `channel`, until it is told to stop."""
    import faulthandler

    faulthandler.enable()
    hold_lifeline(lifeline)
    if limit:
        limit_memory(limit)
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)
    transport = RingTransport(channel, memory, threads)
    os.set_inheritable(channel, False)
    os.set_inheritable(lifeline, False)
    # A child that the function forks must not answer in our place, nor keep the channel open.
    os.register_at_fork(after_in_child=lambda: end_fork(transport))
    Worker(transport, threads, limit).run()
    flush()


def check(target, answer, lifeline):
    """Loads a target and writes what became of it to the descriptor `answer`."""
    # That Python runs and that it is new enough is said first: what goes wrong from here on is the target's doing.
    os.write(answer, b"+")
    if lifeline >= 0:
        hold_lifeline(lifeline)
    report = {"version": list(sys.version_info[:3]), "executable": sys.executable}
    try:
        resolve(target)
    except Refusal as error:
        report.update(refusal_data(error))
    data = marshal.dumps(report, FORMAT)
    while data:
        data = data[os.write(answer, data) :]
    flush()
    # Threads that the module started must not keep the check from ending.
    os._exit(0)


if __name__ == "__main__":
    # `-c` put the working directory first; which folder comes first is the target's to say.
    if sys.path[:1] == [""]:
        del sys.path[0]
    if sys.argv[1] == "serve":
        serve(*[int(n) for n in sys.argv[2:7]])
    elif sys.argv[1] == "check":
        check(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
