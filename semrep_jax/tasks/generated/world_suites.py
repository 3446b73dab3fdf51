"""Held-out suites of the worlds: plain programs, their perturbed twins, and twins by rules that training never uses;
instructions in wordings that it never uses.

`perturbed` and `perturbed_unseen` are paired with `plain`: the same task, right on both, is `robust`. No seeded bugs:
a rewrite of a bug may mend it, and then says nothing about the form.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from random import Random

from semrep_jax.core.programs import Task
from semrep_jax.tasks import suite
from semrep_jax.tasks.generated import perturbations, wordings
from semrep_jax.tasks.generated.edits import SPEC_EDITS
from semrep_jax.tasks.generated.families import TRAIN_FAMILIES
from semrep_jax.tasks.generated.generator import TRAIN_KINDS, Generator, stable_hash
from semrep_jax.tasks.generated.worlds import Forms
from semrep_jax.tasks.settings import PerturbationConfig
from semrep_jax.tasks.suite import Pairing, Suite, SuiteRequest, changed

WORLD_KINDS = tuple(kind for kind in TRAIN_KINDS if kind in SPEC_EDITS)
UNSEEN = PerturbationConfig(rules=list(perturbations.UNSEEN))


def _generator(seed: int) -> Generator:
    return Generator("test", TRAIN_FAMILIES, WORLD_KINDS, seed)


def _dial(request: SuiteRequest) -> PerturbationConfig:
    return request.settings if isinstance(request.settings, PerturbationConfig) else PerturbationConfig()


def _plain(request: SuiteRequest) -> Iterator[Task]:
    """Tasks with a place for the rules of `evaluate.perturbed`, however many of them the dial changes."""
    rules = PerturbationConfig(rules=_dial(request).rules)
    for task in _generator(request.seed).tasks():
        if perturbations.perturbed(task.source.source, Random(0), rules) is not None:
            yield task


def _twins(request: SuiteRequest, dial: PerturbationConfig) -> Iterator[Task]:
    """The twins of the first tasks of `plain`, as many as there are of each a twin."""
    forms = Forms(_generator(request.seed), dial)
    for task in islice(_plain(request), request.count):
        twin = forms.twin(int(task.id.rsplit("/", 1)[1]), task)
        if twin is not None:
            yield twin


def _reworded(request: SuiteRequest) -> Iterator[Task]:
    """The first tasks of `plain`, their instructions in wordings that training never uses."""
    for task in islice(_plain(request), request.count):
        rng = Random(stable_hash(f"{task.id}:wording"))
        instruction = wordings.reworded(task.tags["kind"], task.instruction, rng, wordings.HELD_OUT)
        if instruction is not None:
            yield changed(task, suite.REWORDED, instruction=instruction)


def _programs(seed: int, count: int) -> Iterator[tuple[str, str]]:
    """Sources and targets of the tasks, and of as many again."""
    generator = _generator(seed)
    for example in map(generator.example, range(2 * count)):
        yield example.source, example.entry
        yield example.target, example.entry


PLAIN = Suite("plain programs", _plain, settings_of="perturbed", programs=_programs)
PERTURBED = Suite(
    "perturbed programs",
    lambda request: _twins(request, _dial(request)),
    paired_with=Pairing("plain", "robust", "right on both forms", "same_verdict", "same verdict on both forms"),
    settings=PerturbationConfig,
)
PERTURBED_UNSEEN = Suite(
    "programs perturbed by unseen rules",
    lambda request: _twins(request, UNSEEN),
    paired_with=Pairing(
        "plain",
        "robust_unseen",
        "right on both forms, unseen rules",
        "same_verdict_unseen",
        "same verdict on both forms, unseen rules",
    ),
)
REWORDED = Suite(
    "instructions in other words",
    _reworded,
    paired_with=Pairing(
        "plain", "both_wordings", "right in both wordings", "same_verdict_reworded", "same verdict in both wordings"
    ),
)
