def limit_memory(limit):
    """Has the kernel refuse this process, and each that it starts, more than `limit` bytes of memory of its own.

    Writable private memory is what counts (RLIMIT_DATA): code, files that are mapped and reserved addresses do not, as they would
    with RLIMIT_AS, which an interpreter with NumPy exceeds before it has computed anything.
    """
    import resource

    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    if hard != resource.RLIM_INFINITY:
        limit = min(limit, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))


def end_fork(transport):
    """In a child that the function forked: it ends where it would answer or take another call, as a script would at its end."""

    def answer(kind, position, payload, cpu=0, wall=0, extra=0, more=0):
        if more:
            return
        status = 0
        if kind != RETURNED:
            report = marshal.loads(payload)
            status = 1
            if report.get("type") == "SystemExit":
                text = report["message"]
                status = int(text) & 255 if text.isdigit() else 0 if text in ("None", "") else 1
            elif "traceback" in report:
                sys.stderr.write(report["traceback"])
        flush()
        os._exit(status)

    transport.send = answer
    transport.close()


def demand_no_gil(worker):
    """Has calls refused once a module has turned the GIL on again, which would make the threads take turns."""
    import warnings

    show = warnings.showwarning
    blamed = []

    def watch(message, category, *rest):
        if "global interpreter lock" in str(message):
            blamed.append(str(message).partition("load module '")[2].partition("'")[0])
        show(message, category, *rest)

    def inspect(target):
        if sys._is_gil_enabled():
            sentence = "%s cannot run here: %s turned the GIL on again, so threads would take turns; use processes (.processes, "
            sentence += "--on processes), or set PYTHON_GIL=0 if you know that it is safe without"
            raise Refusal("unsuitedModule", sentence % (target, blamed[-1] if blamed else "a module"))

    warnings.showwarning = watch
    worker.inspect = inspect


def serve(channel, memory, lifeline, way, threads, limit=0, handover=-1, code=None, initializer=None):
    """Takes calls from the shared memory, with bells on the descriptor `channel`, until it is told to stop.

    Memory comes and goes through `handover`; -1: none does. `way` is how: "calls" (one thread or several), "loop" (coroutines on a loop, others on threads), "free" and "free-loop" (the same two,
    without a GIL), "interpreters".
    """
    import faulthandler

    # Without the C stack, which Python 3.14 adds: only the end of what is printed is kept, and the lines that a person knows come before it.
    faulthandler.enable(**({"c_stack": False} if sys.version_info >= (3, 14) else {}))
    hold_lifeline(lifeline)
    if limit:
        limit_memory(limit)
    print_by_line()
    os.set_inheritable(channel, False)
    os.set_inheritable(memory, False)
    os.set_inheritable(lifeline, False)
    if handover >= 0:
        os.set_inheritable(handover, False)
    if way == "interpreters":
        serve_interpreters(channel, memory, handover, threads, limit, code, initializer)
    transport = RingTransport(channel, memory, threads, handover)
    os.close(memory)
    # A child that the function forks must not answer in our place, nor keep the channel open.
    os.register_at_fork(after_in_child=lambda: end_fork(transport))
    worker = (LoopWorker if way.endswith("loop") else Worker)(transport, threads, limit)
    if way.startswith("free"):
        demand_no_gil(worker)
    if initializer:
        worker.initialize(*initializer)
    worker.run()
    flush()


def check(target, answer, lifeline):
    """Loads a target and writes what became of it to the descriptor `answer`."""
    # That Python runs and that it is new enough is said first: what goes wrong from here on is the target's doing.
    os.write(answer, b"+")
    if lifeline >= 0:
        hold_lifeline(lifeline)
    report = about()
    try:
        resolve(target, True)
    except Refusal as error:
        report.update(refusal_data(error))
    write_all(answer, marshal.dumps(report, FORMAT))
    flush()
    # Threads that the module started must not keep the check from ending.
    os._exit(0)


def about():
    """What this interpreter is."""
    return {
        "version": list(sys.version_info[:3]),
        "executable": sys.executable,
        "hasGIL": not hasattr(sys, "_is_gil_enabled") or sys._is_gil_enabled(),
    }


def write_all(descriptor, data):
    while data:
        data = data[os.write(descriptor, data) :]


def clear_main():
    """Leaves `__main__`, and which folder comes first for imports, to the user and the target."""
    scope = sys.modules["__main__"].__dict__
    for name in [name for name in scope if not name.startswith("__")]:
        del scope[name]
    # `-c` put the working directory first.
    if sys.path[:1] == [""]:
        del sys.path[0]


def print_by_line():
    """What is printed leaves line by line, wherever it goes."""
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)


def main(arguments, code, initializer=None):
    """Runs the program. `arguments` are those of the process, `code` is its own, compiled; `initializer` is a worker's first call."""
    clear_main()
    if arguments[0] == "serve":
        channel, memory, lifeline, program, threads, limit, handover = [int(n) for n in arguments[2:9]]
        os.close(program)
        serve(channel, memory, lifeline, arguments[1], threads, limit, handover, code, initializer)
    elif arguments[0] == "check":
        check(arguments[1], int(arguments[2]), int(arguments[3]))
    elif arguments[0] == "about":
        write_all(int(arguments[1]), marshal.dumps(about(), FORMAT))
