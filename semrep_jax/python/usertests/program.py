"""The process of the program: loads it when the tests import it and does what they ask. Loaded by `contained.py`."""

import builtins
import linecache
import logging
import os
import signal
import sys
import time
import types

from aside import OURS, Aside, LogHandler, Printer, forward_warnings, set_alarm, stop_alarm
from bridge import Bridge, ProgramEnded, TookTooLong


class Input:
    """The program's sys.stdin: reads from the tests'."""

    encoding, errors, closed = "utf-8", "strict", False

    def __init__(self, bridge):
        self.bridge = bridge

    def ask(self, name, *args):
        """What a method (`read` or `readline`) of the tests' sys.stdin gives for these arguments."""
        return self.bridge.request("stdin", name, list(args))

    def read(self, size=-1):
        """At most `size` characters; all that is left where it is negative."""
        return self.ask("read", size)

    def readline(self, size=-1):
        """The next line, or at most `size` characters of it where it is not negative; "" at the end."""
        return self.ask("readline", size)

    def readlines(self):
        """All lines that are left."""
        return list(self)

    def __iter__(self):
        return iter(self.readline, "")

    def isatty(self):
        """Whether it is a terminal: never."""
        return False

    def readable(self):
        """Whether it can be read: always."""
        return True


def run(request, reader, writer):
    """Serve the tests' requests until their process ends.

    request: module and tests_module (their names), source (the program's text), path (the file that it is written
    to). reader, writer: descriptors of the pipes from and to the tests' process.
    """
    bridge = Bridge(reader, writer, 1, False, Aside(), {request["module"], request["tests_module"], "__main__"})
    name, source, path = request["module"], request["source"], request["path"]

    def load():
        module = types.ModuleType(name)
        module.__file__ = path
        sys.modules[name] = module
        linecache.cache[path] = (len(source), None, source.splitlines(True), path)
        exec(compile(source, path, "exec"), vars(module))
        return module.__doc__ if type(module.__doc__) is str else None

    def names():
        module = vars(sys.modules[name])
        return [str(n) for n in module.get("__all__", [n for n in module if not n.startswith("_")])]

    bridge.operations |= {
        "load": lambda bridge: load(),
        "module names": lambda bridge: names(),
        "module all names": lambda bridge: list(vars(sys.modules[name])),
        "module own": lambda bridge, key: vars(sys.modules[name])[key],
        "module get": lambda bridge, key: getattr(sys.modules[name], key),
        "module set": lambda bridge, key, value: setattr(sys.modules[name], key, value),
        "module delete": lambda bridge, key: delattr(sys.modules[name], key),
        "patch": patch,
    }
    for hidden in OURS:
        sys.modules.pop(hidden, None)
    with open(path, "w") as file:
        file.write(source)
    sys.path[:0] = [os.path.dirname(path)]
    flush = lambda: bridge.request("printed")  # noqa: E731
    sys.stdout, sys.stderr, sys.stdin = (
        Printer(bridge.aside, "out", flush),
        Printer(bridge.aside, "err", flush),
        Input(bridge),
    )
    logging.root.addHandler(LogHandler(bridge))
    forward_warnings(bridge)
    builtins.input = lambda prompt="": bridge.request("input", str(prompt))

    def raise_late(signum, frame):
        if not bridge.busy:
            raise TookTooLong

    signal.signal(signal.SIGALRM, raise_late)
    try:
        serve(bridge)
    except ProgramEnded:
        pass


def serve(bridge):
    """Answer requests. Each has until the test's deadline."""
    while True:
        try:
            kind, payload = bridge.receive()
            if bridge.aside.deadline is not None:
                set_alarm(bridge.aside.deadline - time.monotonic())
            if kind == "ask":
                bridge.answer(payload)
            stop_alarm()
        except TookTooLong:
            stop_alarm()
            bridge.news = []
            bridge.send("late", None)


_originals = {}


def patch(bridge, module, name, value):
    """Give a name of a module of the standard library the value that the tests have given it on their side.

    bridge: given to every operation; not used here. value: ("original",) puts back what the program's process had at
    first. Raises KeyError where the module is not loaded.
    """
    target = sys.modules[module]
    _originals.setdefault((module, name), getattr(target, name, None))
    if isinstance(value, tuple) and value == ("original",):
        value = _originals[module, name]
    setattr(target, name, value)
