import marshal
import os
import sys

program = int(sys.argv[6])
magic, code, source, initializer = marshal.loads(os.pread(program, os.fstat(program).st_size, 0))
same = code and magic == sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
cache = sys.argv.pop()
if same:
    code = marshal.loads(code)
else:
    code = None
    path = cache and "%s-%s-%x" % (cache, sys.implementation.cache_tag, sys.hexversion)
    try:
        with open(path, "rb") as file:
            code = marshal.load(file)
    except Exception:
        pass
    if code is None:
        code = compile(source, "<heddle>", "exec", 0, True)
        try:
            os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
            part = "%s.%d" % (path, os.getpid())
            with open(part, "xb") as file:
                marshal.dump(code, file)
            os.replace(part, path)
        except Exception:
            # There is no cache then.
            pass
scope = {"__name__": "<heddle>"}
exec(code, scope)
scope["main"](sys.argv[1:], code, initializer)
