"""The work of `job: search`: every strategy on every task with every seed, and the figures that come of their trees."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

import jax

from semrep_jax import prompts
from semrep_jax.core.errors import TaskError
from semrep_jax.core.programs import Task
from semrep_jax.core.progress import bar
from semrep_jax.core.results import Results
from semrep_jax.core.settings import flatten
from semrep_jax.core.shards import Writer
from semrep_jax.core.stop import Stopped
from semrep_jax.core.workdir import WorkDir
from semrep_jax.evaluate import summary
from semrep_jax.inference.acceptance import RewriteJudge
from semrep_jax.jobs import arms
from semrep_jax.jobs.config import Config
from semrep_jax.jobs.job import Context
from semrep_jax.model.pretrained import PretrainedModel
from semrep_jax.rollout.local import LocalPolicy
from semrep_jax.rollout.policy import Policy
from semrep_jax.rollout.remote import RemotePolicy
from semrep_jax.search import figures
from semrep_jax.search.adapt import GrpoLearner
from semrep_jax.search.budget import Budget, Limits
from semrep_jax.search.cases.case import CASES, CaseAssessor
from semrep_jax.search.export import records_of
from semrep_jax.search.figures import Searched
from semrep_jax.search.journal import Journal
from semrep_jax.search.problem import Assessed, Problem, VerifierAssessor
from semrep_jax.search.run import Search
from semrep_jax.search.settings import TasksFrom
from semrep_jax.search.strategies.strategy import STRATEGIES, Plan
from semrep_jax.search.tree import Tree
from semrep_jax.tasks.source import SOURCES, SourceRequest
from semrep_jax.tasks.suite import SuiteRequest, draw
from semrep_jax.train.fits import require_one_fits_policy

FIXES = "fixes"


@dataclass
class Models:
    """The model of a run, loaded by the first strategy that needs one."""

    config: Config
    work: WorkDir
    _base: PretrainedModel | None = field(default=None, init=False)

    def policy(self) -> Policy:
        """The remote policy or the local model, as it is."""
        if self.config.remote.url:
            return RemotePolicy(self.config.remote, self.config.rollout)
        return LocalPolicy.of(self.base, self.config.rollout)

    @property
    def base(self) -> PretrainedModel:
        """The local model."""
        if self._base is None:
            self._base = arms.load_model(self.config, self.work)
        return self._base


@dataclass(frozen=True)
class Place:
    """A task to search on: its name (of files), the problem, what is known of C_src."""

    name: str
    problem: Problem
    source: Assessed | None = None


def search_all(config: Config, context: Context) -> Results:
    """Every strategy on every task with every seed; what was found. Raises Stopped after a SIGTERM."""
    began = time.perf_counter()
    places = list(_places(config, context))
    wanted = [(s, place, seed) for place in places for seed in range(config.search.seeds) for s in _strategies(config)]
    models = Models(config, context.work)
    if any(STRATEGIES[name].model for name in config.search.strategies):
        tasks = [place.problem.task for place in places]
        asked = (prompts.transform(task.source, task.instruction) for task in tasks)
        require_one_fits_policy(asked, models.policy(), "the tasks that are searched on")
    found: list[Searched] = []
    with bar("search", len(wanted)) as progress:
        for strategy, place, seed in wanted:
            tree, budget = _searched(config, context, models, strategy, place, seed)
            found.append(Searched(strategy, place.name, seed, tree, budget))
            progress.advance(f"{strategy} on {place.name}: {figures.said(found[-1], config.search.case is not None)}")
    if config.search.export:
        _export(context.work.path / FIXES, found)
    seconds = max(time.perf_counter() - began, sum(one.budget.spent.wall_seconds for one in found))
    if config.search.case is None:
        return figures.of_suites(found, config.evaluate.resamples, seconds)
    case = CASES[config.search.case]
    return figures.of_case(case, found, context.judges.sandbox, seconds)


def _strategies(config: Config) -> list[str]:
    return list(dict.fromkeys(config.search.strategies))


def _places(config: Config, context: Context) -> Iterator[Place]:
    name, verifier = config.search.case, context.judges
    if name is not None:
        problem = CASES[name].problem(name, verifier.sandbox, moves=config.remote.url is None)
        assert isinstance(problem.assessor, CaseAssessor)
        source = problem.assessor.source()
        if source.value is None:
            raise TaskError(f"search.case: the program that {name} starts from does not run: {source.verdict.feedback}")
        yield Place(name, problem, source)
        return
    assessor = VerifierAssessor(RewriteJudge(verifier, config.reward.accept))
    setting = config.evaluate
    if config.search.tasks is TasksFrom.TRAINING:
        request = SourceRequest(setting.tasks, config.seed + 1, settings=config.of_source())
        tasks = islice(SOURCES[config.tasks.source].transform(request), setting.tasks)
        for number, task in enumerate(tasks):
            yield Place(f"training-{number:03d}", Problem(task, assessor))
        return
    for suite in summary.ordered(setting.suites):
        drawn = draw(suite, SuiteRequest(setting.tasks, setting.seed, verifier, config.of_suite(suite)))
        for number, task in enumerate(drawn.tasks):
            yield Place(f"{suite}-{number:03d}", Problem(task, assessor))


def _searched(
    config: Config, context: Context, models: Models, strategy: str, place: Place, seed: int
) -> tuple[Tree, Budget]:
    """One search, gone on with where it was. Raises Stopped."""
    setting = config.search
    task = place.problem.task
    key = jax.random.fold_in(jax.random.key(config.seed + seed), int(task.sha256[:7], 16))
    learner: GrpoLearner | None = None
    policy: Policy | None = None
    problem = place.problem
    if STRATEGIES[strategy].learns:  # from a group, which has one prompt
        learner, problem = _learner(config, models, task), replace(problem, move=None)
        policy = learner.policy
    elif STRATEGIES[strategy].model:
        policy = models.policy()
    search = Search(
        problem,
        strategy,
        Plan(setting.turns, setting.samples, setting.beam, setting.passes),
        policy,
        key,
        seed=config.seed + seed,
        limits=Limits(**setting.budget.model_dump()),
        temperature=setting.temperature,
        w1=setting.w1,
        w2=setting.w2,
        learner=learner,
        source=place.source,
    )
    journal = Journal(tree_file(context.work.path, strategy, place.name, seed), _about(config, strategy, place, seed))
    tree, budget = search.run(journal, lambda: context.stop.wanted)
    if not search.is_over(tree, budget) and context.stop.wanted:
        raise Stopped("stopped during the search; the same command goes on from there")
    return tree, budget


def tree_file(work: Path, strategy: str, place: str, seed: int) -> Path:
    """Where a tree is kept.

    work: of the run. strategy: its name. place: of the task in its suite. seed: of the search.
    """
    return work / "trees" / strategy / f"{place}-s{seed}.jsonl"


def _about(config: Config, strategy: str, place: Place, seed: int) -> dict[str, Any]:
    """What a tree on disk says of its search."""
    task, setting = place.problem.task, config.search
    names = {"turns", "samples", "beam", "passes", "temperature", "w1", "w2", "budget", "steps"}
    about = {"strategy": strategy, "place": place.name, "seed": seed, "task": task.id, "task_sha256": task.sha256}
    shown = {"instruction": task.instruction, "language": task.source.language, "source": task.source.source}
    root = Tree(task, setting.w1, setting.w2, place.source).nodes[0]
    start = {"source_score": root.score} | ({} if root.value is None else {"start": root.value})
    chosen = flatten(setting.model_dump(mode="json", include=names), "search.")
    return about | shown | start | config.comparable(("model", "remote", "rollout", "reward")) | chosen


def _learner(config: Config, models: Models, task: Task) -> GrpoLearner:
    setting = config.search
    most = setting.steps * max(setting.turns * setting.passes - 1, 1)
    return GrpoLearner(task, models.base, config.rollout, config.train, setting.temperature, setting.steps, most)


def _export(directory: Path, found: list[Searched]) -> None:
    """The improving steps of all trees as a data set, written anew."""
    records = {
        record["id"]: record
        for one in found
        for record in records_of(one.tree, f"{one.strategy}/{one.place}/{one.seed}")
    }
    if directory.exists():
        for path in directory.iterdir():
            path.unlink()
    with Writer(directory, "improving steps of a search") as writer:
        for record in records.values():
            writer.write(record)
        writer.finish({"made from": "search trees"})
