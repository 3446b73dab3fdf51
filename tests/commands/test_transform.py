"""`transform`: the tests of a person decide, the program can't reach them, and nothing is written that fails them."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter

import jax
import pytest

from semrep_jax import main
from semrep_jax.commands import proposal, serve, transform
from semrep_jax.commands.command import guarded
from semrep_jax.commands.proposal import Request, TransformError
from semrep_jax.core import sources
from semrep_jax.core.errors import ProgramError, TaskError
from semrep_jax.core.programs import Completion, Finish, Program
from semrep_jax.inference.rewrite import Sampling
from semrep_jax.languages import read_program
from semrep_jax.python import PYTHON, usertests
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.policy import Usage
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.sandbox.pool import Limits, SandboxError
from semrep_jax.train.fits import NothingFits

SOURCE = "def mean(xs, start=0):\n    return (start + sum(xs)) / len(xs)\n\ndef drop(xs):\n    xs.pop()\n"
TESTS = """
from stats import mean, drop
def test_plain():
    assert mean([1, 2, 3]) == 2
    assert mean([2.0], start=4) == 6.0
def test_empty():
    assert mean([]) == 0
def test_mutates():
    xs = [1, 2]
    drop(xs)
    assert xs == [1]
def test_raises():
    try:
        mean(3)
    except TypeError:
        return
    assert False, "no TypeError"
"""
GOOD = SOURCE.replace(
    "    return (start", "    if isinstance(xs, list) and not xs:\n        return 0\n    return (start"
)


SAMPLING = Sampling(4, 0.6)


class Scripted:
    """A policy that says what it is told to."""

    def __init__(self, *texts):
        self.texts, self.usage = texts, Usage()

    def sample(self, prompts, n, temperature, key, rows=None):
        return [[Completion(t, (), (), Finish.STOP) for t in self.texts] for _ in prompts]


@pytest.fixture
def files(tmp_path):
    (tmp_path / "stats.py").write_text(SOURCE)
    (tmp_path / "test_stats.py").write_text(TESTS)
    return tmp_path / "stats.py", tmp_path / "test_stats.py"


@pytest.fixture(scope="module")
def bench():
    with usertests.Bench() as one:
        yield one


def results(program, bench):
    return {t.name: t.passed for t in usertests.run_tests(program, "stats", TESTS, bench).results}


def test_tests_run_as_they_would_on_the_real_module(bench):
    assert results(SOURCE, bench) == {
        "test_plain": True,
        "test_empty": False,
        "test_mutates": True,
        "test_raises": True,
    }
    assert all(results(GOOD, bench).values())


@pytest.mark.parametrize(
    "cheat",
    [
        "class E:\n    def __eq__(self, o): return True\ndef mean(*a, **k): return E()\ndef drop(xs): pass",
        "import sys\ndef mean(*a, **k):\n    sys._getframe(1).f_locals.clear(); return 2\ndef drop(xs): pass",
        "import os\ndef mean(*a, **k): os._exit(0)\ndef drop(xs): pass",
        "def mean(*a, **k): return globals()['__semrep_tests']\ndef drop(xs): pass",
        "def __semrep_run(*a): return [['test_plain', 'passed', '', None]]\n"
        "def mean(*a, **k): return 0\ndef drop(xs): pass",
    ],
)
def test_a_program_can_not_talk_its_way_past_the_tests(bench, cheat):
    assert not results(cheat, bench)["test_plain"]


def test_the_best_program_by_tests_is_shown_and_written_only_when_it_passes(files, sandbox):
    path, tests = files
    policy = Scripted(
        "no program here (", f"Sure!\n```python\n{SOURCE}\n```\n", f"```python\n{GOOD}```", f"```\n{GOOD}```"
    )
    found = proposal.propose(Request(path, "Return 0 for an empty list.", tests, SAMPLING), policy, sandbox)
    assert found.best.votes == 2 and found.best.report.all_passed and "+        return 0" in found.diff
    assert sum(found.rejected.values()) == 1 and path.read_text() == SOURCE
    path.chmod(0o640)
    path.with_name(path.name + ".tmp").write_text("a person's")
    proposal.write(path, found)
    assert path.read_text() == GOOD and path.stat().st_mode & 0o777 == 0o640
    assert path.with_name(path.name + ".tmp").read_text() == "a person's"
    path.write_text(SOURCE)
    bad = proposal.propose(
        Request(path, "x", tests, Sampling(1, 0.6)), Scripted(f"```python\n{SOURCE}\n# no\n```"), sandbox
    )
    with pytest.raises(TransformError, match="fails test_empty"):
        proposal.write(path, bad)
    assert path.read_text() == SOURCE


@pytest.mark.skipif(shutil.which("patch") is None, reason="needs patch")
@pytest.mark.parametrize("old", ["def f(a):\n    return a", "a = 1\n\x0cdef f(a):\n    return a\n"])
def test_patch_takes_the_proposed_diff(old, tmp_path):
    new = old.replace("return a", "return a + 1")
    path = tmp_path / "a.py"
    path.write_text(old)
    found = proposal._diff(path, Program(PYTHON, old), Program(PYTHON, new))
    done = subprocess.run(["patch", "-F0", str(path)], input=found, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert path.read_text() == new.rstrip("\n") + "\n"


def test_a_program_that_the_tests_can_not_run_on_is_left_out_with_what_they_say(files, sandbox):
    path, tests = files
    policy = Scripted("```python\ndef other():\n    return 1\n```")
    found = proposal.propose(Request(path, "x", tests, Sampling(1, 0.6)), policy, sandbox)
    assert found.best.report.problem
    with pytest.raises(TransformError, match=re.escape(found.best.report.problem)):
        proposal.write(path, found)


class TwoTurns(Scripted):
    """A policy that first writes rewrites, one that behaves as the file does and one that does not, then edits; it
    notes its prompts."""

    def sample(self, prompts, n, temperature, key, rows=None):
        self.asked = [*getattr(self, "asked", []), *[(prompt.equivalent, n) for prompt in prompts]]
        if prompts[0].instruction is None:
            texts = [SAME, SAME.replace("total", "1 + total")] * (n // 2)
            return [[Completion(t, (), (), Finish.STOP) for t in texts] for _ in prompts]
        return [[Completion(GOOD, (), (), Finish.STOP)] * n for _ in prompts]


SAME = SOURCE.replace(
    "    return (start + sum(xs)) / len(xs)", "    total = start + sum(xs)\n    return total / len(xs)"
)


def test_at_two_turns_a_rewrite_that_behaves_the_same_is_in_the_prompt_and_another_is_not(files, sandbox):
    policy = TwoTurns()
    found = proposal.propose(Request(files[0], "Return 0 for an empty list.", None, SAMPLING, turns=2), policy, sandbox)
    assert policy.asked == [(None, 4), (SAME.strip("\n"), 2), (SOURCE, 2)]
    assert found.rewrites == 2 and found.best.votes == 4


class Mending(Scripted):
    """A policy whose first programs fail a test, and that mends them once it is told which."""

    def sample(self, prompts, n, temperature, key, rows=None):
        self.asked = [*getattr(self, "asked", []), *prompts]
        texts = [GOOD if prompt.attempt else SOURCE.replace("start +", "start -") for prompt in prompts]
        return [[Completion(text, (), (), Finish.STOP, 7)] * n for text in texts]


def test_repair_is_told_which_test_fails_and_every_candidate_says_what_it_cost(files, sandbox):
    path, tests = files
    policy = Mending()
    request = Request(path, "Return 0 for an empty list.", tests, SAMPLING, turns=2, strategy="repair")
    found = proposal.propose(request, policy, sandbox)
    assert "test_plain" in policy.asked[1].feedback and policy.asked[1].attempt.count("start -") == 1
    assert [(one.votes, one.tokens) for one in found.ranked] == [(4, 28), (4, 28)] and found.tokens == 56
    assert found.best.report.all_passed and all(one.seconds > 0 for one in found.ranked)
    assert found.seconds == pytest.approx(sum(one.seconds for one in found.ranked))


def test_turns_and_strategies_that_there_are_not_and_writing_without_tests_are_refused(files, capsys):
    command = ["transform", str(files[0]), "--instruction", "x", "--config", "configs/smollm2_transform.yaml"]
    wrong = (
        ["--in-place", "--tests T.py"],
        ["--turns", "0"],
        ["--strategy", "hopping"],
        ["--strategy", "nonesuch"],
        ["--instruction", " "],
    )
    for option in wrong:
        assert main.main([*command, *(option[:1] if option[0] == "--in-place" else option)]) == 2
        assert option[1] in capsys.readouterr().err


def test_a_file_that_is_too_long_for_the_prompt_is_refused_with_the_setting_to_raise(files, tiny, sandbox):
    policy = LocalPolicy(tiny.model, tiny.params, tiny.tokenizer, RolloutConfig(max_prompt=16, bucket=16, max_new=8))
    with pytest.raises(
        NothingFits, match=r"rollout\.max_prompt: the prompt of .*stats\.py is longer than 16 tokens; raise"
    ):
        proposal.propose(Request(files[0], "x", None, SAMPLING), policy, sandbox)
    assert not policy.usage.rollouts


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore"),
            "allocating 9 bytes",
        ),
        (MemoryError(), "error: out of memory; lower rollout.prompts"),
    ],
    ids=str,
)
def test_memory_that_does_not_suffice_is_one_line_with_what_to_lower(capsys, fault, said):
    def fail():
        raise fault

    assert guarded(fail) == 2
    told = capsys.readouterr().err
    assert said in told and told.count("\n") == 1 and "job: plan" in told
    with pytest.raises(RuntimeError):
        guarded(lambda: (_ for _ in ()).throw(RuntimeError("another")))


def test_files_that_can_not_be_used_are_named(files, sandbox, tmp_path, capsys):
    path, tests = files
    (tmp_path / "broken.py").write_text("def f(:")
    for file, test in ((tmp_path / "none.py", None), (tmp_path / "broken.py", None)):
        with pytest.raises(ProgramError, match=file.name):
            proposal.propose(Request(file, "x", test, SAMPLING), Scripted(), sandbox)
    tests.write_text("x = 1")
    with pytest.raises(TaskError, match="holds no test"):
        proposal.propose(Request(path, "x", tests, SAMPLING), Scripted(), sandbox)
    tests.write_text("from elsewhere import y\ndef test_a(): pass")
    with pytest.raises(TaskError, match="elsewhere"):
        proposal.propose(Request(path, "x", tests, SAMPLING), Scripted(), sandbox)
    assert main.main(["transform", str(tmp_path / "none.py"), "--instruction", "x", "--config", "nowhere.yaml"]) == 2
    assert "nowhere.yaml" in capsys.readouterr().err


@pytest.mark.parametrize(
    "raw",
    [
        b"\xef\xbb\xbfdef f():\n    return 1\n",
        b"def f():\r\n    return 1\r\n",
        b"# coding: latin-1\ndef f():\n    return '\xe9'\n",
        b"def f():\n    return 1",
    ],
    ids=["byte-order mark", "CRLF", "latin-1", "no last newline"],
)
def test_a_file_is_read_as_python_reads_it_and_written_in_its_own_form(tmp_path, raw):
    path = tmp_path / "f.py"
    path.write_bytes(raw)
    text = read_program(path, "python").source
    assert "\r" not in text and not text.startswith("\ufeff")
    assert sources.written(text, raw) == raw and usertests.read_tests(path) == text


def test_a_link_stays_one_and_a_read_only_file_stays_as_it_is(tmp_path):
    real, link = tmp_path / "real.py", tmp_path / "f.py"
    real.write_text("x = 1\n")
    link.symlink_to(real)
    best = proposal.Candidate(Program("python", "x = 2\n"), None, 1)
    found = proposal.Proposal((best,), 1, Counter(), "", None)
    proposal.write(link, found)
    assert link.is_symlink() and real.read_text() == "x = 2\n"
    real.chmod(0o444)
    with pytest.raises(TransformError, match="it is read-only"):
        proposal.write(link, proposal.Proposal((best,), 1, Counter(), "", None))


@pytest.mark.parametrize(("command", "asked"), [(serve, []), (transform, [__file__, "--instruction", "Do."])])
def test_the_commands_that_take_a_config_open_their_sandbox_with_its_limits(tmp_path, monkeypatch, command, asked):
    opened = []

    def sandbox(*how):
        opened.append(how)
        raise SandboxError("enough")

    (tmp_path / "c.yaml").write_text("job: evaluate\nsandbox: {workers: 3, cpu_seconds: 0.25, memory_mb: 128}\n")
    monkeypatch.setattr(command, "Sandbox", sandbox)
    with pytest.raises(SandboxError):
        command.run(command.parser().parse_args([*asked, "--config", str(tmp_path / "c.yaml")]))
    assert opened == [(3, Limits(0.25, 3.0, 128))]
