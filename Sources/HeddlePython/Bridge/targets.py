class Refusal(Exception):
    """A target that cannot be called: the reason as a word, a sentence, and the exception behind it."""

    def __init__(self, reason, sentence, cause=None):
        Exception.__init__(self, sentence)
        self.reason = reason
        self.sentence = sound(sentence)
        self.cause = cause


def resolve(target, is_check=False):
    """The function that `file.py:function` or `package.module:function` names. Raises `Refusal`.

    A method that needs an object gets one, made without arguments and kept; a check makes none.
    """
    place, _, path = target.rpartition(":")
    if not place or not path:
        raise Refusal("syntax", "%r names no function: write file.py:function or package.module:function" % target)
    module = load_file(place) if place.endswith(".py") or "/" in place else load_module(place)
    value = owner = module
    walked = place
    for name in path.split("."):
        owner = value
        try:
            value = getattr(value, name)
        except AttributeError:
            raise Refusal("missingFunction", "%s has no %s%s" % (walked, name, suggest_function(name, value)))
        walked += (":" if walked == place else ".") + name
    if not callable(value):
        raise Refusal(
            "notCallable", "%s is a %s and cannot be called%s" % (target, type_name(type(value)), suggest_function("", module))
        )
    if isinstance(owner, type) and not is_check and needs_object(owner, name):
        value = getattr(the_object(owner, target), name)
    return value


#: What is called without an object, or brings its own.
FREE_KINDS = (staticmethod, classmethod, type)
BUILT_IN_KINDS = (types.MethodDescriptorType, types.WrapperDescriptorType, types.ClassMethodDescriptorType, types.BuiltinFunctionType)
#: The object of each class whose methods are targets.
OBJECTS = {}


def needs_object(owner, name):
    """Whether that attribute of a class is a method written in Python, which is called with an object first."""
    for base in owner.__mro__:
        if name in base.__dict__:
            found = base.__dict__[name]
            return hasattr(type(found), "__get__") and not isinstance(found, FREE_KINDS + BUILT_IN_KINDS)
    return False


def the_object(owner, target):
    if owner not in OBJECTS:
        try:
            OBJECTS[owner] = owner()
        except BaseException as error:
            sentence = "%s is a method, and %s() gives no object for it: %s; give its __init__ defaults, or write a function"
            raise Refusal("constructionFailed", sentence % (target, owner.__name__, last_line(error)), error)
    return OBJECTS[owner]


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
    unsuited = unsuited_module(error)
    if unsuited:
        return Refusal("unsuitedModule", "%s cannot be loaded here: %s" % (place, unsuited), error)
    if isinstance(error, ImportError) and "no known parent package" in text_of(error):
        name = os.path.basename(place)[: -len(".py")]
        advice = "; a file of a package is named as a module, from the folder that holds the package: package.%s:function" % name
        return Refusal("importFailed", "%s imports from its package, which a script cannot%s" % (place, advice), error)
    return Refusal("importFailed", "%s fails when it is loaded: %s" % (place, last_line(error)), error)


def unsuited_module(error):
    """Where a module refuses to load in a sub-interpreter, a sentence that names it; otherwise None."""
    module = None
    for _ in range(LONGEST_CAUSE_CHAIN):
        if error is None:
            break
        text = text_of(error)
        if isinstance(error, ImportError) and ("subinterpreters" in text or "more than once per process" in text):
            # The innermost knows best: a package may say more of it in an error of its own.
            words = text.split()
            module = error.name or (words[1] if words[0] == "module" else importing_module(error) or module or "a module")
        error = error.__cause__ or error.__context__
    if module is None:
        return None
    package = module.partition(".")[0]
    whose = "%s does" % package if module == package else "%s (its module %s) does" % (package, module)
    return "%s not load in a sub-interpreter; use processes instead (.processes, --on processes)" % whose


def importing_module(error):
    """The module in whose code the error arose: a package's own, where one of its extensions does not say its name."""
    trace, name = error.__traceback__, None
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", name)
        trace = trace.tb_next
    return name


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
    return sound(name if module in (None, "builtins", "__main__") else "%s.%s" % (module, name))


def text_of(value):
    try:
        text = str.__str__(str(value))
        return sound(text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "...")
    except BaseException as error:
        return "<str() of this %s failed with %s>" % (type_name(type(value)), type_name(type(error)))


def sound(text):
    """The text with each lone surrogate written out, as Python's standard error does."""
    try:
        text.encode("utf-8")
        return text
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode("utf-8")


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
    """An exception as a dictionary, with its causes and what it groups; its text as Python would print it."""
    report = {"type": type_name(type(error)), "message": text_of(error), "notes": [], "traceback": traceback_of(error, depth == 0)}
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, (list, tuple)):
        report["notes"] = [text_of(note) for note in notes]
    if SUBINTERPRETER and isinstance(error, RuntimeError) and "interpreter" in report["message"]:
        # No fork, no daemon threads.
        report["notes"].append("This ran in a sub-interpreter, which may not do that; processes may (.processes, --on processes).")
        report["traceback"] += report["notes"][-1] + "\n"
    direct = error.__cause__ is not None
    cause = error.__cause__ if direct else None if error.__suppress_context__ else error.__context__
    if cause is not None and depth < LONGEST_CAUSE_CHAIN:
        report["cause"] = describe(cause, depth + 1)
        report["direct"] = direct
    grouped = getattr(error, "exceptions", None)
    if isinstance(grouped, tuple) and depth < LONGEST_CAUSE_CHAIN:
        members = [member for member in grouped if isinstance(member, BaseException)]
        report["exceptions"] = [describe(member, depth + 1) for member in members[:LONGEST_GROUP]]
    return report


def traceback_of(error, chain):
    try:
        import traceback

        text = "".join(traceback.TracebackException(type(error), error, own_frames(error.__traceback__)).format(chain=chain))
    except BaseException:
        text = last_line(error) + "\n"
    if len(text) > LONGEST_TEXT:
        text = text[: LONGEST_TEXT // 2] + "\n...\n" + text[-LONGEST_TEXT // 2 :]
    return sound(text)
