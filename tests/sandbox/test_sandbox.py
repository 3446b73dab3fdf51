"""Escapes: each must earn nothing, as root (uid dropped) and as an ordinary user (user namespaces)."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from processes import descendants

from semrep_jax.core.programs import Case, Outcome, Program, Task, Tests
from semrep_jax.languages import Answer
from semrep_jax.python import PYTHON
from semrep_jax.python.behaviour import Behaviour
from semrep_jax.sandbox import pool
from semrep_jax.sandbox.pool import Limits, Sandbox, Unseen
from semrep_jax.sandbox.wire import decode, encode
from semrep_jax.tasks import bugs
from semrep_jax.verify import Verifier

LIMITS = Limits(cpu_seconds=0.4, wall_seconds=1.2, memory_mb=256)
SECRET = 8_414_709  # the expected answer; a candidate must not be able to learn it
ORDINARY = 65_533
USERS = [pytest.param(None, id="as-we-are")] + (
    [pytest.param(ORDINARY, id="ordinary-user")] if os.geteuid() == 0 else []
)


@pytest.fixture(scope="module", params=USERS)
def verifier(request):
    with Sandbox(2, LIMITS, become=request.param) as sandbox:
        yield Verifier(sandbox)


def task(value: object = SECRET, args: tuple = (3,)) -> Task:
    source = Program(PYTHON, "def f(x): return None")
    return Task("escape", source, Tests("f", (Case(encode(args), Outcome(value=encode(value))),)), Tests("f"))


FORGED = """
import os, json, sys
def f(x):
    frame, token = sys._getframe(), None
    while frame:
        request = frame.f_locals.get('request')
        token = request.get('token') if isinstance(request, dict) else token
        frame = frame.f_back
    row = [%s, None, None, '', None]
    for fd in range(3, 64):
        try: os.write(fd, json.dumps({'token': token, 'load': None, 'calls': [row]}).encode())
        except OSError: pass
    os._exit(0)"""

ESCAPES = {
    "always-equal object": "class E:\n __eq__ = lambda s, o: True\n __hash__ = None\ndef f(x): return E()",
    "always-equal int": """
class E(int):
    def __eq__(self, other): return True
    __hash__ = int.__hash__
def f(x): return E(1)""",
    "walk to the driver's frames": """
import sys
def f(x):
    frame = sys._getframe()
    while frame:
        for name, value in list(frame.f_locals.items()):
            if isinstance(value, list): value.clear()
            if isinstance(value, dict) and 'calls' in value: value['calls'] = []
        frame = frame.f_back
    return 'passed'""",
    "os._exit(0)": "import os\ndef f(x): os._exit(0)",
    "sys.exit(0)": "import sys\ndef f(x): sys.exit(0)",
    "exit while loading": "import os\nos._exit(0)\ndef f(x): return 1",
    "forge the result channel": """
import os, json, sys
def f(x):
    token = None
    frame = sys._getframe()
    while frame:
        request = frame.f_locals.get('request')
        if isinstance(request, dict): token = request.get('token')
        frame = frame.f_back
    report = json.dumps({'token': token, 'load': None, 'calls': [['passed', None, None, '', None]]}).encode()
    for fd in range(3, 64):
        try: os.write(fd, report)
        except OSError: pass
    os._exit(0)""",
    "garbage on every descriptor": """
import os
def f(x):
    for fd in range(64):
        try: os.write(fd, b'{"token": "x", "load": null, "calls": [[true, null, null, "", null]]}')
        except OSError: pass
    return 1""",
    "posix.unlink and friends": "import posix\ndef f(x):\n posix.unlink('%(victim)s')",
    "_posixsubprocess": """
import subprocess
def f(x): return subprocess.run(['/bin/sh', '-c', 'echo hi > %(victim)s'], capture_output=True).returncode""",
    "ctypes system": "import ctypes\ndef f(x): return ctypes.CDLL(None).system(b'rm -f %(victim)s')",
    "ctypes raw fork": "import ctypes\ndef f(x): return ctypes.CDLL(None).syscall(57)",
    "fork bomb": "import os\ndef f(x):\n while True: os.fork()",
    "thread bomb": """
import threading, time
def f(x):
    while True: threading.Thread(target=time.sleep, args=(60,)).start()""",
    "10 GB": "def f(x): return len(bytearray(10 * 2**30))",
    "endless print": "def f(x):\n while True: print('a' * 1000)",
    "closed stdout": "import os, sys\ndef f(x):\n sys.stdout.flush()\n os.closerange(0, 64)\n return 1",
    "while True": "def f(x):\n while True: pass",
    "while True past every exception": """
def f(x):
    while True:
        try:
            while True: pass
        except BaseException: pass""",
    "while True with signals ignored": """
import signal
def f(x):
    for s in range(1, 65):
        try: signal.signal(s, signal.SIG_IGN)
        except (OSError, ValueError): pass
    signal.setitimer(signal.ITIMER_PROF, 0)
    while True: pass""",
    "sleep": "import time\ndef f(x): time.sleep(60)",
    "write outside scratch": "def f(x):\n open('%(victim)s', 'w').write('gone')",
    "a socket": "import socket\ndef f(x):\n socket.create_connection(('127.0.0.1', 22), 1)",
    "a unix socket": "import socket\ndef f(x):\n socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)",
    "kill the parent": "import os\ndef f(x):\n os.kill(os.getppid(), 9)",
    "kill everyone": "import os\ndef f(x):\n os.kill(-1, 9)",
    "the parent's environment": "import os\ndef f(x): return open('/proc/%(pid)d/environ').read()",
    "the tests": "def f(x): return open(%(tests)r).read()",
    "the package": "import semrep_jax\ndef f(x): return 1",
    "patched builtins": """
import builtins, json
def f(x):
    builtins.type = lambda v: int
    builtins.len = lambda v: 1
    builtins.isinstance = lambda *a: True
    json.dumps = lambda *a, **k: '{}'
    return object()""",
    "deep recursion in C": "def f(x):\n v = []\n for _ in range(10**6): v = [v]\n return v",
    "search the memory for the answer": """
import gc
def f(x):
    for o in gc.get_objects():
        if type(o) in (list, tuple, set, dict):
            for v in list(o.values()) if type(o) is dict else list(o):
                if type(v) is int and 8_400_000 < v < 8_500_000: return v
                if type(v) is str and '84147' in v: return int(v[v.index('84147'):][:7])""",
    "a malformed report": FORGED % """['f', 'x']""",
    "a report of NaN": FORGED % "float('nan')",
    "a report of the wrong shape": FORGED % "{'a': [[]]}",
    "a report of an unpaired surrogate": FORGED % "'\\ud800'",
    "a report too deep": FORGED % "eval('[' * 90 + ']' * 90)",
    "crash": "import ctypes\ndef f(x): ctypes.string_at(0)",
    "a hostile exception": "class E(Exception):\n def __str__(s):\n  while True: pass\ndef f(x): raise E",
    "trace function": "import sys\ndef f(x):\n sys.settrace(lambda *a: (_ for _ in ()).throw(SystemExit))\n return 1",
}


@pytest.mark.parametrize("name", ESCAPES)
def test_an_escape_earns_nothing_and_harms_nothing(name, verifier, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("here")
    for path in (tmp_path, *list(tmp_path.parents)[:2]):
        path.chmod(0o777)
    victim.chmod(0o666)
    marks = {"victim": str(victim), "pid": os.getpid(), "tests": __file__}
    source = ESCAPES[name] % marks if "%(" in ESCAPES[name] else ESCAPES[name]
    verdict = verifier.verify(task(), [Program(PYTHON, source)])[0]
    assert not verdict.equivalent and not verdict.correct, verdict
    assert verdict.seconds < LIMITS.wall_seconds + 1.0
    assert victim.read_text() == "here"
    assert str(SECRET) not in verdict.feedback.split("got")[-1]
    honest = verifier.verify(task(), [Program(PYTHON, f"def f(x): return {SECRET}")])[0]
    assert honest.correct


def test_the_environment_of_a_candidate_is_empty(verifier, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "do not leak")
    with Sandbox(1, LIMITS) as sandbox:
        seen = sandbox.run("import os\ndef f(x): return sorted(os.environ)", "f", [encode((1,))])
    assert "SECRET_TOKEN" not in str(seen.outcomes)


def test_two_zygotes_see_a_set_of_strings_in_the_same_order(verifier):
    source = "def f(x): return list({'alpha', 'beta', 'gamma', 'delta', str(x)})"
    with Sandbox(1, LIMITS) as other:
        seen = [s.run(source, "f", [encode((3,))]).outcomes for s in (verifier.sandbox, verifier.sandbox, other)]
    assert seen[0] and seen[0] == seen[1] == seen[2]


def test_a_thread_that_outlives_the_call_dies_with_its_run(verifier):
    source = """
import threading, time
def f(x):
    def later():
        while True:
            time.sleep(0.05)
            open('mark', 'a').write('x')
    threading.Thread(target=later).start()
    return 7"""
    verdict = verifier.verify(task(7), [Program(PYTHON, source)])[0]
    assert verdict.correct
    peek = "import os, time\ndef f(x):\n time.sleep(0.2)\n return os.listdir('.')"
    for _ in range(2):
        assert verifier.sandbox.run(peek, "f", [encode((1,))]).outcomes[0].value == ["l"]


def test_scratch_is_writable_and_empty_for_the_next_candidate(verifier):
    write = "import os\ndef f(x):\n os.makedirs('a/b')\n open('a/b/c', 'w').write('kept?')\n return os.listdir('.')"
    look = "import os\ndef f(x): return os.listdir('.')"
    for _ in range(3):
        assert verifier.sandbox.run(write, "f", [encode((1,))]).outcomes[0].value == ["l", "a"]
        assert verifier.sandbox.run(look, "f", [encode((1,))]).outcomes[0].value == ["l"]


def test_a_hung_candidate_does_not_delay_its_neighbours(verifier):
    hang = threading.Thread(
        target=lambda: verifier.sandbox.run("import time\ndef f(x): time.sleep(60)", "f", [encode((1,))])
    )
    hang.start()
    time.sleep(0.05)
    for _ in range(5):
        assert verifier.sandbox.run("def f(x): return x", "f", [encode((1,))]).outcomes
    assert hang.is_alive()
    hang.join()


def test_a_zygote_that_is_killed_costs_one_verdict_and_is_replaced():
    with Sandbox(1, LIMITS) as sandbox:
        index, zygote = sandbox.free.get()
        zygote.process.kill()
        zygote.process.wait()
        sandbox.free.put((index, zygote))
        assert sandbox.run("def f(x): return x", "f", [encode((1,))]).died == "timeout"
        assert sandbox.run("def f(x): return x", "f", [encode((1,))]).outcomes[0].value == 1
        assert sandbox.restarts == 1


def test_a_candidate_that_closes_its_report_and_goes_on_is_ended_in_time_and_is_no_fault_of_ours():
    with Sandbox(1) as sandbox:
        for rest, wall in (("time.sleep(60)", 1), ("while True: pass", 60)):
            source = f"import os, time\ndef f(x):\n os.closerange(3, 64)\n {rest}"
            seen = sandbox.run(source, "f", [encode((1,))], Limits(cpu_seconds=0.4, wall_seconds=wall))
            assert (seen.died, seen.fault) == ("timeout", None)
        assert sandbox.run("def f(x): return x", "f", [encode((1,))]).outcomes and not sandbox.restarts


SIGNALS = """
import fcntl, os
def f(to):
    r, w = os.pipe()
    fcntl.fcntl(r, fcntl.F_SETOWN, os.getpid() if to == "itself" else os.getppid())
    fcntl.fcntl(r, 10, 9)  # F_SETSIG: SIGKILL
    fcntl.fcntl(r, fcntl.F_SETFL, fcntl.fcntl(r, fcntl.F_GETFL) | os.O_ASYNC)
    os.write(w, b"x")
    return "alive"
"""


@pytest.mark.parametrize("to", ["itself", "its zygote"])
def test_no_signal_is_sent_by_way_of_a_pipe(sandbox, to):
    restarts = sandbox.restarts
    seen = sandbox.run(SIGNALS, "f", [encode((to,))])
    assert seen.fault is None and seen.outcomes[0].error == "PermissionError" and sandbox.restarts == restarts


def test_nothing_is_left_at_the_file_that_all_candidates_share(sandbox):
    source = """
import fcntl
def f(x):
    found = []
    for call in (lambda: fcntl.fcntl(0, 10, 42), lambda: fcntl.flock(0, fcntl.LOCK_EX)):
        try:
            found.append(call())
        except PermissionError:
            found.append("refused")
    return found + [fcntl.fcntl(0, 11)]
"""
    assert sandbox.run(source, "f", [encode((1,))]).outcomes[0].value == ["l", "refused", "refused", 0]


def test_a_candidate_without_its_timer_has_no_more_time(sandbox):
    source = "import signal, time\ndef f(x):\n signal.setitimer(signal.ITIMER_PROF, 0)\n"
    source += " while time.process_time() < x: pass\n return 1"
    seen = sandbox.run(source, "f", [encode((0.6,))], Limits(cpu_seconds=0.1, wall_seconds=10))
    assert seen.died == "timeout" and not seen.outcomes and seen.fault is None


def test_a_report_that_is_slow_to_read_is_a_forged_one(sandbox):
    source = """
import sys
def f(x):
    module = sys._getframe(1).f_globals
    many = ["s", *(i * (2**61 - 1) for i in range(1, 60_000))]
    module["wire"].encode = lambda value: many
    return 1
"""
    began = time.process_time()
    seen = sandbox.run(source, "f", [encode((1,))])
    assert not seen.outcomes and time.process_time() - began < 2
    assert decode(["s", *range(5000)]) == set(range(5000))


def test_an_argument_whose_type_alone_has_changed_has_changed(sandbox):
    seen = sandbox.run("def f(xs): xs[:] = [bool(x) for x in xs]", "f", [encode(([0, 1],))])
    assert seen.outcomes[0].mutated == encode(([False, True],))
    assert sandbox.run("def f(xs): xs[:] = [float(x) for x in xs]", "f", [encode(([0.0],))]).outcomes[0].mutated is None


def test_a_program_is_a_module_that_others_can_find(sandbox):
    source = """
from __future__ import annotations
import pickle
from dataclasses import dataclass
@dataclass
class Node:
    value: int
    next: Node | None = None
def f(x): return pickle.loads(pickle.dumps(Node(x))).value
"""
    assert sandbox.run(source, "f", [encode((3,))]).outcomes[0].value == 3


def test_after_an_interrupt_no_answer_is_anothers(monkeypatch):
    with Sandbox(1, LIMITS) as sandbox:
        receive, interrupted = pool._Zygote._receive, [True]

        def interrupt(self, seconds):
            if interrupted and interrupted.pop():
                raise KeyboardInterrupt
            return receive(self, seconds)

        monkeypatch.setattr(pool._Zygote, "_receive", interrupt)
        with pytest.raises(KeyboardInterrupt):
            sandbox.run("def f(x): return 'first'", "f", [encode((1,))])
        assert sandbox.run("def f(x): return 'second'", "f", [encode((1,))]).outcomes[0].value == "second"


def test_a_candidate_that_is_killed_from_outside_is_no_verdict_and_costs_no_zygote():
    with Sandbox(1, Limits(wall_seconds=20)) as sandbox, ThreadPoolExecutor(1) as threads:
        index, zygote = sandbox.free.get()
        sandbox.free.put((index, zygote))
        before = descendants(zygote.process.pid)
        running = threads.submit(sandbox.run, "import time\ndef f(x): time.sleep(60)", "f", [encode((1,))])
        while not (found := descendants(zygote.process.pid).keys() - before.keys()):
            time.sleep(0.01)
        time.sleep(0.1)  # until it has locked itself in
        os.kill(found.pop(), signal.SIGKILL)
        assert running.result().fault == "its process was killed from outside"
        assert sandbox.run("def f(x): return x", "f", [encode((1,))]).outcomes and not sandbox.restarts


def test_what_a_fault_of_ours_hides_is_looked_at_once_more_and_then_nobody_answers_for_it(monkeypatch):
    with Sandbox(1, LIMITS) as sandbox:
        program, ask, lost = "def f(x): return x", sandbox.ask, [True]
        monkeypatch.setattr(sandbox, "ask", lambda *request: None if lost and lost.pop() else ask(*request))
        assert sandbox.observe(program, "f", [encode((1,))]).outcomes[0].value == 1
        cases = [Case(encode((1,)), Outcome(value=2))]
        assert bugs.passed(program, "f", cases, sandbox) == [False]
        behaviour = Behaviour(program, "f", [encode((n,)) for n in range(20)], sandbox)
        lost += [True]
        assert behaviour.compare("def f(x): return x + 0").answer is Answer.EQUIVALENT
        for judge in (
            lambda: sandbox.observe(program, "f", [encode((1,))]),
            lambda: bugs.passed(program, "f", cases, sandbox),
            lambda: behaviour.compare(program),
        ):
            lost[:] = [True] * 4
            with pytest.raises(Unseen, match="twice"):
                judge()


@pytest.mark.parametrize("missing", ["namespaces", "landlock"])
@pytest.mark.parametrize(
    "name", ["fork bomb", "a socket", "_posixsubprocess", "kill the parent", "10 GB", "while True"]
)
def test_the_other_layers_hold_where_the_kernel_lacks_one(missing, name, tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("here")
    with Sandbox(1, LIMITS, **{missing: False}) as sandbox:
        source = ESCAPES[name] % {"victim": str(victim)} if "%(" in ESCAPES[name] else ESCAPES[name]
        verdict = Verifier(sandbox).verify(task(), [Program(PYTHON, source)])[0]
        assert not verdict.equivalent and victim.read_text() == "here"
        assert sandbox.run("def f(x): return x", "f", [encode((1,))]).outcomes


def test_closing_the_sandbox_leaves_no_process_and_no_directory():
    with Sandbox(2, LIMITS) as sandbox:
        zygotes = []
        for _ in range(2):
            zygotes.append(sandbox.free.get())
        for one in zygotes:
            sandbox.free.put(one)
    for _, zygote in zygotes:
        assert zygote.process.poll() is not None and not Path(zygote.scratch).exists()
