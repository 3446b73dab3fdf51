"""The zygote: a small Python process that forks one locked-down child for each candidate program.

Started by `pool` as `python -P -s -S zygote.py SETTINGS` with an environment of one variable (a fixed hash seed, so that a set
has one order and a verdict one value), never imported by the package. It is
process 1 of its own pid namespace where the kernel allows that, so that one `kill(-1)` after each run ends whatever the
candidate left behind. The child holds the candidate's text and the inputs, *never an expected output*: there is nothing
in it worth stealing, and what it reports are raw observations that the parent judges.

A request is 4 bytes of length, then JSON; a reply two lengths of 4 bytes, then JSON, then the child's own bytes as they came.

A fork costs what the child touches: each page it writes or first reads is a fault of some microseconds. So everything that
can be done once is done before the fork: static limits, warm caches, resolved symbols, and no hooks after it.
"""

import gc
import importlib
import json
import os
import resource
import select
import signal
import struct
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
lockdown = importlib.import_module("lockdown")
wire = importlib.import_module("wire")
del sys.path[0]

CORE = (
    "bisect",
    "collections",
    "copy",
    "functools",
    "heapq",
    "itertools",
    "math",
    "operator",
    "re",
    "string",
    "typing",
)
# Loaded into the zygote when a program first names them, so that no child has to (its user may not be able to read them).
ON_DEMAND = """
    abc argparse array ast base64 binascii calendar cmath codecs collections.abc colorsys configparser contextlib contextvars csv
    dataclasses datetime decimal difflib enum errno fnmatch fractions gettext getopt glob graphlib hashlib hmac html html.entities
    html.parser inspect io ipaddress json keyword linecache locale logging mimetypes numbers opcode optparse os os.path pathlib pickle
    posixpath pprint queue quopri random reprlib sched secrets selectors shlex shutil signal socket sqlite3 stat statistics stringprep
    struct subprocess symtable sys tempfile textwrap threading time token tokenize tomllib traceback types unicodedata urllib.parse
    uuid warnings weakref xml.etree.ElementTree xml.sax.saxutils zipfile zlib zoneinfo
""".split()  # noqa: SIM905
# Run in the zygote before any candidate, so that children inherit specialised bytecode and sorted free lists, not the work.
WARM_UP = """
from typing import Dict, List
import math
def entry(items: List[int], text: str, table: Dict[str, int]):
    seen, words = set(), []
    for i, item in enumerate(items):
        if item not in seen and math.sqrt(abs(item)) >= 0:
            seen.add(item)
        words.append(f"{item:d}" + text[i % len(text)].upper())
    while len(words) > 2:
        words.pop()
    table["total"] = sum(x * 2 for x in sorted(seen, key=lambda x: -x))
    try:
        return {w: (len(w), [c for c in w]) for w in words}, "".join(words).split(","), 1.5 * table["none"]
    except KeyError as error:
        print(error)
    return words[::-1], any(seen), max(items, default=None)
"""
MAX_REPLY = 4 << 20
MAX_OUTPUT = 64 << 10
_dumps, _exit, _write = json.dumps, os._exit, os.write


class TooMuchOutput(BaseException):
    """The candidate printed more than MAX_OUTPUT characters."""


class Capture:
    """A bounded stand-in for sys.stdout."""

    def __init__(self):
        self.parts, self.size = [], 0

    def write(self, text):
        if type(text) is not str:
            raise TypeError("write() argument must be str")
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise TooMuchOutput
        self.parts.append(text)
        return len(text)

    def flush(self):
        pass


def observe(source, entry, calls):
    """Load the candidate and make the calls: {"load": error or None, "calls": [[value, error, mutated, output, message]]}."""
    scope = {"__name__": "candidate", "__builtins__": __builtins__}
    sys.stdout = sys.stderr = Capture()
    try:
        exec(compile(source, "<candidate>", "exec"), scope)
        function = scope[entry]
    except BaseException as error:
        return {"load": describe(error)}
    return {"load": None, "calls": [one_call(function, args) for args in calls]}


def one_call(function, wire_args):
    """Observe one call."""
    args = wire.decode(wire_args)
    sys.stdout = sys.stderr = capture = Capture()
    value = error = message = None
    try:
        result = function(*args)
    except BaseException as raised:
        error, message = class_name(raised), describe(raised)
    else:
        try:
            value = wire.encode(result)
        except BaseException as raised:
            error, message = "Unencodable", describe(raised)
    try:
        after = wire.encode(args)
    except BaseException:
        after = ["t", "arguments that do not encode"]
    output = wire.encode("".join(capture.parts))
    return [value, error, None if after == wire_args else after, output, message]


_BUILTIN_ERRORS = {
    t: n
    for n, t in vars(importlib.import_module("builtins")).items()
    if isinstance(t, type) and issubclass(t, BaseException)
}


def class_name(error):
    """Name of a built-in exception class; one that the candidate wrote is marked as such."""
    return _BUILTIN_ERRORS.get(type(error), "candidate." + type.__getattribute__(type(error), "__name__"))


def describe(error):
    """One line about an exception, as far as it lets itself be printed."""
    try:
        return f"{class_name(error)}: {error}"[:400]
    except BaseException:
        return class_name(error)


def limit_to(what, limit):
    """Lower the soft and the hard limit `what` to `limit`, or to what the hard limit already is."""
    hard = resource.getrlimit(what)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))


def observe_python(request):
    """What a Python candidate does when it is called."""
    return observe(request["source"], request["entry"], request["calls"])


def child(request, settings, report, program, act):
    """Lock down, observe, report, end. Never returns."""
    try:
        limits = request["limits"]
        limit_to(resource.RLIMIT_AS, settings["address_space"] + (limits["memory_mb"] << 20))
        limit_to(resource.RLIMIT_CPU, int(limits["cpu_seconds"]) + 2)
        os.setsid()
        lockdown.privileges(settings["uid"])
        if program is not None:
            lockdown.syscalls(program)
        signal.setitimer(signal.ITIMER_PROF, limits["cpu_seconds"])
        found = act(request)
        text = _dumps({"token": request["token"], **found}).encode()
        while text:
            text = text[_write(report, text) :]
    except BaseException:
        pass
    finally:
        _exit(0)


def run(request, settings, program, null, act):
    """Fork a child for one candidate, collect its bytes within the wall time, and sweep everything away: (facts, bytes)."""
    began = time.monotonic()
    reader, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.close(settings["statm"])
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        child(request, settings, report, program, act)
    os.close(report)
    chunks, size, deadline, timeout = [], 0, began + request["limits"]["wall_seconds"], False
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            timeout = True
            break
        chunk = os.read(reader, 1 << 16)
        size += len(chunk)
        if not chunk or size > MAX_REPLY:
            break
        chunks.append(chunk)
    os.close(reader)
    code = sweep(pid, settings, killed=timeout or size > MAX_REPLY)
    clean(settings["scratch"])
    return {
        "timeout": timeout,
        "signal": code & 0x7F,
        "seconds": time.monotonic() - began,
    }, b"" if size > MAX_REPLY else b"".join(chunks)


def sweep(pid, settings, killed):
    """End the child and everything it started; returns the child's wait status."""
    if killed:
        os.kill(pid, signal.SIGKILL)
    _, code = os.waitpid(pid, 0)
    if settings["pid_namespace"]:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return code
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return code
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    return code


def clean(directory):
    """Remove everything a candidate left in its scratch directory."""
    for entry in os.scandir(directory):
        try:
            if entry.is_dir(follow_symlinks=False):
                os.chmod(entry.path, 0o700)
                clean(entry.path)
                os.rmdir(entry.path)
            else:
                os.unlink(entry.path)
        except OSError:
            pass


def read_exactly(size):
    """`size` bytes of standard input, or None at its end."""
    data = b""
    while len(data) < size:
        more = os.read(0, size - len(data))
        if not more:
            return None
        data += more
    return data


def send(message, raw=b""):
    """One frame on standard output."""
    head = json.dumps(message).encode()
    data = struct.pack("!II", len(head), len(raw)) + head + raw
    while data:
        data = data[os.write(1, data) :]


def load(names):
    """Import standard modules into this process, for every child to come.

    Hooks after a fork are left out: they touch 160 pages, and one reseeds `random`, where a verdict must not hang on chance.
    So is OpenSSL, whose 5 MB of tables each child would have to map; the built-in hashes do.
    """
    register, os.register_at_fork = os.register_at_fork, lambda **hooks: None
    sys.modules["_hashlib"] = None
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # not in this Python: the program will say so
    if "random" in names:
        sys.modules["random"].seed(0)
    os.register_at_fork = register


def load_named(source, settings):
    """Load what a program's text names, once for all programs."""
    new = [name for name in ON_DEMAND if name in source and name not in sys.modules]
    if new:
        load(new)
        measure(settings)


def measure(settings):
    """Note how large this process is: a child's memory limit is on top of that."""
    gc.freeze()
    settings["address_space"] = int(os.pread(settings["statm"], 100, 0).split()[0]) * resource.getpagesize()


def serve(handle, settings):
    """Enter the lockdown once, then answer requests by `handle(request, settings, filter, null)` until standard input ends."""
    load(CORE)
    if settings["become"]:
        load(ON_DEMAND)  # an ordinary user may not be able to read root's Python
    for name in ("lockdown", "wire"):
        sys.modules.pop(name)
    readable = lockdown.readable_paths() + settings.get("readable", [])
    if settings["become"] and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(settings["become"], settings["become"], settings["become"])
        os.setresuid(settings["become"], settings["become"], settings["become"])
    lockdown.die_with_parent()
    null = os.open("/dev/null", os.O_RDWR)
    scratch = settings["scratch"]
    os.chdir("/")
    left = lockdown.namespaces(scratch, settings["scratch_mb"]) if settings["namespaces"] else []
    settings["pid_namespace"] = "pid" in left
    if settings["pid_namespace"]:
        inner = os.fork()
        if inner:
            os.close(0)
            _, code = os.waitpid(inner, 0)
            _exit(os.waitstatus_to_exitcode(code) & 0xFF)
    os.chdir(scratch)
    settings["statm"] = os.open("/proc/self/statm", os.O_RDONLY)
    lockdown.bound_capabilities(settings["uid"])
    lockdown.die_with_parent()  # again: a fork or a change of ids clears it
    held = lockdown.landlock(readable, [scratch]) if settings["landlock"] else []
    program = lockdown.filter_program()
    root = ["uid"] if os.geteuid() == 0 else []
    layers = ["rlimits", "wall kill", *root, *left, *held, *(["seccomp"] if program is not None else [])]
    out, err = sys.stdout, sys.stderr
    for _ in range(20):
        json.dumps(observe(WARM_UP, "entry", [["t", ["l", 3, 1, 2], "text", ["d"]]]))
    sys.stdout, sys.stderr = out, err
    for what, limit in (
        (resource.RLIMIT_FSIZE, 1 << 20), (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_NPROC, 64), (resource.RLIMIT_STACK, 64 << 20),
    ):  # fmt: skip
        limit_to(what, limit)
    gc.collect()
    gc.disable()  # a collection in a child would touch, and so copy, every page it inherited
    measure(settings)
    send({"ready": layers})
    while (head := read_exactly(4)) is not None:
        body = read_exactly(struct.unpack("!I", head)[0])
        if body is None:
            break
        send(*handle(json.loads(body), settings, program, null))


def run_python(request, settings, program, null):
    """Observe one Python candidate."""
    load_named(request["source"], settings)
    return run(request, settings, program, null, observe_python)


if __name__ == "__main__":
    serve(run_python, json.loads(sys.argv[1]))
