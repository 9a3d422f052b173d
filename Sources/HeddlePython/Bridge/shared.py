class Parcel(bytes):
    """A call or a result with memory that goes beside it: `memories`, each with a `descriptor` and a `size`."""

    memories = ()


#: Not empty where the parent hands over memory and takes some.
SHARING = []
#: An array from this size on goes in memory of its own, a smaller one in the message. Unit: bytes.
LEAST_SHARED = 1 << 16
#: How much memory goes with one message at most: HEDDLE_HANDOVER_LIMIT.
MOST_SHARED = 128
#: Elements that both sides know, as `struct` names them.
FORMATS = frozenset("?bBhHiIlLqQfd")

# Of <fcntl.h>: Python has no names for the second half.
ADD_SEALS, GET_SEALS = 1033, 1034
SEAL_SHRINK, SEAL_GROW, SEAL_WRITE, SEAL_FUTURE_WRITE = 2, 4, 8, 16


class Sealed(object):
    """A file without a name whose descriptor is closed with this object."""

    def __init__(self, descriptor, size):
        self.descriptor = descriptor
        self.size = size

    def __del__(self, close=os.close):
        close(self.descriptor)


#: What is mapped here, by device and inode, as long as anybody has a view of it. Made when the first memory comes.
MAPPED = []


def mapped_memory():
    """The table of mappings, and the class of one."""
    if not MAPPED:
        import mmap
        import weakref

        # From 3.13 on no second descriptor is kept for a `resize` that nobody could do.
        options = {"trackfd": False} if sys.version_info >= (3, 13) else {}

        class SharedMemory(mmap.mmap):
            """Memory that other processes see too. Views of it keep it; the last one that goes unmaps it and closes its descriptor."""

            def __new__(cls, descriptor, size, access):
                self = mmap.mmap.__new__(cls, descriptor, size, access=access, **options)
                self.descriptor = descriptor
                self.size = size
                self.address = None
                return self

            def __del__(self, close=os.close):
                descriptor = getattr(self, "descriptor", None)
                if descriptor is not None:
                    close(descriptor)

        MAPPED.append((weakref.WeakValueDictionary(), SharedMemory, mmap.ACCESS_READ, mmap.ACCESS_WRITE))
    return MAPPED[0]


def open_memory(descriptor, size):
    """What lies behind a descriptor that the parent sent, mapped once however often it comes. Takes the descriptor over."""
    import fcntl

    table, kind, read, write = mapped_memory()
    try:
        facts = os.fstat(descriptor)
        known = table.get((facts.st_dev, facts.st_ino))
        if known is None:
            # Mapped for reading only where the kernel keeps us from more: then not even an extension can write it.
            closed = fcntl.fcntl(descriptor, GET_SEALS) & (SEAL_WRITE | SEAL_FUTURE_WRITE)
            known = kind(descriptor, size, read if closed else write)
            descriptor = -1
            table[facts.st_dev, facts.st_ino] = known
        return known
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def take_memory(socket, count):
    """The memory that came with a frame, as descriptors and sizes; fewer than `count` where this process may open no more."""
    import _socket

    # Not inherited by what the function starts (MSG_CMSG_CLOEXEC), and there already (MSG_DONTWAIT).
    flags = 0x40000000 | _socket.MSG_DONTWAIT
    try:
        sizes, beside, _, _ = socket.recvmsg(8 * count, _socket.CMSG_SPACE(4 * count), flags)
    except OSError:
        sys.stderr.write("Heddle: the descriptor through which shared memory comes was closed or used by a function\n")
        os._exit(125)
    descriptors = [number for _, _, data in beside for number in memoryview(data[: len(data) // 4 * 4]).cast("i")]
    return list(zip(descriptors, memoryview(sizes).cast("Q")))


def hand_over(socket, memories, nudge):
    """Sends the memory that goes with the next frame. Blocks while the parent is behind, once it was nudged."""
    import _socket
    import errno
    import struct

    sizes = struct.pack("<%dQ" % len(memories), *[memory.size for memory in memories])
    numbers = struct.pack("<%di" % len(memories), *[memory.descriptor for memory in memories])
    flags = _socket.MSG_NOSIGNAL | _socket.MSG_DONTWAIT
    while True:
        try:
            socket.sendmsg([sizes], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, numbers)], flags)
            return
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.ETOOMANYREFS):
                # The parent has gone, or a function closed it.
                os._exit(125)
        nudge()
        flags = _socket.MSG_NOSIGNAL
        time.sleep(0)


def unpack(parcel):
    """The arguments of a call that came with memory."""
    waiting = list(parcel.memories)
    memories = []
    try:
        while waiting:
            memories.append(open_memory(*waiting.pop(0)))
        if len(memories) < parcel.count:
            raise OSError(24, "the memory of a SharedBuffer came, but this process may open no more descriptors")
        arguments, keywords = marshal.loads(parcel)
    finally:
        for descriptor, _ in waiting:
            os.close(descriptor)
    arguments = list(arguments)
    walk = [arguments, keywords]
    while walk:
        holder = walk.pop()
        for key, item in holder.items() if type(holder) is dict else enumerate(holder):
            if type(item) is frozenset:
                holder[key] = view_of(dict(item), memories)
            elif type(item) is list or type(item) is dict:
                walk.append(item)
    return arguments, keywords


def view_of(part, memories):
    """A part of memory as a memoryview of its elements, or of bytes where `struct` has no name for them."""
    start = part["offset"] * part["stride"]
    view = memoryview(memories[part["sharedMemory"]])[start : start + part["count"] * part["stride"]]
    if part["format"] and part["count"]:
        try:
            return view.cast(part["format"])
        except ValueError:
            # Half floats, before 3.12.
            pass
    return view


def address_of(view):
    """Where a contiguous buffer begins; None where nothing here can tell."""
    numpy = sys.modules.get("numpy")
    if hasattr(numpy, "frombuffer"):
        return numpy.frombuffer(view, "B").__array_interface__["data"][0]
    try:
        import ctypes
    except (ImportError, OSError):
        # A sub-interpreter of 3.12; no descriptor left.
        return None
    # A Py_buffer, which begins with the address.
    buffer = (ctypes.c_void_p * 32)()
    ctypes.pythonapi.PyObject_GetBuffer(ctypes.py_object(view), ctypes.byref(buffer), 0)
    address = buffer[0]
    ctypes.pythonapi.PyBuffer_Release(ctypes.byref(buffer))
    return address


class Beside(object):
    """The memory that goes with one result."""

    def __init__(self):
        self.memories = []

    def number(self, memory):
        for number, known in enumerate(self.memories):
            if known is memory:
                return number
        self.memories.append(memory)
        return len(self.memories) - 1

    def has_room(self):
        return len(self.memories) < MOST_SHARED

    def elements(self, value):
        """An array as a record of where its elements are and what they are: a frozenset of pairs, which results hold for nothing else.

        None: it is no array, or one that goes as bytes or a list.
        """
        kind = type(value)
        numpy = sys.modules.get("numpy")
        # What is read as bytes where that is asked for; arrays are lists.
        raw = kind is memoryview or kind is bytearray
        if raw:
            view = value if kind is memoryview else memoryview(value)
            size, stride, format, shape, whole = view.nbytes, view.itemsize, view.format, view.shape, view.c_contiguous
        elif numpy is not None and kind is getattr(numpy, "ndarray", None):
            if not value.ndim or value.dtype.hasobject:
                return None
            size, stride, shape, whole = value.nbytes, value.itemsize, value.shape, value.flags.c_contiguous
            format = value.dtype.char if value.dtype.isnative else ""
            view = value
        elif kind.__name__ == "array" and kind.__module__ == "array" and value.typecode not in "uw":
            view = memoryview(value)
            size, stride, format, shape, whole = view.nbytes, view.itemsize, view.format, view.shape, True
        else:
            return None
        if format not in FORMATS:
            format = ""
        if not size or not stride:
            return None
        count = size // stride
        facts = {"count": count, "stride": stride, "format": format, "shape": tuple(shape), "raw": raw, "offset": 0}
        place = self.place_of(view, size) if whole and MAPPED else None
        if place is not None and place[1] % stride == 0 and (self.has_room() or place[0] in self.memories):
            facts.update(sharedMemory=self.number(place[0]), offset=place[1] // stride)
            return frozenset(facts.items())
        if not format or raw and format in "bBc" and size < LEAST_SHARED:
            return None
        copied = None
        if size >= LEAST_SHARED and self.has_room():
            try:
                copied = self.copied(view, size, whole)
            except OSError:
                # No descriptor, no memory of that kind: then in the message.
                pass
        if copied is None:
            facts["bytes"] = view.tobytes()
        else:
            facts["sharedMemory"] = self.number(copied)
        return frozenset(facts.items())

    def place_of(self, view, size):
        """The memory that an array lies in, and where in it."""
        table = MAPPED[0][0]
        if type(view) is memoryview:
            owner = view.obj
            if type(owner) is MAPPED[0][1] and size == owner.size:
                return owner, 0
            # These have memory of their own.
            if not len(table) or type(owner) in (bytes, bytearray) or type(owner).__module__ == "array":
                return None
            address = address_of(view)
        else:
            address = view.__array_interface__["data"][0]
        for memory in list(table.values()) if address is not None else ():
            if memory.address is None:
                memory.address = address_of(memory)
            if memory.address is not None and memory.address <= address and address + size <= memory.address + memory.size:
                return memory, address - memory.address
        return None

    def copied(self, view, size, whole):
        """Memory of its own for an array, to be handed over: who asked for it may write it, nobody here keeps it."""
        import fcntl

        memory = Sealed(os.memfd_create("heddle-buffer", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), size)
        if whole:
            write_all(memory.descriptor, memoryview(view).cast("B"))
        elif type(view) is memoryview:
            write_all(memory.descriptor, view.tobytes())
        else:
            import mmap

            os.posix_fallocate(memory.descriptor, 0, size)
            target = mmap.mmap(memory.descriptor, size)
            sys.modules["numpy"].ndarray(view.shape, view.dtype, target)[...] = view
            target.close()
        fcntl.fcntl(memory.descriptor, ADD_SEALS, SEAL_SHRINK | SEAL_GROW)
        return memory
