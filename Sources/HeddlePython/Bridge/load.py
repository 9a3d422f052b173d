import sys


def load(source, cache):
    """The program: as it was kept in the user's cache, or compiled, and then kept for the next that starts."""
    import marshal
    import os

    path = cache and "%s-%s-%x" % (cache, sys.implementation.cache_tag, sys.hexversion)
    try:
        with open(path, "rb") as file:
            # As one piece: `marshal.load` asks the file for each object, which takes ten times as long.
            code = marshal.loads(file.read())
        if type(code) is type(load.__code__):
            return code
    except Exception:
        # There is none, or it cannot be read.
        pass
    code = compile(source, "<heddle>", "exec", 0, True)
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        part = "%s.%d" % (path, os.getpid())
        with open(part, "xb") as file:
            marshal.dump(code, file)
        os.replace(part, path)
    except Exception:
        # No cache then.
        pass
    return code
