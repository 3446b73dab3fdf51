"""Suites of real code in other forms: the bugs of HumanEval and of mined functions, C_src rewritten by the rules of its
language.

    evaluate.suites: [humaneval, humaneval_robustness]        # right on both forms is `humaneval_robust_pass`

A form counts where running it beside C_src shows no difference and the tests find the same: it passes U_sem and no test
of U_edit. About a second a task on one core, once a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Task
from semrep_jax.core.progress import bar
from semrep_jax.perturb import perturb
from semrep_jax.tasks import humaneval, mined
from semrep_jax.tasks.settings import MinedTasksConfig
from semrep_jax.tasks.suite import Pairing, Suite, SuiteRequest


def _rewritten(task: Task, request: SuiteRequest) -> Task | None:
    """A task with another form of its C_src; None where none was found."""
    try:
        variants = perturb(task.source, request.verifier.sandbox, seed=request.seed, task=task).kept
    except SemRepError:  # C_src can't be run beside another
        return None
    for variant in variants:
        (verdict,) = request.verifier.verify(task, [variant.program])
        if verdict.equivalent and verdict.edit.passed == 0:
            tags = task.tags | {"base": task.id, "rules": " ".join(variant.rules)}
            return replace(task, id=f"{task.id}/perturbed", source=variant.program, tags=tags)
    return None


def _forms_of(suite: Suite, request: SuiteRequest) -> Iterator[Task]:
    """The tasks that `suite` gives for a request, each in another form; those that have none are left out."""
    tasks = list(islice(suite.draw(request), request.count))
    with bar(f"forms of {suite.title}", len(tasks)) as progress:
        for task in tasks:
            found = _rewritten(task, request)
            progress.advance()
            if found is not None:
                yield found


HUMANEVAL = Suite(
    "HumanEval, seeded bugs, perturbed C_src",
    lambda request: _forms_of(humaneval.SUITE, request),
    paired_with=Pairing(
        suite="humaneval",
        both="humaneval_robust_pass",
        both_title="HumanEval: right on both forms",
        agree="humaneval_consistency",
        agree_title="HumanEval: same verdict on both forms",
    ),
)
MINED = Suite(
    "mined functions, seeded bugs, perturbed C_src",
    # its tasks are those that the suite `mined` is told to take
    lambda request: _forms_of(mined.SUITE, request),
    paired_with=Pairing(
        suite="mined",
        both="mined_robust_pass",
        both_title="mined: right on both forms",
        agree="mined_consistency",
        agree_title="mined: same verdict on both forms",
    ),
    settings=MinedTasksConfig,
)
