"""Python's own pools, asked for figures: a line `NAME NUMBER…` in, one number out (microseconds a job unless said otherwise)."""
import concurrent.futures
import multiprocessing
import os
import sys
import time

import work

WORKERS = 2


def futures(pool, count):
    """Submit all, await all."""
    begin = time.perf_counter()
    submitted = [pool.submit(work.same, number) for number in range(count)]
    total = sum(future.result() for future in submitted)
    span = time.perf_counter() - begin
    assert total == count * (count - 1) // 2
    return span / count * 1e6


def rounds(pool, count):
    """One at a time."""
    begin = time.perf_counter()
    for number in range(count):
        pool.submit(work.same, number).result()
    return (time.perf_counter() - begin) / count * 1e6


def start(make):
    """A pool's start to its first result, in milliseconds."""
    begin = time.perf_counter()
    pool = make(WORKERS)
    pool.submit(work.same, 1).result()
    span = time.perf_counter() - begin
    pool.shutdown()
    return span * 1e3


def asynchronous(pool, count):
    begin = time.perf_counter()
    results = [pool.apply_async(work.same, (number,)) for number in range(count)]
    total = sum(result.get() for result in results)
    span = time.perf_counter() - begin
    assert total == count * (count - 1) // 2
    return span / count * 1e6


def mapped(pool, count):
    """Pool.map with its own chunks."""
    begin = time.perf_counter()
    total = sum(pool.map(work.same, range(count)))
    span = time.perf_counter() - begin
    assert total == count * (count - 1) // 2
    return span / count * 1e6


def sent(pool, mebibytes):
    """GB/s of a block that a job takes."""
    data = os.urandom(mebibytes << 20)
    begin = time.perf_counter()
    assert pool.submit(work.length, data).result() == len(data)
    return len(data) / (time.perf_counter() - begin) / 1e9


def main():
    processes = concurrent.futures.ProcessPoolExecutor(WORKERS)
    processes.submit(work.same, 1).result()
    threads = concurrent.futures.ThreadPoolExecutor(WORKERS)
    pool = multiprocessing.Pool(WORKERS)
    commands = {
        "flood": lambda count: futures(processes, count),
        "single": lambda count: rounds(processes, count),
        "sent": lambda mebibytes: sent(processes, mebibytes),
        "start": lambda _: start(concurrent.futures.ProcessPoolExecutor),
        "thread-flood": lambda count: futures(threads, count),
        "thread-single": lambda count: rounds(threads, count),
        "pool-flood": lambda count: asynchronous(pool, count),
        "pool-map": lambda count: mapped(pool, count),
    }
    for line in sys.stdin:
        name, *numbers = line.split()
        command = commands.get(name)
        print(command(int(numbers[0]) if numbers else 1) if command else "error: no %s here" % name, flush=True)
    pool.terminate()
    processes.shutdown()
    threads.shutdown()


if __name__ == "__main__":
    main()
