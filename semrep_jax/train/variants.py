"""Verified variants of C_src: what the control arms train on in its place.

    forms = Variants(sandbox, count=4, seed=0, directory=work / "variants")
    tasks = forms.widen(tasks)           # each task four times in a row: C_src as it is, then its variants

A variant comes from the form that a source of tasks gives itself (tag `perturbed`), then from the rewriting rules of
the language (`perturb`); it counts where running it beside C_src shows no difference. A task with fewer variants has
its forms repeated, so that each task weighs the same. About a second a task on one core; what was found is kept in a
file, and only what is missing there is made.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path
from random import Random

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.peers import ALONE, Peers
from semrep_jax.core.programs import Program, Task
from semrep_jax.core.progress import bar
from semrep_jax.core.workdir import read_kept, write_atomically
from semrep_jax.languages import LANGUAGES, Answer, Comparer, Resources
from semrep_jax.sandbox.pool import Sandbox, SandboxError

OWN_FORM = "perturbed"  # the tag in which a source of tasks gives a form of C_src itself
THREADS = 2
TRIES_A_VARIANT = 6
MOST_STEPS = 4  # rules in a row
SAVED_EVERY = 64  # tasks


@dataclass(frozen=True)
class Variants:
    """Makes variants, and keeps them.

    sandbox: where programs run. count: forms of each C_src, itself among them. seed: decides rules and places.
    directory: of the files that keep them. peers: the processes of the run; the leader writes.
    """

    sandbox: Sandbox
    count: int
    seed: int
    directory: Path
    peers: Peers = ALONE

    def widen(self, tasks: Sequence[Task]) -> list[Task]:
        """Each task `count` times in a row, with C_src and its variants by turns."""
        found = self._texts(tasks)
        wide = []
        for task, texts in zip(tasks, found, strict=True):
            forms = islice(cycle([task.source.source, *texts]), self.count)
            wide += [_with_source(task, text, number) for number, text in enumerate(forms)]
        return wide

    def _texts(self, tasks: Sequence[Task]) -> list[list[str]]:
        """The variants of each task's C_src, at most count - 1."""
        asked = [[self.count, self.seed, *(task.sha256 for task in tasks)]]
        name = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
        path = self.directory / f"{name}.json"
        found: list[list[str]] = read_kept(path, list) or []
        with (
            ThreadPoolExecutor(THREADS, thread_name_prefix="variants") as threads,
            bar("variants of C_src", len(tasks), len(found)) as progress,
        ):
            while len(found) < len(tasks):
                piece = tasks[len(found) : len(found) + SAVED_EVERY]
                found += self.peers.gather(list(threads.map(self._of_one, self.peers.partition(piece))))
                if self.peers.leader:
                    self.directory.mkdir(parents=True, exist_ok=True)
                    write_atomically(path, json.dumps(found))
                progress.advance(by=len(piece))
        return found

    def _of_one(self, task: Task) -> list[str]:
        """Variants of one C_src; none where it can't be run beside another."""
        language = LANGUAGES[task.source.language]
        rng = Random(f"{self.seed} {task.source.sha256}")
        try:
            comparer = language.comparer(task.source, Resources(self.sandbox, self.seed), task)
        except SandboxError:
            raise  # what is kept here must not depend on how busy the machine was
        except SemRepError:
            return []
        with closing(comparer):
            return self._kept(task, rng, comparer)

    def _kept(self, task: Task, rng: Random, comparer: Comparer) -> list[str]:
        language, kept, seen = LANGUAGES[task.source.language], list[str](), {task.source.source}
        for attempt in range(TRIES_A_VARIANT * self.count):
            if len(kept) == self.count - 1:
                break
            if attempt == 0 and OWN_FORM in task.tags:
                text = task.tags[OWN_FORM]
            else:
                made = language.rewrite(task.source, rng, rng.randint(1, MOST_STEPS), None)
                text = made.program.source if made else task.source.source
            if text not in seen and comparer.compare(text).answer is Answer.EQUIVALENT:
                kept.append(text)
            seen.add(text)
        return kept


def _with_source(task: Task, text: str, number: int) -> Task:
    """A task with another form of its C_src; the form of number 0 is the task itself."""
    if number == 0:
        return task
    source = Program(task.source.language, text)
    return replace(task, id=f"{task.id}/form{number}", source=source, tags=task.tags | {"base": task.id})
