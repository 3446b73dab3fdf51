"""In the child: the facts of a moment and a machine, in two ways, so that what hangs on them shows.

    settle(elsewhere=True)       # before a program is loaded

A program that is run twice to see whether it is steady finds itself elsewhere the second time: all clocks stand more
than a year ahead and go on at each look, and the process, the processors and the machine have other numbers and names
(the order of sets is another one by the hash seed of its zygote). The number of a process is set in either way: it
counts the runs before, which is no steady fact. Nothing here has to withstand a program that looks for it: one that
does is told apart from nobody but itself. Loaded by path, so it imports only the standard library.
"""

import ctypes
import gc
import os
import sys
import time

# Nanoseconds: year, month, day, day of the week, hour, minute and second are others.
AHEAD = (400 * 86_400 + 5 * 3600 + 17 * 60 + 23) * 10**9 + 456_789_123
TICK = 310_000  # nanoseconds from one look to the next, beside those that pass: what took no time to see takes some
PROCESS, PARENT = (4242, 70_007), (17, 42)  # their numbers here and elsewhere
NAME = "elsewhere"  # the machine's


def settle(elsewhere):
    """Fix or move what a program can ask about its moment and its machine.

    elsewhere: whether it is moved.
    """
    os.getpid = lambda: PROCESS[elsewhere]
    os.getppid = lambda: PARENT[elsewhere]
    if elsewhere:
        _move_clocks()
        _move_machine()


def _move_clocks():
    looks = 0

    def ahead(read, unit):
        def look(*args):
            nonlocal looks
            looks += 1
            more = AHEAD + TICK * looks
            return read(*args) + (more if unit == 1 else more / unit)

        return look

    for name in ("time", "monotonic", "perf_counter", "process_time", "thread_time", "clock_gettime"):
        setattr(time, name, ahead(getattr(time, name), 10**9))
        setattr(time, f"{name}_ns", ahead(getattr(time, f"{name}_ns"), 1))

    def of_now(read):
        return lambda seconds=None: read(time.time() if seconds is None else seconds)

    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, of_now(getattr(time, name)))
    asctime, strftime = time.asctime, time.strftime
    time.asctime = lambda moment=None: asctime(time.localtime() if moment is None else moment)
    time.strftime = lambda text, moment=None: strftime(text, time.localtime() if moment is None else moment)
    if "datetime" in sys.modules:
        _move_datetime(sys.modules["datetime"])


def _move_datetime(module):
    """Let `datetime.now` and `utcnow` ask `time.time`, as `today` does. They are written into the type's own table: a
    class in its place would be another type."""

    def now(cls, tz=None):
        return cls.fromtimestamp(time.time(), tz)

    def utcnow(cls):
        return cls.fromtimestamp(time.time(), module.timezone.utc).replace(tzinfo=None)

    (table,) = gc.get_referents(module.datetime.__dict__)
    table.update(now=classmethod(now), utcnow=classmethod(utcnow))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(module.datetime))


def _move_machine():
    count, uname = os.cpu_count() or 1, os.uname()
    os.cpu_count = lambda: count + 3
    os.sched_getaffinity = lambda process: set(range(count + 3))
    os.uname = lambda: os.uname_result((uname.sysname, NAME, *uname[2:]))
    if hasattr(os, "process_cpu_count"):
        os.process_cpu_count = os.cpu_count
    if "socket" in sys.modules:
        sys.modules["socket"].gethostname = lambda: NAME
