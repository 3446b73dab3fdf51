"""A zygote whose children come in pairs: a program in one process, a person's tests in another, two pipes between.

Started by `runner` as `python -P -s -S contained.py SETTINGS`, never imported by the package. A request's JSON holds
the program; the text of the tests follows it, and is read by the tests' process alone: neither this process nor, by
inheritance, any program's ever holds it. The tests' process reports what became of each test; the program's can't
reach that pipe.
"""

import importlib
import json
import os
import pkgutil
import signal
import sys
import tempfile
import time

_here = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(os.path.dirname(os.path.dirname(_here)), "sandbox"), _here]
zygote = importlib.import_module("zygote")
child, standard = zygote.child, zygote.standard

# Of the standard library, what nobody's tests want, or what does something when it is imported.
LEFT_OUT = frozenset("antigravity this idlelib lib2to3 test tkinter turtle turtledemo ensurepip".split())
WHOLE_PACKAGES = (
    "asyncio collections concurrent email encodings html http importlib json logging multiprocessing sqlite3 unittest "
    "urllib wsgiref xml xmlrpc zoneinfo"
).split()


def standard_modules():
    """Names of all modules of the standard library that tests or a program may import: a child's user may not be able
    to read them."""
    names = [n for n in sys.stdlib_module_names if n not in LEFT_OUT and n != "_hashlib"]
    for package in WHOLE_PACKAGES:
        folders = importlib.import_module(package).__path__
        names += [m.name for m in pkgutil.walk_packages(folders, package + ".") if "__main__" not in m.name]
    return sorted(names)


def load_all(settings):
    """Import what tests and programs may use, before anything is locked."""
    standard.load(standard_modules())
    sys.path += settings["packages"]
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    standard.load(["pytest", *settings["modules"]])
    import _pytest

    standard.load([m.name for m in pkgutil.walk_packages(_pytest.__path__, "_pytest.") if "legacypath" not in m.name])
    standard.load(["_pytest.legacypath", "numpy.testing"] if "numpy" in settings["modules"] else ["_pytest.legacypath"])
    for name in ("suite", "program"):
        importlib.import_module(name)
    sys.modules["crossing"].share_arrays()
    give_loops_pipes()


class _End:
    """One end of a pipe in the place of a socket."""

    def __init__(self, descriptor):
        self.descriptor = descriptor
        os.set_blocking(descriptor, False)

    def fileno(self):
        return self.descriptor

    def recv(self, size):
        return os.read(self.descriptor, size)

    def send(self, data):
        return os.write(self.descriptor, data)

    def close(self):
        os.close(self.descriptor)


def give_loops_pipes():
    """asyncio's loops wake up by a pair of sockets, which the lockdown refuses; give them a pipe."""
    from asyncio.selector_events import BaseSelectorEventLoop

    def make(self):
        reader, writer = os.pipe()
        self._ssock, self._csock = _End(reader), _End(writer)
        self._internal_fds += 1
        self._add_reader(reader, self._read_from_self)

    BaseSelectorEventLoop._make_self_pipe = make


def read_text(size):
    """The text of the tests, from this zygote's standard input."""
    return zygote.read_exactly(size).decode()


def run_pair(request, containment):
    """Run a program and its tests: facts about both processes' ends, and the tests' events."""
    began = time.monotonic()
    scratch = containment.scratch
    request |= {
        "path": os.path.join(scratch, f"{request['module']}.py"),
        "tests_path": os.path.join(scratch, f"{request['tests_module']}.py"),
    }
    os.environ["TMPDIR"] = tempfile.tempdir = scratch
    questions, answers, events = os.pipe(), os.pipe(), os.pipe()

    def tests(request):
        def report(event):
            line = json.dumps(event).encode() + b"\n"
            while line:
                line = line[os.write(events[1], line) :]

        sys.modules["suite"].run(request, text, answers[0], questions[1], report)
        return {}

    program_pid = os.fork()
    if program_pid == 0:
        for fd in (questions[1], answers[0], *events, containment.statm):
            os.close(fd)
        end_quietly(containment)
        child.live(request, containment, containment.null, lambda r: run_program(r, questions[0], answers[1]))
    tests_pid = os.fork()
    if tests_pid == 0:
        try:
            text = read_text(request["text_size"])
            for fd in (questions[0], answers[1], events[0], containment.statm):
                os.close(fd)
            end_quietly(containment)
            hide_memory()
            child.live(request, containment, events[1], tests)
        finally:
            os._exit(1)
    for fd in (*questions, *answers, events[1]):
        os.close(fd)
    data, timeout = child.collect(events[0], began + request["limits"]["wall_seconds"])
    os.close(events[0])
    for pid in (tests_pid, program_pid):
        os.kill(pid, signal.SIGKILL)  # they may have ended already, but nobody has asked how
    _, tests_code = os.waitpid(tests_pid, 0)
    program_code, _ = child.sweep(program_pid, containment.in_pid_namespace, killed=True)
    facts = {"timeout": timeout, "tests": tests_code, "program": program_code, "seconds": time.monotonic() - began}
    try:
        child.scratch.empty(scratch)
    except OSError:
        facts["spoilt"] = True  # the next program would see what this one left
    return facts, data or b""


def run_program(request, reader, writer):
    """The program's process, once it is locked in.

    request: see `program.run`. reader, writer: descriptors of the pipes from and to the tests' process. The reply is
    empty: facts about a run come from the tests' process.
    """
    sys.modules["program"].run(request, reader, writer)
    return {}


def hide_memory():
    """Let no process of this user look into this one."""
    zygote.lockdown._libc.prctl(zygote.lockdown._PR_SET_DUMPABLE, 0, 0, 0, 0)


def end_quietly(containment):
    """Standard streams of a child: nothing."""
    for fd in (0, 1, 2):
        os.dup2(containment.null, fd)


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    load_all(settings)
    del sys.path[:2]
    zygote.serve(run_pair, settings)
