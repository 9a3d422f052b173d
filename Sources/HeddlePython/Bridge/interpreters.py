class TokenLock(object):
    """A lock between the interpreters of one process: a pipe that holds one byte, which who has the lock has read."""

    def __init__(self, pipe):
        self.taker, self.giver = pipe

    def __enter__(self):
        os.read(self.taker, 1)

    def __exit__(self, *error):
        os.write(self.giver, b"\0")

    def try_acquire(self):
        """For a pipe that does not block."""
        try:
            return bool(os.read(self.taker, 1))
        except BlockingIOError:
            return False

    @staticmethod
    def make(blocks=True):
        pipe = os.pipe()
        os.set_blocking(pipe[0], blocks)
        os.write(pipe[1], b"\0")
        return pipe


class SharedTransport(RingTransport):
    """The rings, read and written by several interpreters of one process in turn.

    They share no Python object, so what one leaves to the next lies in the worker's words, from `LEFT` on, where the parent does not
    look, and each takes it up when it has the lock. The functions' names, which have no bounds, are in a file without a name.
    """

    LEFT = 6144
    POSITION, CLOSED_BY_PARENT, GREETED, WAITING = LEFT, LEFT + 1, LEFT + 2, LEFT + 64

    def __init__(self, channel, memory, handover, place, count, listening, wakes, table):
        RingTransport.__init__(self, channel, memory, 2, handover)
        self._place = place
        self._listening = TokenLock(listening)
        self._wakes = wakes
        self._table = table
        self._known = 0
        assert count == len(wakes) <= 1024

    def receive(self):
        ours = self._ours
        self._tail = ours[self.TAIL]
        self._position = ours[self.POSITION]
        self._closed = ours[self.CLOSED_BY_PARENT] != 0
        # Another number than any sleep before.
        self._sleeps = time.monotonic_ns()
        self._learn()
        message = RingTransport.receive(self)
        ours[self.POSITION] = self._position
        if self._closed:
            ours[self.CLOSED_BY_PARENT] = 1
        return message

    def send(self, kind, position, payload, cpu=0, wall=0, extra=0, more=0):
        self._head = self._ours[self.HEAD]
        self._sleeps = time.monotonic_ns()
        RingTransport.send(self, kind, position, payload, cpu, wall, extra, more)
        if not more:
            # Instead of `_report`, which cannot tell whose time it was.
            self._ours[self.BUSY_TIME] += wall
            self._ours[self.BUSY_JOBS] += 1

    def greet(self):
        """The first of them that is ready says so. Called under the lock for sending."""
        if not self._ours[self.GREETED]:
            self._ours[self.GREETED] = 1
            self._head = self._ours[self.HEAD]
            RingTransport.greet(self)

    def _report(self, now):
        pass

    def _define(self, definition):
        record = len(definition).to_bytes(4, "little") + definition
        os.pwrite(self._table, record, self._known)
        self._known += len(record)
        RingTransport._define(self, definition)

    def _learn(self):
        """Reads what others were told meanwhile."""
        if os.fstat(self._table).st_size > self._known:
            data = os.pread(self._table, os.fstat(self._table).st_size - self._known, self._known)
            start = 0
            while start < len(data):
                size = int.from_bytes(data[start : start + 4], "little")
                RingTransport._define(self, data[start + 4 : start + 4 + size])
                start += 4 + size
            self._known += len(data)

    def _await_bell(self, is_due):
        # As with threads: one listens, and wakes the others. Who waits says so before it finds that somebody listens already.
        self._ours[self.WAITING + self._place] = 1
        self._order()
        try:
            if is_due():
                return True
            if not self._listening.try_acquire():
                os.read(self._wakes[self._place][0], 256)
                return True
            try:
                return True if is_due() else self._listen()
            finally:
                self._listening.__exit__()
                for place, wake in enumerate(self._wakes):
                    if place != self._place and self._ours[self.WAITING + place]:
                        os.write(wake[1], b"\0")
        finally:
            self._ours[self.WAITING + self._place] = 0


#: The sub-interpreters of this process. One that nobody holds is taken down; see `leave`.
INTERPRETERS = []


def new_interpreter():
    """A function that runs a text in a new sub-interpreter with a GIL of its own, through whichever module this Python has."""
    try:
        from concurrent import interpreters

        INTERPRETERS.append(interpreters.create())
        return INTERPRETERS[-1].exec
    except ImportError:
        pass
    try:
        import _interpreters
    except ImportError:
        import _xxsubinterpreters

        number = _xxsubinterpreters.create(isolated=True)
        INTERPRETERS.append(number)
        return lambda text: _xxsubinterpreters.run_string(number, text)
    number = _interpreters.create()
    INTERPRETERS.append(number)

    def run(text):
        failure = _interpreters.exec(number, text)
        if failure is not None:
            raise RuntimeError(failure.errdisplay)

    return run


#: What a sub-interpreter runs: this program's code, from a file without a name.
PART = """
def start():
    import marshal, os
    scope = {"__name__": "<heddle>"}
    exec(marshal.loads(os.pread(%(code)d, os.fstat(%(code)d).st_size, 0)), scope)
    scope["serve_part"](%(settings)r)
start()
"""


def serve_interpreters(channel, memory, handover, count, limit, code, initializer):
    """Takes calls with `count` sub-interpreters at once. Does not return: see `leave`."""
    import threading

    settings = {
        "channel": channel, "memory": memory, "handover": handover, "count": count, "limit": limit, "receiving": TokenLock.make(),
        "sending": TokenLock.make(), "listening": TokenLock.make(False), "wakes": [os.pipe() for _ in range(count)],
        "table": os.memfd_create("heddle-functions"), "initializer": initializer,
    }
    file = os.memfd_create("heddle-code")
    write_all(file, marshal.dumps(code))

    def run(place):
        try:
            new_interpreter()(PART % {"code": file, "settings": dict(settings, place=place)})
        except BaseException as error:
            sys.stderr.write("Heddle's sub-interpreter %d failed: %s\n" % (place, last_line(error)))
            os._exit(70)

    crew = [threading.Thread(target=run, args=(place,), name="heddle-%d" % place) for place in range(count)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    leave()
    os._exit(0)


def serve_part(settings):
    """The whole life of one sub-interpreter."""
    SUBINTERPRETER.append(settings["place"])
    clear_main()
    print_by_line()
    transport = SharedTransport(
        settings["channel"], settings["memory"], settings["handover"], settings["place"], settings["count"], settings["listening"],
        settings["wakes"], settings["table"],
    )
    worker = Worker(transport, settings["count"], settings["limit"], TokenLock(settings["receiving"]), TokenLock(settings["sending"]))
    if settings["initializer"]:
        worker.initialize(*settings["initializer"])
    with worker.sending:
        transport.greet()
    worker.serve()
    leave()


def leave():
    """What an interpreter does at its end. It is not taken down: in 3.12 that crashes with some of the standard library's modules."""
    import atexit

    try:
        if "threading" in sys.modules:
            sys.modules["threading"]._shutdown()
        atexit._run_exitfuncs()
    except BaseException as error:
        sys.stderr.write("%s\n" % last_line(error))
    flush()
