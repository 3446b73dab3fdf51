"""The whole of a run's settings: the rooms' sections put together, a preset laid under them, plugins imported before.

A config file is YAML that overlays these defaults; `preset: NAME` lays a set of values between the two; `--set a.b=c`
overlays the file. What a run used is written, resolved, to `config.yaml` in its work directory. Nothing below `jobs` is
ever given a `Config`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, create_model, model_validator

from semrep_jax.core import settings
from semrep_jax.core.plugins import PluginError, Registry, load_plugins
from semrep_jax.core.settings import (
    ConfigError,
    DistributedConfig,
    Section,
    Seed,
    flatten,
    overlay,
    read_tree,
    validate,
)
from semrep_jax.cuda.settings import CudaConfig
from semrep_jax.data.settings import SupervisedConfig
from semrep_jax.evaluate.settings import EvaluateConfig
from semrep_jax.inference.settings import Choose, InferenceConfig
from semrep_jax.jobs.job import JOBS
from semrep_jax.jobs.settings import PlanConfig, SweepConfig
from semrep_jax.languages import LANGUAGES
from semrep_jax.mining.settings import MineConfig
from semrep_jax.model.settings import MeshConfig, ModelConfig
from semrep_jax.rewards import REWARDS, RewardConfig
from semrep_jax.rollout.settings import RemoteConfig, RolloutConfig
from semrep_jax.sandbox.settings import SandboxConfig
from semrep_jax.search.cases.case import CASES
from semrep_jax.search.settings import SearchConfig
from semrep_jax.search.strategies.strategy import STRATEGIES
from semrep_jax.serve.settings import ServeConfig
from semrep_jax.tasks.settings import TasksConfig
from semrep_jax.tasks.source import SOURCES
from semrep_jax.tasks.suite import SUITES
from semrep_jax.train.arms import ARMS
from semrep_jax.train.settings import ADVANTAGES, LoggingConfig, ProfileConfig, TrainConfig

PRESETS = Path(__file__).parent / "presets"
# Where and beside what a run runs, and who looks on, changes nothing that it computes.
_ELSEWHERE: Any = {
    "work_dir": True,
    "distributed": True,
    "profile": True,
    "logging": True,
    "serve": True,
    "sandbox": {"workers"},
    "supervised": {"workers", "cache"},
    "mine": {"workers"},
    "sweep": {"only"},
}


class Preset(StrEnum):
    """Values for a kind of run, laid under those of the config file; `jobs/presets/NAME.yaml` holds them."""

    NONE = "none"
    NANO = "nano"
    SMOLLM2 = "smollm2"
    GPU = "gpu"
    POD = "pod"


class Config(Section):
    """The whole of a run. `python -m semrep_jax.main --config FILE --set train.budget=40`."""

    job: str = Field(
        description="compare base, SemRep and fine-tuning at equal budget; sweep arms, seeds and settings; train one "
        "arm; pretrain a base; evaluate; headroom; search; plan; mine packages."
    )
    preset: Preset = Field(Preset.NONE, description="Values to start from: the nano base, SmolLM2, one GPU, a TPU pod.")
    plugins: list[str] = Field([], description="Modules or .py files imported first, which add what settings may name.")
    work_dir: str = Field(
        "runs/default",
        description="Where everything a run writes goes: a path, gs://BUCKET/RUN or s3://BUCKET/RUN. A run of the same "
        "config that is there is gone on from.",
    )
    seed: Seed = Field(0, description="Base of every random stream of the run.")
    model: ModelConfig = ModelConfig()
    mesh: MeshConfig = MeshConfig()
    distributed: DistributedConfig = DistributedConfig()
    tasks: TasksConfig = TasksConfig()
    rollout: RolloutConfig = RolloutConfig()
    remote: RemoteConfig = RemoteConfig()
    inference: InferenceConfig = InferenceConfig()
    reward: RewardConfig = RewardConfig()
    train: TrainConfig = TrainConfig()
    supervised: SupervisedConfig = SupervisedConfig()
    sandbox: SandboxConfig = SandboxConfig()
    cuda: CudaConfig = CudaConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    sweep: SweepConfig = SweepConfig()
    search: SearchConfig = SearchConfig()
    plan: PlanConfig = PlanConfig()
    mine: MineConfig = MineConfig()
    profile: ProfileConfig = ProfileConfig()
    logging: LoggingConfig = LoggingConfig()
    serve: ServeConfig = ServeConfig()

    @model_validator(mode="after")
    def _names_are_known(self) -> Config:
        _require(JOBS, [self.job])
        _require(SOURCES, [self.tasks.source])
        _require(SUITES, self.evaluate.suites)
        _require(SUITES, self.evaluate.held_out.suites)
        _require(ADVANTAGES, [self.train.advantage])
        _require(ARMS, self.sweep.arms)
        _require(REWARDS, [self.reward.rewrite, self.reward.transform])
        _require(STRATEGIES, self.search.strategies)
        _require(CASES, [] if self.search.case is None else [self.search.case])
        return self

    @model_validator(mode="after")
    def _likelihoods_are_known(self) -> Config:
        if self.remote.url and self.inference.choose is Choose.LIKELIEST:
            raise ValueError(
                f"inference.choose: likeliest needs log-probabilities, which remote.url ({self.remote.url}) does not "
                "tell; set it to first"
            )
        return self

    @property
    def sha256(self) -> str:
        """Digest of every setting but where the run runs."""
        return hashlib.sha256(json.dumps(self.comparable(), sort_keys=True).encode()).hexdigest()

    def comparable(self, sections: Iterable[str] | None = None) -> dict[str, Any]:
        """The settings of these sections (all by default) that decide what a run computes, flat."""
        chosen = None if sections is None else set(sections)
        return flatten(self.model_dump(mode="json", include=chosen, exclude=_ELSEWHERE))

    def to_yaml(self) -> str:
        """The resolved config as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)

    def of_languages(self) -> dict[str, Section]:
        """The sections of the languages that have one."""
        return {name: section for name in LANGUAGES if (section := getattr(self, name, None)) is not None}

    def of_source(self) -> Section | None:
        """The own section of the source of tasks, where it has one."""
        return getattr(self.tasks, self.tasks.source, None)

    def of_suite(self, name: str) -> Section | None:
        """The section of a suite, or else of the one that it names or is paired with; None where none has one."""
        own: Section | None = getattr(self.evaluate, name, None)
        suite = SUITES[name]
        other = suite.settings_of or (suite.paired_with.suite if suite.paired_with else None)
        return own if own is not None or other is None else self.of_suite(other)


def _require(registry: Registry[Any], names: Iterable[str]) -> None:
    for name in names:
        if name not in registry:
            raise ValueError(
                f"{registry.setting}: there is no {registry.what} {name!r}; there are {', '.join(registry)}"
            )


def load(path: str | Path, overrides: Sequence[str] = ()) -> Config:
    """The config in a YAML file with `a.b=c` overrides applied. Raises ConfigError or PluginError."""
    return build(read_tree(Path(path), overrides), str(path), Path(path).parent)


def build(tree: dict[str, Any], origin: str = "config", beside: Path | None = None) -> Config:
    """The config of a settings tree.

    origin: what errors call it. beside: the directory that plugins are looked for in after the current one.
    Raises ConfigError with a clause for each wrong key, PluginError for a plugin that can't be imported.
    """
    plugins = tree.get("plugins", [])
    if not isinstance(plugins, list) or not all(isinstance(p, str) for p in plugins):
        raise ConfigError(f"{origin}: plugins = {plugins!r}: a list of modules or .py files is wanted")
    load_plugins(plugins, beside)
    return validate(config_type(), overlay(_preset(tree, origin), tree), origin)


def _preset(tree: dict[str, Any], origin: str) -> dict[str, Any]:
    name = tree.get("preset", Preset.NONE)
    if name == Preset.NONE:
        return {}
    if name not in list(Preset):
        raise ConfigError(f"{origin}: preset = {name!r}: choose one of {', '.join(map(repr, map(str, Preset)))}")
    content: dict[str, Any] = yaml.safe_load((PRESETS / f"{name}.yaml").read_text())
    return content


def config_type() -> type[Config]:
    """Config, with the sections of what plugins have added: `tasks.NAME` of a source, `evaluate.NAME` of a suite,
    `NAME` of a language."""
    tasks = _widened(TasksConfig, {n: SOURCES[n].settings for n in SOURCES.added})
    evaluate = _widened(EvaluateConfig, {n: SUITES[n].settings for n in SUITES.added})
    languages = {n: getattr(LANGUAGES[n], "settings", None) for n in LANGUAGES.added}
    sections = {"tasks": tasks, "evaluate": evaluate} | {n: s for n, s in languages.items() if s is not None}
    changed = {n: s for n, s in sections.items() if s not in (TasksConfig, EvaluateConfig)}
    return _widened(Config, changed)


def _widened(base: Any, sections: dict[str, type[Section] | None]) -> Any:
    """`base` with further sections; `base` itself where there are none. Raises PluginError where a name is taken."""
    fields: dict[str, Any] = {name: (section, section()) for name, section in sections.items() if section is not None}
    if base is not Config and (taken := fields.keys() & base.model_fields.keys()):
        raise PluginError(f"a plugin's {sorted(taken)[0]!r} has the name of a setting of {base.__name__}; rename it")
    return create_model(base.__name__, __base__=base, __doc__=base.__doc__, **fields) if fields else base


def describe() -> str:
    """Every setting, for `--list-settings`."""
    return settings.describe(config_type())
