"""Rewrites of CUDA at work: `perturb` gives verified variants of kernels, `pairs` records for the warm start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from random import Random

import pytest

from semrep_jax.core import shards
from semrep_jax.core.errors import ProgramError
from semrep_jax.core.programs import Program, Task
from semrep_jax.cuda import CUDA
from semrep_jax.cuda.canonical import canonical
from semrep_jax.cuda.rewrites import RULES
from semrep_jax.cuda.rewrites.pairs import pairs
from semrep_jax.languages import Resources
from semrep_jax.perturb import perturb
from semrep_jax.sandbox.pool import Sandbox
from semrep_jax.tasks.kernels import catalogue


def task(name: str, split: str = "test") -> Task:
    """A built-in operator as a task."""
    return catalogue.task(catalogue.find(name), split)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    from semrep_jax.cuda.gpu.nvrtc import Compiler, CompilerError

    try:
        Compiler(1).close()
    except CompilerError as error:
        pytest.skip(str(error))
    with Sandbox(1) as one:
        yield one


@pytest.mark.parametrize("name", ["softmax", "relu"])
def test_variants_of_a_kernel_are_different_programs_that_compute_what_its_task_asks_for(name, sandbox):
    source = task(name).source
    variants = perturb(source, sandbox, 2, seed=1, task=task(name)).kept
    texts = {v.program.source for v in variants}
    assert len(texts) == 2 and source.source not in texts
    assert all(v.program.language == CUDA and set(v.rules) <= set(RULES) for v in variants)


def test_variants_that_compute_something_else_are_dropped_and_counted(sandbox, monkeypatch):
    from semrep_jax.cuda.rewrites import chain
    from semrep_jax.languages import Rewritten

    def break_it(program: Program, rng: Random, steps: int, rules: object = None) -> Rewritten:
        return Rewritten(Program(CUDA, program.source.replace("0.0f", f"{rng.randint(1, 9)}.0f")), ("broken",))

    monkeypatch.setattr(chain, "rewrite", break_it)
    variants = perturb(task("relu").source, sandbox, 1, task=task("relu"))
    assert variants.kept == [] and variants.dropped["found different: broken"] > 0


def test_a_kernel_that_is_wrong_itself_is_refused(sandbox):
    wrong = Program(CUDA, task("relu").source.source.replace("0.0f", "1.0f"))
    with pytest.raises(ProgramError, match=r"not right itself \(numeric: y\[0\] is 1 .*mend it, or name another"):
        perturb(wrong, sandbox, task=task("relu"))


def test_a_kernel_without_a_task_is_refused_with_what_to_name(sandbox):
    with pytest.raises(ProgramError, match="name its operator with --task"):
        perturb(task("relu").source, sandbox)


def test_pairs_of_kernels_are_records_whose_rewrites_are_no_copies(sandbox):
    tasks = [task("softmax", "train"), task("relu")]
    found = list(pairs(tasks, Random(2), Resources(sandbox), per_task=2))
    assert [(r["origin"], r["entry"], r["split"]) for r in found] == [
        ("kernel/softmax", "softmax", "train"),
        ("kernel/softmax", "softmax", "train"),
        ("kernel/relu", "relu", "test"),
        ("kernel/relu", "relu", "test"),
    ]
    for record in found:
        shards.check(record)
        assert record["kind"] == "pair" and record["language"] == CUDA and set(record["rules"]) <= set(RULES)
    for one in tasks:
        forms = [canonical(r["rewrite"]) for r in found if r["origin"] == one.id]
        assert len({canonical(one.source.source), *forms}) == 3
    assert len({r["id"] for r in found}) == 4


def test_pairs_of_a_kernel_that_is_wrong_itself_are_refused(sandbox):
    wrong = replace(task("relu"), source=Program(CUDA, task("relu").source.source.replace("0.0f", "1.0f")))
    with pytest.raises(ProgramError, match="not right itself"):
        next(pairs([wrong], Random(0), Resources(sandbox)))
