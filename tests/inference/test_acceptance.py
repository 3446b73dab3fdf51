"""`accept: behaviour` asks a rewrite to do all that C_src does; `u_sem` asks for U_sem, and compares nothing."""

from __future__ import annotations

import pytest

from semrep_jax import rewards
from semrep_jax.core.programs import Case, Outcome, Program, Task, Tests
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.inference.rewrite import accept_by_verifier
from semrep_jax.languages import LANGUAGES
from semrep_jax.python import PYTHON
from semrep_jax.python.equivalence import Reference
from semrep_jax.rewards import AcceptBy, DuplicateRule, RewardConfig
from semrep_jax.sandbox.pool import Sandbox, Unseen
from semrep_jax.sandbox.wire import encode
from semrep_jax.verify import Verifier

SOURCE = "def size(n: int) -> int:\n    if n < 0:\n        return -1\n    return n * 2\n"
SAME = "def size(n: int) -> int:\n    return -1 if n < 0 else n + n\n"
ELSEWHERE = "def size(n: int) -> int:\n    return n + n\n"  # as C_src where the edit agrees with it
WRONG = "def size(n: int) -> int:\n    return n\n"


@pytest.fixture(scope="module")
def verifier():
    with Verifier(Sandbox(2)) as one:
        yield one


def task(source=SOURCE, entry="size", values=((0, 0), (4, 8), (9, 18))):
    keep = tuple(Case(encode((n,)), Outcome(value=encode(value))) for n, value in values)
    edit = (Case(encode((-3,)), Outcome(value=encode(0))),)
    return Task("t", Program(PYTHON, source), Tests(entry, keep), Tests(entry, edit))


def programs(*texts):
    return [(task(), Program(PYTHON, text)) for text in texts]


def test_a_rewrite_that_passes_u_sem_and_behaves_otherwise_is_refused_by_behaviour_alone(verifier):
    pairs = [*programs(SAME, ELSEWHERE, WRONG, SOURCE, ELSEWHERE), (task(), "no code block")]
    accepted = {}
    for accept in AcceptBy:
        judge = RewriteJudge(verifier, accept)
        accepted[accept] = accept_by_verifier(judge, DuplicateRule.CANONICAL)(pairs)
    assert accepted[AcceptBy.U_SEM] == [True, True, False, False, True, False]
    assert accepted[AcceptBy.BEHAVIOUR] == [True, False, False, False, False, False]


def test_r_sem_pays_for_what_was_accepted(verifier):
    judge, weights = RewriteJudge(verifier, AcceptBy.BEHAVIOUR), RewardConfig(accept="behaviour")
    verdicts = judge.verify_all(programs(SAME, ELSEWHERE))
    assert [rewards.total(rewards.r_sem(verdict, weights)) for verdict in verdicts] == [1.0, weights.a1]
    plain = RewriteJudge(verifier, AcceptBy.U_SEM).verify_all(programs(ELSEWHERE))
    assert rewards.total(rewards.r_sem(plain[0], weights)) == 1.0 and plain[0].facts == {}


def test_what_comparing_costs_is_counted_and_nothing_is_under_u_sem(verifier, monkeypatch):
    built = []
    comparer = LANGUAGES[PYTHON].comparer
    monkeypatch.setattr(LANGUAGES[PYTHON], "comparer", lambda *a: built.append(a) or comparer(*a), raising=False)
    judge = RewriteJudge(verifier, AcceptBy.BEHAVIOUR)
    pairs = programs(SAME, ELSEWHERE, WRONG, ELSEWHERE)
    first = judge.verify_all(pairs)
    counted = judge.metrics()
    assert len(built) == 1 and counted.pop("times/accept") > 0
    assert counted.pop("accept/calls") > 20
    assert counted == {"accept/compared": 3, "accept/refused": 2, "accept/unknown": 0}
    assert judge.metrics() == dict.fromkeys(("times/accept", *("accept/" + n for n in NAMES)), 0)
    assert judge.verify_all(pairs) == first and len(built) == 1  # known, and counted as in the first time
    alone = verifier.verify_all(pairs)
    assert all(ours.seconds > its.seconds for ours, its in zip(first[:2], alone[:2], strict=True))  # comparing costs
    assert first[2].seconds == alone[2].seconds  # wrong, and so not compared
    assert judge.metrics()["accept/refused"] == 2
    plain = RewriteJudge(verifier, AcceptBy.U_SEM)
    plain.verify_all(pairs)
    assert plain.metrics() == {} and len(built) == 1


def test_what_a_fault_of_ours_kept_from_being_compared_is_unknown_and_is_asked_again(verifier, monkeypatch):
    judge, real, faults = RewriteJudge(verifier, AcceptBy.BEHAVIOUR), Reference.compare, [True]

    def compare(self, other):
        if faults and faults.pop():
            raise Unseen("twice")
        return real(self, other)

    monkeypatch.setattr(Reference, "compare", compare)
    first, second = (judge.verify_all(programs(ELSEWHERE))[0] for _ in range(2))
    assert rewards.BEHAVES not in first.facts and second.facts[rewards.BEHAVES] is False
    assert judge.metrics()["accept/unknown"] == 1


NAMES = ("compared", "refused", "unknown", "calls")


def test_where_c_src_gives_no_steady_answers_u_sem_decides_and_that_is_counted(verifier):
    source = "import os\ndef size(n: int):\n    return n if n == 1 else os.urandom(8)\n"
    other = source.replace("n if n == 1 else os.urandom(8)", "os.urandom(8) if n != 1 else n")
    judge = RewriteJudge(verifier, AcceptBy.BEHAVIOUR)
    (verdict,) = judge.verify_all([(task(source, values=((1, 1),)), Program(PYTHON, other))])
    assert rewards.accepted(verdict, DuplicateRule.CANONICAL) and rewards.BEHAVES not in verdict.facts
    assert judge.comparisons.unknown == judge.comparisons.compared == 1


def test_a_comparer_that_can_not_be_made_leaves_u_sem_to_decide(verifier, monkeypatch):
    from semrep_jax.core.errors import ProgramError

    def refuses(*_):
        raise ProgramError("nothing can be called")

    monkeypatch.setattr(LANGUAGES[PYTHON], "comparer", refuses, raising=False)
    judge = RewriteJudge(verifier, AcceptBy.BEHAVIOUR)
    (verdict,) = judge.verify_all(programs(SAME))
    assert rewards.accepted(verdict, DuplicateRule.CANONICAL) and rewards.BEHAVES not in verdict.facts
    assert judge.comparisons.unknown == judge.comparisons.compared == 1
