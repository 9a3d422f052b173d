import marshal
import os
import sys

program = int(sys.argv[6])
magic, code, source, _ = marshal.loads(os.pread(program, os.fstat(program).st_size, 0))
same = code and magic == sys.modules["_frozen_importlib_external"].MAGIC_NUMBER
code = marshal.loads(code) if same else compile(source, "<heddle>", "exec", 0, True)
scope = {"__name__": "<heddle>"}
exec(code, scope)
scope["main"](sys.argv[1:], code)
