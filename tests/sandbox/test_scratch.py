"""Scratch is empty for the next candidate, whatever the last one built there; what can't be emptied ends its zygote."""

import os

import pytest

from semrep_jax.sandbox import scratch
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import encode

ORDINARY = 65_533
USERS = [None] + ([ORDINARY] if os.geteuid() == 0 else [])
LOOK = "import os\ndef f(x): return [os.listdir('.'), os.access('.', 7), open('new', 'w').write('x')]"
EMPTY = ["l", ["l"], True, 1]
SPOILERS = {
    "a tree too deep for paths": """
import os
def f(x):
    try:
        for _ in range(3000):
            os.mkdir('deep')
            os.chdir('deep')
    except OSError: pass""",
    "a deep tree that its owner locked": """
import os
def f(x):
    for _ in range(500):
        os.mkdir('deep')
        os.chdir('deep')
    for _ in range(500):
        os.chdir('..')
        os.chmod('deep', 0)""",
    "many folders": "import os\ndef f(x):\n for i in range(900): os.makedirs(f'{i}/a')",
    "scratch locked": "import os\ndef f(x): os.chmod('.', 0)",
    "names that are no text": "import os\ndef f(x):\n os.mkdir(b'\\xff\\n')\n open(b'\\xff\\n/\\xfe', 'w').close()",
    "links and pipes": """
import os
def f(x):
    os.symlink('/', 'root')
    os.mkdir('a')
    os.symlink('../a', 'a/loop')
    os.mkfifo('a/pipe', 0)""",
    "an attribute": "import os\ndef f(x): os.setxattr('.', 'user.note', b'x' * 200)",
}


@pytest.fixture(scope="module", params=USERS, ids=str)
def sandbox(request):
    with Sandbox(1, Limits(cpu_seconds=2, wall_seconds=5), become=request.param) as one:
        yield one


@pytest.mark.parametrize("name", SPOILERS)
def test_what_a_candidate_builds_is_gone_for_the_next(name, sandbox):
    before = sandbox.restarts
    sandbox.run(SPOILERS[name], "f", [encode((1,))])
    for _ in range(2):
        assert sandbox.run(LOOK, "f", [encode((1,))]).outcomes[0].value == EMPTY
    look = "import os\ndef f(x): return os.listxattr('.')"
    assert sandbox.run(look, "f", [encode((1,))]).outcomes[0].value == ["l"]
    assert sandbox.restarts == before


def test_a_scratch_on_the_host_is_emptied_too():
    with Sandbox(1, Limits(cpu_seconds=2, wall_seconds=5), namespaces=False) as sandbox:
        sandbox.run(SPOILERS["a tree too deep for paths"], "f", [encode((1,))])
        assert sandbox.run(LOOK, "f", [encode((1,))]).outcomes[0].value == EMPTY


def test_a_zygote_whose_scratch_stays_full_is_replaced_and_its_verdict_stands():
    with Sandbox(1) as sandbox:
        index, first = sandbox.free.get()
        ask = first.ask

        def spoilt(*request):
            facts, raw = ask(*request)
            return facts | {"spoilt": True}, raw

        first.ask = spoilt
        sandbox.free.put((index, first))
        assert sandbox.run("def f(x): return x", "f", [encode((1,))]).outcomes[0].value == 1
        assert sandbox.restarts == 1 and first.process.poll() is not None
        assert sandbox.run("def f(x): return x", "f", [encode((2,))]).outcomes[0].value == 2


def test_what_can_not_be_removed_is_said(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    monkeypatch.setattr(scratch.os, "rmdir", lambda *a, **k: (_ for _ in ()).throw(OSError("busy")))
    with pytest.raises(OSError, match="busy"):
        scratch.empty(str(tmp_path))


def test_a_candidate_can_not_take_limits_or_processors_from_its_zygote(sandbox):
    before = sandbox.restarts
    attack = """
import os, resource
def f(x):
    done = []
    for harm in (
        lambda: resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3)),
        lambda: os.sched_setaffinity(os.getppid(), {0}),
        lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19),
        lambda: os.sched_setaffinity(0, {0}),
        lambda: os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0)),
        os.sched_yield,  # who gives way to all others would look kept from the processor
    ):
        try: harm()
        except OSError: continue
        done.append(1)
    return done, resource.getrlimit(resource.RLIMIT_CORE)[0]"""
    assert sandbox.run(attack, "f", [encode((1,))]).outcomes[0].value == ["t", ["l"], 0]
    assert sandbox.run("def f(x): return x", "f", [encode((1,))]).outcomes[0].value == 1
    assert sandbox.restarts == before
