"""The zygote: a small Python process that forks one locked-down child for each candidate program.

Started by `pool` as `python -P -s -S zygote.py SETTINGS` with an environment of a few variables (a fixed hash seed
among them, so that a set has one order and a verdict one value), never imported by the package. It is process 1 of
its own pid namespace where the kernel allows that, so that one `kill(-1)` after each run ends whatever the candidate
left behind. The child holds the candidate's text and the inputs, *never an expected output*: there is nothing in it
worth stealing, and what it reports are raw observations that the parent judges.

A request is 4 bytes of length, then JSON; a reply two lengths of 4 bytes, then JSON, then the child's own bytes as
they came. Other zygotes (`python/crosshair_zygote.py`, `cuda/emulator/cage.py`) load this file by path and call
`serve` with what they do for a request:

    def handle(request, containment):                  # in the zygote
        return run_child(request, containment, act)    # `act(request)` in the child: a dictionary to report

    serve(handle, json.loads(sys.argv[1]))

A fork costs what the child touches: each page it writes or first reads is a fault of some microseconds. So everything
that can be done once is done before the fork: static limits, warm caches, resolved symbols, and no hooks after it.
**What runs in the child imports nothing and makes nothing that the zygote could have made.**
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
scratch = importlib.import_module("scratch")
wire = importlib.import_module("wire")
session = importlib.import_module("session")
del sys.path[0]

CORE = "bisect collections copy functools heapq itertools math operator re string typing".split()  # noqa: SIM905
# Loaded into the zygote when a program first names them, so that no child has to (it may not be able to read them).
ON_DEMAND = """
    abc argparse array ast base64 binascii calendar cmath codecs collections.abc colorsys configparser contextlib
    contextvars csv dataclasses datetime decimal difflib enum errno fnmatch fractions gettext getopt glob graphlib
    hashlib hmac html html.entities html.parser inspect io ipaddress json keyword linecache locale logging mimetypes
    numbers opcode optparse os os.path pathlib pickle posixpath pprint queue quopri random reprlib sched secrets
    selectors shlex shutil signal socket sqlite3 stat statistics stringprep struct subprocess symtable sys tempfile
    textwrap threading time token tokenize tomllib traceback types unicodedata urllib.parse uuid warnings weakref
    xml.etree.ElementTree xml.sax.saxutils zipfile zlib zoneinfo
    asyncio cmd concurrent.futures copyreg doctest email marshal plistlib shelve timeit unittest urllib.request
""".split()  # noqa: SIM905
# What the standard library and the compiler import late, by the text that calls for it.
LATE = {"strptime": "_strptime", "\\N{": "unicodedata", "unicode_escape": "unicodedata", "idna": "encodings.idna"}
# OpenSSL's tables are 5 MB that each child would have to map. What is loaded here does without; these texts need it.
OPENSSL = ("_hashlib", "_ssl")
NEEDS_OPENSSL = ("pbkdf2_hmac", "scrypt", "algorithms_available", "ripemd160", "sm3", "sha512_2", "md5-sha1", "md4")
# Run in the zygote before any candidate: children inherit specialised bytecode and sorted free lists, not the work.
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
WARM_UP_ROUNDS = 20
MAX_REPLY = 4 << 20  # bytes
MAX_OUTPUT = 64 << 10  # characters
# The same for all candidates; memory and processor time are each request's own.
STATIC_LIMITS = {
    resource.RLIMIT_FSIZE: 1 << 20,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_NPROC: 64,
    resource.RLIMIT_STACK: 64 << 20,
}
# A candidate may patch the modules; these are bound before it is there.
_dumps, _exit, _write = json.dumps, os._exit, os.write


class Containment:
    """What holds every child of this zygote. `serve` fills it step by step; a handler only passes it on."""

    def __init__(self, settings):
        self.uid = settings["uid"]  # the user that a child becomes where this process is root
        self.scratch = settings["scratch"]  # the one directory that a child may write
        self.in_pid_namespace = False  # whether kill(-1) ends all that a child has started and nothing else
        self.null = None  # a descriptor of /dev/null
        self.statm = None  # a descriptor of this process's /proc/self/statm
        self.seccomp_filter = None  # None on a processor whose system calls nobody has listed
        self.address_space = 0  # of this process (bytes)


class TooMuchOutput(BaseException):
    """The candidate printed more than MAX_OUTPUT characters."""


class Capture:
    """A bounded stand-in for sys.stdout."""

    def __init__(self):
        self.parts, self.size = [], 0

    def write(self, text):
        """Keep a text; returns its length (characters). Raises TypeError for what is no text, and TooMuchOutput."""
        if type(text) is not str:
            raise TypeError("write() argument must be str")
        self.size += len(text)
        if self.size > MAX_OUTPUT:
            raise TooMuchOutput
        self.parts.append(text)
        return len(text)

    def flush(self):
        """Nothing to do: everything is kept."""
        pass


def observe(source, entry, calls):
    """Load the candidate and make the calls: {"load": error or None, "calls": [what `one_call` gives]}.

    source: the program's text. entry: the function's name. calls: tuples of arguments in wire form.
    """
    scope = {"__name__": "candidate", "__builtins__": __builtins__}
    sys.stdout = sys.stderr = Capture()
    try:
        exec(compile(source, "<candidate>", "exec"), scope)
        function = scope[entry]
    except BaseException as error:
        return {"load": describe(error)}
    return {"load": None, "calls": [one_call(function, args) for args in calls]}


def one_call(function, wire_args):
    """Observe one call: [value, error, mutated, output, message], the first and the third in wire form."""
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
    """What a Python candidate does when it is called, or in sequences of steps (see `session`)."""
    if any(text in request["source"] for text in NEEDS_OPENSSL):
        for name in ("hashlib", "hmac"):
            sys.modules.pop(name, None)  # its import finds OpenSSL
    if "sequences" in request:
        return session.run(request)
    return observe(request["source"], request["entry"], request["calls"])


def child(request, containment, report, act):
    """Lock down, act, report, end. Never returns.

    The limits are lowered before privileges go, so that nobody in here can raise them again; a session of its own
    lets `sweep` kill what it has started as one group; the filter is laid last, when only a stranger's code is left
    to run. The processor's clock starts with the candidate. Whatever goes wrong ends the process without a report.
    """
    try:
        limits = request["limits"]
        limit_to(resource.RLIMIT_AS, containment.address_space + (limits["memory_mb"] << 20))
        limit_to(resource.RLIMIT_CPU, int(limits["cpu_seconds"]) + 2)
        os.setsid()
        lockdown.drop_privileges(containment.uid)
        lockdown.die_with_parent()  # who sleeps has no limit but this zygote's clock
        if containment.seccomp_filter is not None:
            lockdown.filter_syscalls(containment.seccomp_filter)
        signal.setitimer(signal.ITIMER_PROF, limits["cpu_seconds"])
        found = act(request)
        text = _dumps({"token": request["token"], **found}).encode()
        while text:
            text = text[_write(report, text) :]
    except BaseException:
        pass
    finally:
        _exit(0)


def run_child(request, containment, act):
    """Fork a child for one candidate, collect its bytes within the wall time, and sweep everything away.

    request: its JSON, with `limits` and `token`. containment: as `serve` gave it. act: what the child does once it is
    locked in; what it returns is reported as JSON. Returns facts about the child's end ("timeout", "signal",
    "seconds" of wall time, "cpu" seconds; "fault", what kept it from its end that is not its own, or None; "spoilt"
    where scratch can't be emptied, and so this one must end) and its bytes as they came, none where there were more
    than MAX_REPLY.
    """
    began = time.monotonic()
    reader, report = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        os.close(containment.statm)
        for fd in (0, 1, 2):
            os.dup2(containment.null, fd)
        child(request, containment, report, act)
    os.close(report)
    deadline = began + request["limits"]["wall_seconds"]
    data, timeout = collect(reader, deadline)
    os.close(reader)
    killed = timeout or data is None
    if not killed and not ends(pid, deadline):
        killed = timeout = True
    code, usage = sweep(pid, containment.in_pid_namespace, killed)
    facts = {"timeout": timeout, "signal": code & 0x7F, "seconds": time.monotonic() - began}
    facts["cpu"] = usage.ru_utime + usage.ru_stime
    facts["fault"] = None
    if timeout and starved(usage, request["limits"]):
        facts["fault"] = "the machine was too busy to run it within its wall time"
    elif not killed and containment.seccomp_filter is not None and struck_down(code, usage, request["limits"]):
        facts["fault"] = "its process was killed from outside"
    try:
        scratch.empty(containment.scratch)
    except OSError:
        facts["spoilt"] = True  # the next candidate would see what this one left
    return facts, data or b""


def starved(usage, limits):
    """Whether a child that ran out of wall time was kept from the processor by others: it had processor time left, and
    was pushed aside far more often than it waited of itself (as one that sleeps does)."""
    used = usage.ru_utime + usage.ru_stime
    return used < limits["cpu_seconds"] and usage.ru_nivcsw > 2 * usage.ru_nvcsw + 8


def struck_down(code, usage, limits):
    """Whether a child was killed that had processor time left, by nobody here. Its filter refuses it every signal to
    itself, and so it was somebody outside: the kernel where memory ran out, or a person."""
    return code & 0x7F == signal.SIGKILL and usage.ru_utime + usage.ru_stime < limits["cpu_seconds"]


def ends(pid, deadline):
    """Whether a child that has closed its pipe ends by the deadline; one that goes on has closed it by hand."""
    pause = 0.00005
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.01)
    return True


def collect(reader, deadline):
    """What a child writes until it closes its pipe, None for more than MAX_REPLY; whether `deadline` came first."""
    chunks, size = [], 0
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return b"".join(chunks), True
        chunk = os.read(reader, 1 << 16)
        if not chunk:
            return b"".join(chunks), False
        size += len(chunk)
        if size > MAX_REPLY:
            return None, False
        chunks.append(chunk)


def sweep(pid, in_pid_namespace, killed):
    """End the child, by force if `killed`, and everything it started; returns the child's wait status and usage.

    pid: the child's. in_pid_namespace: whether this process is the first of a pid namespace, so that all else in it is
    the child's; without one, what has left the child's process group is missed. killed: whether it has to be ended. The
    usage is what `os.wait4` gives.
    """
    if killed:
        os.kill(pid, signal.SIGKILL)
    _, code, usage = os.wait4(pid, 0)
    if in_pid_namespace:
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return code, usage
        while True:
            try:
                os.waitpid(-1, 0)
            except ChildProcessError:
                return code, usage
    try:
        os.killpg(pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass
    return code, usage


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

    Hooks after a fork are left out: they touch 160 pages, and one reseeds `random`, where a verdict must not hang on
    chance. So is OpenSSL.
    """
    register, os.register_at_fork = os.register_at_fork, lambda **hooks: None
    unseeded = "random" not in sys.modules
    hidden = [name for name in OPENSSL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))
    for name in names:
        try:
            importlib.import_module(name)
        except ImportError:
            pass  # not in this Python: the program will say so
    for name in hidden:
        del sys.modules[name]
    if unseeded and "random" in sys.modules:
        sys.modules["random"].seed(0)
    os.register_at_fork = register


def load_named(source, containment):
    """Load what a program's text names, and what the standard library imports late for it, once for all programs."""
    names = [name for name in ON_DEMAND if name in source] + [late for text, late in LATE.items() if text in source]
    if not source.isascii():
        names.append("unicodedata")  # for the compiler, which brings identifiers into one form
    new = [name for name in names if name not in sys.modules]
    if new:
        load(new)
        freeze(containment)


def freeze(containment):
    """Take all objects out of the collector's sight, and note this process's size: a child's memory limit is on top."""
    gc.freeze()
    pages = int(os.pread(containment.statm, 100, 0).split()[0])
    containment.address_space = pages * resource.getpagesize()


def serve(handle, settings):
    """Enter the lockdown once, then answer requests by `handle(request, containment)` until standard input ends.

    handle: returns a reply's JSON and its bytes. settings: those of `pool.Pool`. The order of the steps is the
    security: each does what the next ones make impossible, and says what it has to come after.
    """
    containment = Containment(settings)
    load_while_readable(settings)
    doors = open_doors()
    readable = lockdown.readable_paths(doors) + [doors.get(path, path) for path in settings.get("readable", [])]
    become_ordinary_user(settings)
    lockdown.die_with_parent()
    containment.null = os.open("/dev/null", os.O_RDWR)  # Landlock lets it be read only
    namespaces = leave_host(containment, settings)
    open_own_directory(containment)
    give_up_privileges(containment)
    landlock = lockdown.enter_landlock(readable, [containment.scratch]) if settings["landlock"] else []
    if landlock:
        import_through(doors)
    containment.seccomp_filter = lockdown.filter_program()
    warm_up()
    for what, limit in STATIC_LIMITS.items():
        limit_to(what, limit)
    stop_collecting(containment)
    send({"ready": layers(containment, namespaces, landlock)})
    while (head := read_exactly(4)) is not None:
        body = read_exactly(struct.unpack("!I", head)[0])
        if body is None:
            break
        send(*handle(json.loads(body), containment))


def load_while_readable(settings):
    """Import what candidates may use. First of all: for an ordinary user, root's Python may be out of reach."""
    load(CORE)
    if settings["become"]:
        load(ON_DEMAND)
    for name in ("lockdown", "scratch", "wire", "session", "values", "makers", "surroundings"):
        sys.modules.pop(name)  # a candidate's `import wire` finds none of ours


def open_doors():
    """Descriptors of the folders that modules lie in and that a child's user can't walk to, as a path for each.

    Root's own Python (pyenv's or uv's in a container) lies in /root. A descriptor leads past the folders above; the
    files themselves everybody may read. While this process is the user that it was started as, and may list folders:
    each is listed once, for all imports.
    """
    finder = importlib.import_module("importlib.machinery").PathFinder
    doors = {}
    for folder in sys.path:
        if os.path.isdir(folder) and not open_to_all(folder):
            doors[folder] = f"/proc/self/fd/{os.open(folder, os.O_PATH | os.O_DIRECTORY)}"
            finder.find_spec("", [doors[folder]])
    return doors


def open_to_all(folder):
    """Whether every user may walk down to a folder."""
    while os.stat(folder).st_mode & 0o001:
        if folder == "/":
            return True
        folder = os.path.dirname(folder)
    return False


def import_through(doors):
    """Let all imports from here on, a candidate's too, come through `doors`.

    Only where Landlock says what may be read: a descriptor leads up as well as down.
    """
    sys.path[:] = [doors.get(folder, folder) for folder in sys.path]
    for module in list(sys.modules.values()):
        path = getattr(module, "__path__", None)
        if isinstance(path, list):
            path[:] = [through(doors, folder) for folder in path]


def through(doors, path):
    """A path, by the door that leads to it where there is one."""
    for folder, door in doors.items():
        if path == folder or path.startswith(folder + "/"):
            return door + path[len(folder) :]
    return path


def become_ordinary_user(settings):
    """For tests of an ordinary user's lockdown. Before the namespaces, which such a user enters in another way."""
    become = settings["become"]
    if become and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(become, become, become)
        os.setresuid(become, become, become)


def leave_host(containment, settings):
    """Enter namespaces, and be process 1 of the pid namespace; returns those entered.

    Standing in "/", so that scratch can be mounted over. The fork comes right after, as the pid namespace holds from
    the next fork on: the outer process only waits, and ends with the inner one's code.
    """
    os.chdir("/")
    entered = lockdown.enter_namespaces(containment.scratch, settings["scratch_mb"]) if settings["namespaces"] else []
    containment.in_pid_namespace = "pid" in entered
    if containment.in_pid_namespace:
        inner = os.fork()
        if inner:
            os.close(0)
            _, code = os.waitpid(inner, 0)
            _exit(os.waitstatus_to_exitcode(code) & 0xFF)
    return entered


def open_own_directory(containment):
    """Stand in scratch as it is now mounted, and open the file that says how large this process is.

    In the process that will fork children, as the file is about the process that opens it; before Landlock, which
    denies /proc.
    """
    os.chdir(containment.scratch)
    containment.statm = os.open("/proc/self/statm", os.O_RDONLY)


def give_up_privileges(containment):
    """Drop groups and capabilities, for all children too. After the mounts and namespaces, which need them."""
    lockdown.bound_capabilities(containment.uid)
    lockdown.die_with_parent()  # again: a fork or a change of ids clears it


def warm_up():
    """Run a program of ours as a candidate is run. Before the static limits, and before the heap is frozen."""
    out, err = sys.stdout, sys.stderr
    for _ in range(WARM_UP_ROUNDS):
        json.dumps(observe(WARM_UP, "entry", [["t", ["l", 3, 1, 2], "text", ["d"]]]))
    session.warm_up(WARM_UP, "entry", [["t", ["l", 3, 1, 2], "text", ["d"]]], WARM_UP_ROUNDS)
    sys.stdout, sys.stderr = out, err


def stop_collecting(containment):
    """No garbage collection from here on: in a child it would touch, and so copy, every page. After all imports."""
    gc.collect()
    gc.disable()
    freeze(containment)


def layers(containment, namespaces, landlock):
    """What holds a child, by name.

    containment: says whether there is a system call filter. namespaces: the names of those entered. landlock: what
    `lockdown.enter_landlock` says holds. Either is [] where the kernel offers none or the settings want none.
    """
    uid = ["uid"] if os.geteuid() == 0 else []
    seccomp = ["seccomp"] if containment.seccomp_filter is not None else []
    return ["rlimits", "wall kill", *uid, *namespaces, *landlock, *seccomp]


def run_python(request, containment):
    """Observe one Python candidate."""
    load_named(request["source"], containment)
    return run_child(request, containment, observe_python)


if __name__ == "__main__":
    serve(run_python, json.loads(sys.argv[1]))
