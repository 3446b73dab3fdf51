"""One child of the zygote: fork, lock down, act, report; and sweep away whatever it has left.

    facts, data = run_child(request, containment, act)      # `act(request)` in the child: a dictionary to report

Loaded by the zygote by path, so it imports only the standard library.
"""

import importlib
import json
import os
import resource
import select
import signal
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
faults = importlib.import_module("faults")
lockdown = importlib.import_module("lockdown")
scratch = importlib.import_module("scratch")
del sys.path[0]

MAX_REPLY = 4 << 20  # bytes
TICKS = 0.15  # s of processor time that a child may take beyond its limit before its timer ends it, and to start
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


def limit_to(what, limit):
    """Lower the soft and the hard limit `what` to `limit`, or to what the hard limit already is."""
    hard = resource.getrlimit(what)[1]
    limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (limit, limit))


def live(request, containment, report, act):
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
        live(request, containment, report, act)
    os.close(report)
    deadline = began + request["limits"]["wall_seconds"]
    data, timeout = collect(reader, deadline)
    os.close(reader)
    killed = timeout or data is None
    if not killed and not ends(pid, deadline):
        killed = timeout = True
    code, usage = sweep(pid, containment.in_pid_namespace, killed)
    if usage.ru_utime + usage.ru_stime > request["limits"]["cpu_seconds"] + TICKS:
        timeout, data = True, None  # its timer was turned off
    facts = {"timeout": timeout, "signal": code & 0x7F, "seconds": time.monotonic() - began}
    facts["cpu"] = usage.ru_utime + usage.ru_stime
    facts["fault"] = None
    if timeout and starved(usage, request["limits"]):
        facts["fault"] = faults.BUSY
    elif not killed and containment.seccomp_filter is not None and struck_down(code, usage, request["limits"]):
        facts["fault"] = faults.KILLED
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
