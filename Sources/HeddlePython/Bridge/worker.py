class Items(object):
    """What a call gives, to be sent piece by piece: an iterable, and which of the parent's streams it goes to."""

    def __init__(self, value, ticket):
        self.value = value
        self.ticket = ticket


class Streamed(object):
    """A function whose results are sent one by one. The call's first argument is the ticket."""

    def __init__(self, function):
        self.function = function

    def __call__(self, ticket, *arguments, **keywords):
        return Items(self.function(*arguments, **keywords), ticket)


class Measured(object):
    """A function whose calls say how much memory the process had at most meanwhile."""

    def __init__(self, worker, function):
        self.worker = worker
        self.function = function

    def __call__(self, *arguments, **keywords):
        reset_peak_memory()
        kind, payload = self.worker.outcome(self.function, arguments, keywords)
        raise Ended(kind, payload, peak_memory())


class Ended(Exception):
    """A call that has come to its end in a way of its own: kind, payload, and the number that goes beside them."""


def reset_peak_memory():
    try:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")
    except OSError:
        # Then the peak is that of the process so far.
        pass


def peak_memory():
    try:
        with open("/proc/self/status", "rb") as file:
            for line in file:
                if line.startswith(b"VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


#: What is run to its end before it is sent.
DEFERRED = frozenset([types.GeneratorType, types.CoroutineType, types.AsyncGeneratorType, Items])


async def collect(items):
    return [item async for item in items]


async def following(items):
    return await items.__anext__()


async def cancel_all(loop):
    import asyncio

    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await loop.shutdown_asyncgens()


class AsyncItems(object):
    """An asynchronous generator, as an iterator."""

    def __init__(self, worker, items):
        self.worker = worker
        self.items = items.__aiter__()

    def __next__(self):
        try:
            return self.worker.run_coroutine(following(self.items))
        except StopAsyncIteration:
            raise StopIteration

    def close(self):
        if hasattr(self.items, "aclose"):
            self.worker.run_coroutine(self.items.aclose())


class Worker(object):
    """Runs calls one after another, from one thread or from several."""

    def __init__(self, transport, threads, limit=0, receiving=None, sending=None):
        import _thread

        self.transport = transport
        self.threads = threads
        self.limit = limit
        self.receiving = receiving or _thread.allocate_lock()
        self.sending = sending or _thread.allocate_lock()
        self.loading = _thread.RLock()
        self.local = _thread._local()
        self.functions = {}
        # A file that fails when it is loaded is not loaded again for each of ten thousand calls.
        self.refusals = {}
        #: Why no call can be run at all.
        self.refusal = None
        #: What looks at each function that was loaded.
        self.inspect = None

    def run(self):
        """Serves until the other side is gone."""
        self.transport.greet()
        if self.threads == 1:
            self.serve()
            return
        import threading

        crew = [threading.Thread(target=self.serve, name="heddle-%d" % n) for n in range(self.threads)]
        for thread in crew:
            thread.daemon = True
            thread.start()
        for thread in crew:
            thread.join()

    def initialize(self, target, payload):
        """Runs the call that comes before all others. If it raises again and again, every call fails for its reason."""
        for tried in range(1, INITIALIZER_TRIES + 1):
            try:
                arguments, keywords = marshal.loads(payload)
                value = self.function(target)(*arguments, **keywords)
                if type(value) in DEFERRED:
                    self.finish(value)
                return
            except Refusal as error:
                self.refusal = Refusal(error.reason, "the initializer cannot be called: %s" % error.sentence, error.cause)
                return
            except BaseException as error:
                failure = error
        sentence = "the initializer %s failed, %d times: %s" % (target, tried, last_line(failure))
        self.refusal = Refusal("initializerFailed", sentence, failure)

    def function(self, definition):
        """The function that a definition names, as what its verb makes of it; it is looked up once."""
        with self.loading:
            if self.refusal is not None:
                raise self.refusal.with_traceback(None)
            found = self.functions.get(definition)
            if found is None:
                if definition in self.refusals:
                    raise self.refusals[definition].with_traceback(None)
                verb, _, target = definition.rpartition("\0")
                try:
                    found = resolve(target)
                    if self.inspect is not None:
                        self.inspect(target)
                except Refusal as error:
                    self.refusals[definition] = error
                    raise
                if verb == "stream":
                    found = Streamed(found)
                elif verb == "measure":
                    found = Measured(self, found)
                self.functions[definition] = found
            return found

    def serve(self):
        """One thread's loop. Every line of it is paid by every call."""
        transport, receiving, sending, functions = self.transport, self.receiving, self.sending, self.functions
        loads, dumps, wall_clock, thread_clock = marshal.loads, marshal.dumps, time.perf_counter_ns, time.thread_time_ns
        several = self.threads > 1
        mark_cpu, mark_wall = thread_clock(), wall_clock()
        while True:
            with receiving:
                message = transport.receive()
                if message is None:
                    break
                parked = transport.parked
            position, target, payload = message
            if parked or several:
                mark_cpu, mark_wall = thread_clock(), wall_clock()
            start = wall = extra = 0
            try:
                arguments, keywords = loads(payload) if type(payload) is not Parcel else unpack(payload)
                function = functions.get(target)
                if function is None:
                    function = self.function(target)
                    # Loading may have waited, for the disk or for a processor.
                    mark_cpu, mark_wall = thread_clock(), wall_clock()
                start = wall_clock()
                value = function(*arguments, **keywords)
                if type(value) in SCALARS:
                    wall = wall_clock() - start
                    payload = dumps(value, FORMAT)
                else:
                    if type(value) in DEFERRED:
                        value = self.finish(value, position)
                    wall = wall_clock() - start
                    payload = encode(value)
                kind = RETURNED
                value = arguments = keywords = None
            except Ended as end:
                wall = wall_clock() - start
                value = arguments = keywords = None
                kind, payload, extra = end.args
            except BaseException as error:
                if start and not wall:
                    # Without a start it was the target or its arguments that could not be read.
                    wall = wall_clock() - start
                value = arguments = keywords = None
                kind, payload = self.failed(error if message[2] is not None else no_room(), target)
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
                transport.send(kind, position, payload, cpu, wall, extra)
            message = payload = None
        self.close_loop()

    def outcome(self, function, arguments, keywords):
        """How a call ends: a kind and a payload."""
        try:
            value = function(*arguments, **keywords)
            if type(value) in DEFERRED:
                value = self.finish(value)
            return RETURNED, encode(value)
        except BaseException as error:
            return self.failed(error, "the function")

    def failed(self, error, definition):
        """What is said of a call that did not give a result: a kind and a payload."""
        if isinstance(error, Unsendable):
            return UNSENDABLE, marshal.dumps({"message": sound(str(error))}, FORMAT)
        if SUBINTERPRETER and not isinstance(error, Refusal):
            unsuited = unsuited_module(error)
            if unsuited:
                error = Refusal("unsuitedModule", "%s cannot run here: %s" % (definition.rpartition("\0")[2], unsuited), error)
        if isinstance(error, Refusal):
            return REFUSED, marshal.dumps(refusal_data(error), FORMAT)
        report = describe(error)
        # What its frames hold may be what there is too much of.
        error.__traceback__ = None
        if self.limit and isinstance(error, MemoryError):
            return OUT_OF_MEMORY, marshal.dumps({"limit": self.limit, "failure": report}, FORMAT)
        return RAISED, marshal.dumps(report, FORMAT)

    def finish(self, value, position=None):
        """What a value of one of the `DEFERRED` types gives when it is run to its end."""
        if type(value) is Items:
            self.stream(value, position)
        if type(value) is types.GeneratorType:
            return list(value)
        return self.run_coroutine(value if type(value) is types.CoroutineType else collect(value))

    # Streams

    def stream(self, items, position):
        """Sends what a call gives piece by piece, as fast as it is wanted. Raises `Ended`."""
        slot, stream, limit = items.ticket
        transport = self.transport
        sent = 0
        source = None
        try:
            source = self.iterate(items.value)
            while not transport.is_closed(slot, stream):
                if sent >= limit and not transport.await_credit(slot, stream, sent):
                    break
                try:
                    item = next(source)
                except StopIteration:
                    break
                payload = encode(item)
                item = None
                flush()
                with self.sending:
                    transport.send(RETURNED, position, payload, 0, 0, sent, transport.MORE)
                sent += 1
            if hasattr(source, "close"):
                source.close()
            kind, payload = RETURNED, marshal.dumps(None, FORMAT)
        except BaseException as error:
            kind, payload = self.failed(error, "the stream")
        raise Ended(kind, payload, sent)

    def iterate(self, value):
        if type(value) is types.CoroutineType:
            value = self.run_coroutine(value)
        if hasattr(type(value), "__aiter__"):
            return AsyncItems(self, value)
        if isinstance(value, (str, bytes, dict)) or not hasattr(type(value), "__iter__"):
            kind = type_name(type(value))
            raise Unsendable("it gave a %s, which is nothing to stream; write a generator, or return a list" % kind)
        return iter(value)

    # Coroutines

    def run_coroutine(self, task):
        """Runs a coroutine to its end, on the event loop that this thread keeps."""
        loop = getattr(self.local, "loop", None)
        if loop is None:
            import asyncio

            loop = self.local.loop = asyncio.new_event_loop()
            asyncio.set_event_loop(loop)
        return loop.run_until_complete(task)

    def close_loop(self):
        loop = getattr(self.local, "loop", None)
        if loop is not None:
            loop.run_until_complete(cancel_all(loop))
            loop.close()


def no_room():
    """Why a call whose arguments the transport could not hold was not made."""
    return MemoryError("there is no memory in this interpreter for the arguments; raise its limit, or pass a file's name")


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
