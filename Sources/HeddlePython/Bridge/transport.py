class RingTransport(object):
    """Calls and answers through the memory that is shared with the parent: HeddleWire/Transport, in Python.

    The numbers below are those of RegionLayout.swift and Frame.swift. A memoryview reads and writes an aligned eight-byte word as one
    access, and x86-64 keeps stores in order; where a store must be seen before a later load, a lock's compare-and-exchange is the
    fence. `receive` is called by one thread at a time, and `send` too.
    """

    VERSION = 4
    MAGIC = 0x3130656C64646568
    WORDS = 1 << 16
    RING = 1 << 20
    MASK = RING - 1
    CAPACITY = 256
    PAYLOAD = 1 << 17
    # Words, in steps of eight bytes.
    HEAD, TAIL, PARKED, WANTS_ROOM, BUSY_TIME, BUSY_JOBS, IDENTITY, CLAIMS, STARTS, CREDITS = 0, 8, 16, 24, 32, 33, 64, 128, 512, 1024
    DEFINE, JOB, BEGIN_JOB, PART, STOP = 1, 2, 3, 4, 5
    HELLO, RESULT, BEGIN_RESULT, RESULT_PART = 1, 2, 3, 4
    #: Flag of a result: more of the same call follow.
    MORE = 1
    #: A credit names a stream, and how many results are wanted in its low bits; all of them set: no more.
    CREDIT_BITS = 44
    CLOSED = (1 << 44) - 1

    #: How often it looks for the next call before it sleeps: some 30 us, what a wake-up costs. After a burst, whose end it most
    #: likely is, a spin would only take the processor from the parent.
    SPINS, SPINS_AFTER_BURST = 400, 20
    #: After so many looks without a reader for its answers it rings: the parent sleeps.
    PATIENCE = 30

    def __init__(self, channel, memory, threads, handover=-1):
        # The modules below are those that Python needs itself: `socket` and `threading` cost more to import than all of the rest.
        import _socket
        import _thread
        import mmap
        import struct

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
        self._socket = _socket.socket(fileno=channel)
        self._socket.setblocking(True)
        self._header = struct.Struct("<IBBHII")
        self._handover = None
        if handover >= 0:
            self._handover = _socket.socket(fileno=handover)
            self._handover.setblocking(True)
            SHARING.append(handover)
        self._shape = struct.Struct("<QQ")
        self._measures = struct.Struct("<QQQ")
        self._fence = _thread.allocate_lock()
        if threads > 1:
            import threading

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
        """The next call that is ours as (position, target, payload); None when there will be none. Blocks.

        A payload of None: there is no memory for it."""
        theirs, ours, unpack = self._theirs, self._ours, self._header.unpack_from
        self.parked = False
        while not self._closed:
            if theirs[self.HEAD] == self._tail:
                self._await_requests()
                continue
            size, kind, flags, count, low, number = unpack(self._requests, self._tail & self.MASK)
            if kind == self.JOB or kind == self.BEGIN_JOB:
                # Messages lie in the order of the frames, also of one that is passed over.
                memories = take_memory(self._handover, count) if count else ()
                position = self._position = self._position + ((low - self._position) & 0xFFFFFFFF)
                is_large = kind == self.BEGIN_JOB
                if not self._claim(position):
                    for descriptor, _ in memories:
                        os.close(descriptor)
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
                if count:
                    payload = Parcel(payload)
                    payload.memories, payload.count = memories, count
                return position, self._targets[number], payload
            if kind == self.DEFINE:
                self._define(bytes(self._bytes(self._tail + 16, size)))
            elif kind == self.STOP:
                self._closed = True
            # Otherwise a part of a large call that was taken back.
            self._pass(size, kind == self.PART)
        return None

    def _define(self, definition):
        """A function has a number from here on."""
        self._targets.append(definition.decode("utf-8"))

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
        read = 0
        while read < size:
            if self._theirs[self.HEAD] == self._tail:
                self._await_requests()
                continue
            part = self._header.unpack_from(self._requests, self._tail & self.MASK)[0]
            if whole is not None:
                try:
                    whole += self._bytes(self._tail + 16, part)
                except MemoryError:
                    # The rest is read all the same: behind it lies the next call.
                    whole = None
            read += part
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
        if not self._several:
            return self._listen()
        # One thread listens and wakes the others. `is_due` is asked under the lock: a bell that was taken before has made it true.
        with self._bells:
            if is_due():
                return True
            if self._is_listening:
                self._bells.wait()
                return True
            self._is_listening = True
        try:
            return self._listen()
        finally:
            with self._bells:
                self._is_listening = False
                self._bells.notify_all()

    def _listen(self):
        try:
            return len(self._socket.recv(256)) > 0
        except InterruptedError:
            return True
        except OSError:
            return False

    def await_credit(self, slot, stream, sent):
        """Waits until more than `sent` results of that stream are wanted. False: none ever will be."""
        # A word of the parent's: whose credit it is, and up to where. It is written before the bell is rung.
        place = self.CREDITS + slot

        def is_due():
            word = self._theirs[place]
            return word >> self.CREDIT_BITS == stream and word & self.CLOSED > sent

        while not is_due():
            if not self._await_bell(is_due):
                os._exit(0)
        return not self.is_closed(slot, stream)

    def is_closed(self, slot, stream):
        """Whether nobody wants more results of that stream."""
        word = self._theirs[self.CREDITS + slot]
        return word >> self.CREDIT_BITS == stream and word & self.CLOSED == self.CLOSED

    # Writing

    def greet(self):
        """Says that this worker listens."""
        self._frame(self.HELLO, 0, 0, b"")
        self._ring_if_parked()

    def send(self, kind, position, payload, cpu=0, wall=0, extra=0, more=0):
        """Sends one answer, whole. With `more` the call goes on. Blocks while the parent does not read."""
        count = 0
        if type(payload) is Parcel:
            count = len(payload.memories)
            # It takes messages with results: those that lie there may have to be read first.
            hand_over(self._handover, payload.memories, self._ring_if_parked)
        measures = self._measures.pack(cpu, wall, extra)
        size = len(measures) + len(payload)
        if size <= self.PAYLOAD:
            self._frame(self.RESULT, position, kind, measures + payload, more, count)
        else:
            self._frame(self.BEGIN_RESULT, position, kind, self._shape.pack(size, 0), more, count)
            self._frame(self.RESULT_PART, 0, 0, measures)
            view = memoryview(payload)
            for start in range(0, len(payload), self.PAYLOAD):
                self._frame(self.RESULT_PART, 0, 0, view[start : start + self.PAYLOAD])
        self._jobs += 1 - more
        self._burst += 1
        if not self._spins or more:
            # Another thread may sleep in `receive`, or this one in the function, so nobody comes by there to ring.
            self._ring_if_parked()
        now = time.monotonic_ns()
        if now - self._since > 50000:
            self._report(now)
            # In a burst: ring if nothing was read since the last look.
            if self._theirs[self.TAIL] < self._mark:
                self._ring_if_parked()
            self._mark = self._head

    def _frame(self, kind, position, number, payload, flags=0, count=0):
        size = len(payload)
        room = (16 + size + 15) & ~15
        if self._head + room - self._theirs[self.TAIL] > self.RING:
            self._await_room(room)
        start = self._head & self.MASK
        answers = self._answers
        self._header.pack_into(answers, start, size, kind, flags, count, position & 0xFFFFFFFF, number)
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
        import _socket

        try:
            self._socket.send(b"\1", _socket.MSG_DONTWAIT | _socket.MSG_NOSIGNAL)
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
        if self._handover is not None:
            os.close(self._handover.detach())


def hold_lifeline(descriptor):
    """Has the kernel kill this process group when the other end of the pipe is closed, however busy the interpreter is then."""
    import _signal
    import fcntl

    set_signal = getattr(fcntl, "F_SETSIG", 10)
    fcntl.fcntl(descriptor, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(descriptor, set_signal, _signal.SIGKILL)
    fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_ASYNC | os.O_NONBLOCK)
    # Closed before the kernel was told to watch it: nobody will tell us again.
    try:
        os.read(descriptor, 1)
    except BlockingIOError:
        return
    os.killpg(0, _signal.SIGKILL)
