import marshal
import os

program = int(sys.argv[6])
source, initializer = marshal.loads(os.pread(program, os.fstat(program).st_size, 0))
code = load(source, sys.argv.pop())
scope = {"__name__": "<heddle>"}
exec(code, scope)
scope["main"](sys.argv[1:], code, initializer)
