"""The source `generated`: edits of small functions for stage 2, the functions themselves for stage 1."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from random import Random

from semrep_jax.core.programs import Task
from semrep_jax.tasks.generated import wordings
from semrep_jax.tasks.generated.families import TRAIN_FAMILIES
from semrep_jax.tasks.generated.generator import TRAIN_KINDS, Generator, stable_hash
from semrep_jax.tasks.generated.worlds import Forms
from semrep_jax.tasks.settings import GeneratedConfig, Wording, World
from semrep_jax.tasks.source import SourceRequest, TaskSource


def _setting(request: SourceRequest) -> GeneratedConfig:
    return request.settings if isinstance(request.settings, GeneratedConfig) else GeneratedConfig()


def _generator(request: SourceRequest) -> Generator:
    setting = _setting(request)
    families, kinds = tuple(setting.families or TRAIN_FAMILIES), tuple(setting.kinds or TRAIN_KINDS)
    return Generator("train", families=families, kinds=kinds, seed=request.seed)


def _edits(request: SourceRequest) -> Iterable[Task]:
    setting, generator = _setting(request), _generator(request)
    if setting.world is World.PLAIN:
        tasks = generator.tasks()
    else:
        tasks = Forms(generator, setting.perturbation).tasks(setting.world, setting.edits)
    return tasks if setting.wording is Wording.ONE else map(_reworded, tasks)


def _reworded(task: Task) -> Task:
    """The task with its instruction in one of the wordings of training."""
    rng = Random(stable_hash(f"{task.id}:wording"))
    instruction = wordings.reworded(task.tags["kind"], task.instruction, rng, wordings.TRAINING)
    return task if instruction is None else replace(task, instruction=instruction)


def _rewrites(request: SourceRequest) -> Iterable[Task]:
    setting, generator = _setting(request), _generator(request)
    if setting.world is World.PLAIN:
        return generator.tasks(rewriting=True, bug_preserving=setting.bug_preserving)
    forms = Forms(generator, setting.perturbation)
    return forms.tasks(setting.world, setting.rewrites, rewriting=True, bug_preserving=setting.bug_preserving)


SOURCE = TaskSource(_edits, _rewrites, GeneratedConfig)
