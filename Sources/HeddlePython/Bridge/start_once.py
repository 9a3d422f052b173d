if sys.version_info < (3, 8):
    # In the syntax of every Python there ever was, so that one that is too old answers with a sentence and not with a SyntaxError.
    version = ".".join(str(n) for n in sys.version_info[:3])
    sys.stderr.write("Heddle needs Python 3.8 or later; %s is %s\n" % (sys.executable, version))
    sys.exit(78)
code = load(sys.argv.pop(1), sys.argv.pop(1))
scope = {"__name__": "<heddle>"}
exec(code, scope)
scope["main"](sys.argv[1:], code)
