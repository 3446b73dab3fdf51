"""The zygote: a small Python process that forks one locked-down child for each candidate program.

Started by `pool` as `python -P -s -S zygote.py SETTINGS` with an environment of one variable (a fixed hash seed, so that a set
has one order and a verdict one value), never imported by the package. It is
process 1 of its own pid namespace where the kernel allows that, so that one `kill(-1)` after each run ends whatever the
candidate left behind. The child holds the candidate's text and the inputs, *never an expected output*: there is nothing
in it worth stealing, and what it reports are raw observations that the parent judges.

Frames on standard input and output: 4 bytes of length, then JSON.
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

PRELOAD = (
    "abc array base64 bisect calendar cmath collections collections.abc contextlib copy dataclasses datetime decimal enum "
    "fractions functools hashlib heapq inspect io itertools json keyword math numbers operator pprint queue random re "
    "secrets signal socket statistics string struct subprocess textwrap threading time traceback types typing unicodedata uuid weakref zlib"
)
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
    t: n for n, t in vars(importlib.import_module("builtins")).items() if isinstance(t, type) and issubclass(t, BaseException)
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


def child(request, settings, report, program):
    """Lock down, observe, report, end. Never returns."""
    try:
        os.setsid()
        limits = request["limits"]
        os.chdir(settings["scratch"])
        memory = settings["address_space"] + (limits["memory_mb"] << 20)
        cpu = int(limits["cpu_seconds"]) + 2
        for what, limit in (
            (resource.RLIMIT_AS, memory), (resource.RLIMIT_CPU, cpu), (resource.RLIMIT_FSIZE, 1 << 20),
            (resource.RLIMIT_CORE, 0), (resource.RLIMIT_NOFILE, 64), (resource.RLIMIT_NPROC, 64), (resource.RLIMIT_STACK, 64 << 20),
        ):  # fmt: skip
            hard = resource.getrlimit(what)[1]
            limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
            resource.setrlimit(what, (limit, limit))
        lockdown.privileges(settings["uid"])
        lockdown.syscalls(program)
        signal.setitimer(signal.ITIMER_PROF, limits["cpu_seconds"])
        found = observe(request["source"], request["entry"], request["calls"])
        text = _dumps({"token": request["token"], **found}).encode()
        while text:
            text = text[_write(report, text) :]
    except BaseException:
        pass
    finally:
        _exit(0)


def run(request, settings, program, null):
    """Fork a child for one candidate, collect its report within the wall time, and sweep everything away."""
    began = time.monotonic()
    reader, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        for fd in (0, 1, 2):
            os.dup2(null, fd)
        child(request, settings, report, program)
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
    reply = {"timeout": timeout, "signal": code & 0x7F, "seconds": time.monotonic() - began}
    raw = b"".join(chunks)
    return {**reply, "raw": raw.decode("utf-8", "replace") if raw and size <= MAX_REPLY else None}


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


def send(message):
    """One frame on standard output."""
    data = json.dumps(message).encode()
    data = struct.pack("!I", len(data)) + data
    while data:
        data = data[os.write(1, data) :]


def main():
    """Enter the lockdown once, then serve requests until standard input ends."""
    settings = json.loads(sys.argv[1])
    for name in PRELOAD.split():
        importlib.import_module(name)
    for name in ("lockdown", "wire"):
        sys.modules.pop(name)
    readable = lockdown.readable_paths()
    if settings["become"] and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(settings["become"], settings["become"], settings["become"])
        os.setresuid(settings["become"], settings["become"], settings["become"])
    lockdown.die_with_parent()
    null = os.open("/dev/null", os.O_RDWR)
    with open("/proc/self/statm") as statm:
        settings["address_space"] = int(statm.read().split()[0]) * resource.getpagesize()
    scratch = settings["scratch"]
    left = lockdown.namespaces(scratch, settings["scratch_mb"]) if settings["namespaces"] else []
    settings["pid_namespace"] = "pid" in left
    if settings["pid_namespace"]:
        inner = os.fork()
        if inner:
            os.close(0)
            _, code = os.waitpid(inner, 0)
            _exit(os.waitstatus_to_exitcode(code) & 0xFF)
        lockdown.die_with_parent()
    lockdown.bound_capabilities()
    held = lockdown.landlock(readable, [scratch]) if settings["landlock"] else []
    program = lockdown.filter_program()
    root = ["uid"] if os.geteuid() == 0 else []
    layers = ["rlimits", "wall kill", *root, *left, *held, *(["seccomp"] if program is not None else [])]
    gc.collect()
    gc.disable()  # a collection in a child would touch, and so copy, every page it inherited
    gc.freeze()
    send({"ready": layers})
    while (head := read_exactly(4)) is not None:
        body = read_exactly(struct.unpack("!I", head)[0])
        if body is None:
            break
        send(run(json.loads(body), settings, program, null))


if __name__ == "__main__":
    main()
