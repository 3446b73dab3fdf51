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
        return child.run_child(request, containment, act)    # `act(request)` in the child: a dictionary to report

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
import struct
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
child = importlib.import_module("child")
lockdown = importlib.import_module("lockdown")
observe = importlib.import_module("observe")
session = importlib.import_module("session")
standard = importlib.import_module("standard")
del sys.path[0]

# Modules of this room that a candidate's `import` is not to find.
OURS = """
    anatomy child clock coroutines elsewhere faults library lockdown makers marks moves observe process scratch session
    standard surroundings values wire
""".split()  # noqa: SIM905
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
# The same for all candidates; memory and processor time are each request's own.
STATIC_LIMITS = {
    resource.RLIMIT_FSIZE: 1 << 20,
    resource.RLIMIT_CORE: 0,
    resource.RLIMIT_NOFILE: 64,
    resource.RLIMIT_NPROC: 64,
    resource.RLIMIT_STACK: 64 << 20,
}


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


def load_named(source, containment):
    """Load what a program's text names, and what the standard library imports late for it, once for all programs."""
    new = [name for name in standard.names_in(source) if name not in sys.modules]
    if new:
        standard.load(new)
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
    containment = child.Containment(settings)
    load_while_readable(settings)
    doors = standard.open_doors()
    readable = lockdown.readable_paths(doors) + [doors.get(path, path) for path in settings.get("readable", [])]
    become_ordinary_user(settings)
    lockdown.die_with_parent()
    containment.null = os.open("/dev/null", os.O_RDWR)  # Landlock lets it be read only
    namespaces = leave_host(containment, settings)
    open_own_directory(containment)
    give_up_privileges(containment)
    landlock = lockdown.enter_landlock(readable, [containment.scratch]) if settings["landlock"] else []
    if landlock:
        standard.import_through(doors)
    containment.seccomp_filter = lockdown.filter_program()
    warm_up()
    for what, limit in STATIC_LIMITS.items():
        child.limit_to(what, limit)
    stop_collecting(containment)
    send({"ready": layers(containment, namespaces, landlock)})
    while (head := read_exactly(4)) is not None:
        body = read_exactly(struct.unpack("!I", head)[0])
        if body is None:
            break
        send(*handle(json.loads(body), containment))


def load_while_readable(settings):
    """Import what candidates may use. First of all: for an ordinary user, root's Python may be out of reach."""
    standard.load(standard.CORE)
    if settings["become"]:
        standard.load(standard.ON_DEMAND)
    for name in OURS:
        sys.modules.pop(name)  # a candidate's `import wire` finds none of ours


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
            os._exit(os.waitstatus_to_exitcode(code) & 0xFF)
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
        json.dumps(observe.observe(WARM_UP, "entry", [["t", ["l", 3, 1, 2], "text", ["d"]]]))
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
    return child.run_child(request, containment, observe.observe_python)


if __name__ == "__main__":
    serve(run_python, json.loads(sys.argv[1]))
