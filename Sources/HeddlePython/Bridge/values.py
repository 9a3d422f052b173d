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


def plain(value, depth=0, beside=None):
    """The value made of None, bool, int, float, str, bytes, list, tuple and dict. Raises `Unsendable`.

    With `beside`, a `Beside`, arrays become what that says.
    """
    kind = type(value)
    if kind in SCALARS:
        return value
    if depth > DEEPEST_RESULT:
        raise Unsendable(TOO_DEEP)
    depth += 1
    if kind is list:
        return [plain(item, depth, beside) for item in value]
    if kind is tuple:
        return tuple([plain(item, depth, beside) for item in value])
    if kind is dict:
        return {plain_key(key, depth): plain(item, depth, beside) for key, item in value.items()}
    return plain_object(value, depth, beside)


def plain_key(key, depth):
    key = plain(key, depth)
    try:
        hash(key)
    except TypeError:
        raise Unsendable("the result has a dictionary whose key is a %s; use str or int as keys" % type_name(type(key)))
    return key


def plain_object(value, depth, beside):
    import _collections_abc as abc

    # A value can be of a module's type only where that is loaded, and loading some here is no good: `datetime` in two sub-interpreters of
    # 3.12 ends the process.
    enum, datetime = sys.modules.get("enum"), sys.modules.get("datetime")
    if isinstance(value, getattr(enum, "Enum", ())):
        return plain(value.value, depth, beside)
    if beside is not None:
        record = beside.elements(value)
        if record is not None:
            return record
    # numpy's arrays and scalars, tensors, series, array.array. Before float: numpy.float64 is one.
    as_list = getattr(type(value), "tolist", None)
    if as_list is not None and not isinstance(value, memoryview):
        result = value.tolist()
        if type(result) is type(value):
            raise unsendable(value)
        return plain(result, depth, beside)
    for base in (bool, int, float, str, bytes):
        if isinstance(value, base):
            return base.__str__(value) if base is str else base(value) if base is not int else int.__int__(value)
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: plain(getattr(value, name), depth, beside) for name in fields if hasattr(value, name)}
    if isinstance(value, tuple):
        names = getattr(type(value), "_fields", None)
        if names is not None and len(names) == len(value):
            return {str(name): plain(item, depth, beside) for name, item in zip(names, value)}
        return [plain(item, depth, beside) for item in value]
    if isinstance(value, abc.Mapping):
        return {plain_key(key, depth): plain(value[key], depth, beside) for key in value}
    if isinstance(value, abc.Set):
        items = [plain(item, depth) for item in value]
        try:
            return sorted(items)
        except TypeError:
            return items
    if isinstance(value, os.PathLike):
        return plain(os.fspath(value), depth)
    if hasattr(datetime, "timedelta"):
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            return value.isoformat()
        if isinstance(value, datetime.timedelta):
            return value.total_seconds()
    if type(value).__module__ in ("decimal", "fractions", "uuid", "ipaddress", "zoneinfo"):
        return str(value)
    if isinstance(value, (abc.Sequence, abc.Iterator, abc.ValuesView)):
        return [plain(item, depth, beside) for item in value]
    raise unsendable(value)


def unsendable(value):
    advice = "return None, bool, int, float, str, bytes, or lists and dictionaries of them"
    if isinstance(value, complex):
        advice = "return [z.real, z.imag]"
    elif isinstance(value, type) or callable(value):
        return Unsendable("the result holds %s itself, which cannot travel; %s" % (text_of(value), advice))
    return Unsendable("the result holds a value of type %s, which cannot travel; %s" % (type_name(type(value)), advice))


def encode(value):
    """The bytes of a result, with the memory that goes beside it. Raises `Unsendable`, or what the value's own methods raise."""
    beside = None
    if not is_plain(value):
        beside = Beside() if SHARING else None
        try:
            value = plain(value, 0, beside)
        except RecursionError:
            raise Unsendable(TOO_DEEP)
    try:
        payload = marshal.dumps(value, FORMAT)
    except ValueError as error:
        raise Unsendable("the result cannot be written: %s; return something smaller or flatter" % error)
    if beside is not None and beside.memories:
        payload = Parcel(payload)
        payload.memories = beside.memories
    return payload
