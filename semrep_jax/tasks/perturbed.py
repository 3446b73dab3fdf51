"""Suites of real code in other forms: the bugs of HumanEval and of mined functions, and edits of real code, C_src
rewritten by the rules of its language.

    evaluate.suites: [humaneval, humaneval_robustness]        # right on both forms is `humaneval_robust_pass`

A form counts where running it beside C_src shows no difference and the tests find the same: it passes U_sem and no test
of U_edit. About a second a task on one core, once a process.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Task
from semrep_jax.core.progress import bar
from semrep_jax.perturb import perturb
from semrep_jax.tasks import edits, humaneval, mined
from semrep_jax.tasks.suite import Pairing, Suite, SuiteRequest, changed


def _rewritten(task: Task, request: SuiteRequest) -> Task | None:
    """A task with another form of its C_src; None where none was found."""
    try:
        variants = perturb(task.source, request.verifier.sandbox, seed=request.seed, task=task).kept
    except SemRepError:  # C_src can't be run beside another
        return None
    for variant in variants:
        (verdict,) = request.verifier.verify(task, [variant.program])
        if verdict.equivalent and verdict.edit.passed == 0:
            return changed(task, tags={"rules": " ".join(variant.rules)}, source=variant.program)
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


def _perturbed(name: str, called: str, suite: Suite) -> Suite:
    """The suite of other forms of `suite`'s tasks. name, called: the other's, in settings and to a person."""
    return Suite(
        f"{suite.title}, perturbed C_src",
        lambda request: _forms_of(suite, request),
        paired_with=Pairing(
            suite=name,
            both=f"{name}_robust_pass",
            both_title=f"{called}: right on both forms",
            agree=f"{name}_consistency",
            agree_title=f"{called}: same verdict on both forms",
        ),
    )


HUMANEVAL = _perturbed("humaneval", "HumanEval", humaneval.SUITE)
MINED = _perturbed("mined", "mined", mined.SUITE)
EDITS = _perturbed("edits", "edits", edits.SUITE)
