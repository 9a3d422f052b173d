class Metered(object):
    """A coroutine that counts the processor time of its steps: those of others lie between them."""

    def __init__(self, coroutine):
        self.coroutine = coroutine
        self.cpu = 0

    def _step(self, step, *arguments):
        start = time.thread_time_ns()
        try:
            return step(*arguments)
        finally:
            self.cpu += time.thread_time_ns() - start

    def send(self, value):
        return self._step(self.coroutine.send, value)

    def throw(self, *error):
        return self._step(self.coroutine.throw, *error)

    def close(self):
        self.coroutine.close()

    def __await__(self):
        return self.coroutine.__await__()


class LoopWorker(Worker):
    """Runs several calls at once: coroutines on one event loop, everything else on threads."""

    def run(self):
        import asyncio
        import concurrent.futures
        import threading

        self.places = threading.Semaphore(self.threads)
        self.crew = concurrent.futures.ThreadPoolExecutor(self.threads, "heddle")
        self.loop = self.local.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self.loop)
        self.is_over = False
        self.tasks = set()
        self.transport.greet()
        threading.Thread(target=self.receive_all, name="heddle-receiver", daemon=True).start()
        while not self.is_over:
            try:
                self.loop.run_forever()
            except (SystemExit, KeyboardInterrupt):
                # Raised by a call: its task has it too, and the loop goes on.
                pass
        self.crew.shutdown()
        self.close_loop()

    def receive_all(self):
        """Takes a call whenever there is a place for one. The loop's thread must not wait for the parent."""
        while True:
            self.places.acquire()
            with self.receiving:
                message = self.transport.receive()
            if message is None:
                self.loop.call_soon_threadsafe(self.end)
                return
            self.loop.call_soon_threadsafe(self.begin, *message)

    def end(self):
        self.is_over = True
        self.loop.stop()

    def begin(self, position, definition, payload):
        import inspect

        try:
            arguments, keywords = marshal.loads(payload) if type(payload) is not Parcel else unpack(payload)
            function = self.function(definition)
        except BaseException as error:
            self.answer(position, *self.failed(error if payload is not None else no_room(), definition))
            return
        inner = function.function if type(function) in (Streamed, Measured) else function
        if inspect.iscoroutinefunction(inner) or inspect.isasyncgenfunction(inner):
            coroutine = Metered(self.run_task(position, function, arguments, keywords))
            task = self.loop.create_task(coroutine)
            # The loop itself does not keep a task alive.
            self.tasks.add(task)
            start = time.perf_counter_ns()
            task.add_done_callback(lambda task: self.conclude(task, position, definition, coroutine, start))
        else:
            self.crew.submit(self.run_call, position, definition, function, arguments, keywords)

    async def run_task(self, position, function, arguments, keywords):
        if type(function) is Measured:
            await self.measure_task(position, function.function, arguments, keywords)
        value = function(*arguments, **keywords)
        if type(value) is Items:
            await self.stream_task(value, position)
        if type(value) is types.AsyncGeneratorType:
            return await collect(value)
        return await value

    async def measure_task(self, position, function, arguments, keywords):
        """As a call of `Measured`, on the loop, where what the function awaits belongs."""
        reset_peak_memory()
        try:
            kind, payload = RETURNED, encode(await self.run_task(position, function, arguments, keywords))
        except BaseException as error:
            kind, payload = self.failed(error, "the function")
        raise Ended(kind, payload, peak_memory())

    def conclude(self, task, position, definition, coroutine, start):
        wall = time.perf_counter_ns() - start
        extra = 0
        self.tasks.discard(task)
        try:
            kind, payload = RETURNED, encode(task.result())
        except Ended as end:
            kind, payload, extra = end.args
        except BaseException as error:
            kind, payload = self.failed(error, definition)
        self.answer(position, kind, payload, min(coroutine.cpu, wall), wall, extra)

    def run_call(self, position, definition, function, arguments, keywords):
        """One call on a thread of the crew."""
        start, mark = time.perf_counter_ns(), time.thread_time_ns()
        extra = 0
        try:
            value = function(*arguments, **keywords)
            if type(value) in DEFERRED:
                value = self.finish(value, position)
            kind, payload = RETURNED, encode(value)
        except Ended as end:
            kind, payload, extra = end.args
        except BaseException as error:
            value = arguments = keywords = None
            kind, payload = self.failed(error, definition)
        self.answer(position, kind, payload, time.thread_time_ns() - mark, time.perf_counter_ns() - start, extra)

    def answer(self, position, kind, payload, cpu=0, wall=0, extra=0):
        flush()
        with self.sending:
            self.transport.send(kind, position, payload, cpu, wall, extra)
        self.places.release()

    async def stream_task(self, items, position):
        """As `stream`, on the loop."""
        slot, stream, limit = items.ticket
        transport = self.transport
        sent = 0
        try:
            value = items.value
            if type(value) is types.CoroutineType:
                value = await value
            if not hasattr(type(value), "__aiter__"):
                await self.loop.run_in_executor(self.crew, self.stream, Items(value, items.ticket), position)
            source = value.__aiter__()
            while not transport.is_closed(slot, stream):
                if sent >= limit and not await self.loop.run_in_executor(self.crew, transport.await_credit, slot, stream, sent):
                    break
                try:
                    payload = encode(await source.__anext__())
                except StopAsyncIteration:
                    break
                flush()
                with self.sending:
                    transport.send(RETURNED, position, payload, 0, 0, sent, transport.MORE)
                sent += 1
            if hasattr(source, "aclose"):
                await source.aclose()
            kind, payload = RETURNED, marshal.dumps(None, FORMAT)
        except Ended:
            raise
        except BaseException as error:
            kind, payload = self.failed(error, "the stream")
        raise Ended(kind, payload, sent)
