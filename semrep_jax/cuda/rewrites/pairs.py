"""Verified pairs of kernels for the warm start: C_src, a C_rep and the rules between them, as records of `core.shards`.

    with Writer(directory, "kernel pairs") as writer:
        for record in pairs(catalogue.training(64, seed=1), Random(0), Resources(sandbox)):
            writer.write(record)
        writer.finish({"made from": "chains of kernels"})

A C_rep is kept where the emulator finds it right on every execution, and where it is no copy but for names and layout.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import closing
from random import Random

from semrep_jax.core.programs import Task
from semrep_jax.core.shards import Record
from semrep_jax.cuda import CUDA
from semrep_jax.cuda.canonical import canonical
from semrep_jax.cuda.rewrites.chain import rewrite
from semrep_jax.cuda.verifier import CudaComparer, details_of
from semrep_jax.languages import Answer, Comparer, Resources, Rewritten

MOST_STEPS = 4
TRIES_PER_PAIR = 4


def pairs(tasks: Iterable[Task], rng: Random, resources: Resources, per_task: int = 4) -> Iterator[Record]:
    """Records of kind "pair" for kernel tasks, no two of a task with one canonical form. Raises ProgramError.

    tasks: with a C_src that is right. rng: decides rules and sites. resources: workers, and the seed of inputs.
    per_task: how many pairs a task gives at most.
    """
    for task in tasks:
        with closing(CudaComparer(task.source, resources, task)) as comparer:
            yield from (_record(task, rewritten) for rewritten in _verified(task, rng, comparer, per_task))


def _verified(task: Task, rng: Random, comparer: Comparer, count: int) -> Iterator[Rewritten]:
    """Up to `count` rewrites of a task's C_src by one to four rules."""
    seen = {canonical(task.source.source)}
    for _ in range(TRIES_PER_PAIR * count):
        rewritten = rewrite(task.source, rng, rng.randint(1, MOST_STEPS)) if count else None
        if rewritten is None:
            return
        form = canonical(rewritten.program.source)
        if form in seen:
            continue
        seen.add(form)
        if comparer.compare(rewritten.program.source).answer is Answer.EQUIVALENT:
            count -= 1
            yield rewritten


def _record(task: Task, rewritten: Rewritten) -> Record:
    return {
        "kind": "pair",
        "id": f"{task.id}/{rewritten.program.sha256[:8]}",
        "language": CUDA,
        "origin": task.id,
        "split": task.split,
        "entry": details_of(task).name,
        "source": task.source.source,
        "rewrite": rewritten.program.source,
        "rules": list(rewritten.rules),
    }
