"""Every setting: typed, one sentence each, unknown keys refused.

A config file is YAML that overlays these defaults; `--set a.b=c` overlays the file. What a run used is written, resolved,
to `config.yaml` in its work directory. Errors name the key, the value and what would be accepted.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from semrep_jax.core.settings import ConfigError, DistributedConfig, Section
from semrep_jax.cuda.settings import CudaConfig
from semrep_jax.data.settings import SupervisedConfig
from semrep_jax.evaluate.settings import EvaluateConfig
from semrep_jax.jobs.settings import PlanConfig
from semrep_jax.mining.settings import MineConfig
from semrep_jax.model.settings import MeshConfig, ModelConfig, Quantise
from semrep_jax.rewards import RewardConfig
from semrep_jax.rollout.settings import RemoteConfig, RolloutConfig
from semrep_jax.sandbox.settings import SandboxConfig
from semrep_jax.tasks.settings import TasksConfig
from semrep_jax.train.settings import TrainConfig


class Job(StrEnum):
    """What `main` can run."""

    COMPARE = "compare"
    TRAIN = "train"
    PRETRAIN = "pretrain"
    EVALUATE = "evaluate"
    PLAN = "plan"
    MINE = "mine"


_WHERE: Any = {"work_dir": True, "distributed": True, "sandbox": {"workers"}, "supervised": {"workers", "cache"}}


class Config(Section):
    """The whole of a run. `python -m semrep_jax.main --config FILE --set train.budget=40`."""

    job: Job = Field(
        description="compare base, SemRep and fine-tuning at equal budget; train one arm; pretrain a base; evaluate; plan; mine packages."
    )
    work_dir: str = Field(
        "runs/default", description="Where everything a run writes goes; an existing run of the same config is resumed."
    )
    seed: int = Field(0, ge=0, description="Base of every random stream of the run.")
    model: ModelConfig = ModelConfig()
    mesh: MeshConfig = MeshConfig()
    distributed: DistributedConfig = DistributedConfig()
    tasks: TasksConfig = TasksConfig()
    rollout: RolloutConfig = RolloutConfig()
    remote: RemoteConfig = RemoteConfig()
    reward: RewardConfig = RewardConfig()
    train: TrainConfig = TrainConfig()
    supervised: SupervisedConfig = SupervisedConfig()
    sandbox: SandboxConfig = SandboxConfig()
    cuda: CudaConfig = CudaConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    plan: PlanConfig = PlanConfig()
    mine: MineConfig = MineConfig()

    @model_validator(mode="after")
    def _possible(self) -> Config:
        budget, alpha = self.train.budget, self.train.alpha
        if 0 < alpha < 1 and not 0 < round(alpha * budget) < budget:
            raise ValueError(
                f"train.budget: {budget} steps are too few for alpha {alpha} (stage 1 would get {round(alpha * budget)}); "
                "raise train.budget or set train.alpha to 0 or 1"
            )
        if self.job is Job.COMPARE and alpha == 0:
            raise ValueError("train.alpha: 0 makes both arms of job compare the same; choose a value in (0, 1]")
        if self.remote.url and self.job is not Job.EVALUATE:
            raise ValueError(
                f"remote.url: {self.remote.url} can only be evaluated, not trained; use job evaluate or set it to null"
            )
        if self.model.lora.quantise is not Quantise.NONE and not self.model.lora.rank:
            raise ValueError(
                "model.lora.quantise: quantised weights are frozen, so something beside them must train; set model.lora.rank"
            )
        if not self.supervised.sources and not self.supervised.generated:
            raise ValueError(
                "supervised.generated: 0, and supervised.sources is empty; name a data set or raise the weight"
            )
        if "kernelbench" in self.evaluate.suites and not self.evaluate.kernelbench:
            raise ValueError(
                "evaluate.kernelbench: null, and evaluate.suites asks for kernelbench; set it to a checkout of KernelBench"
            )
        for section, wanted in (("tasks", self.tasks.source == "mined"), ("evaluate", "mined" in self.evaluate.suites)):
            if wanted and not getattr(self, section).mined and self.job in (Job.COMPARE, Job.TRAIN, Job.EVALUATE):
                raise ValueError(
                    f"{section}.mined: null, and mined tasks are asked for; set it to the work directory of a job: mine"
                )
        if self.distributed.process >= self.distributed.processes:
            raise ValueError(
                f"distributed.process: {self.distributed.process} is not one of {self.distributed.processes}; they count from 0"
            )
        if self.sandbox.wall_seconds < self.sandbox.cpu_seconds:
            raise ValueError("sandbox.wall_seconds: is below sandbox.cpu_seconds; raise it")
        return self

    @property
    def sha256(self) -> str:
        """Digest of every setting but `work_dir`."""
        return hashlib.sha256(json.dumps(self.comparable(), sort_keys=True).encode()).hexdigest()

    def comparable(self) -> dict[str, Any]:
        """The settings that a resumed run must share: all but where it writes and runs."""
        settings = self.model_dump(mode="json", exclude=_WHERE)
        return flatten(settings)

    def to_yaml(self) -> str:
        """The resolved config as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as {"a.b": value}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def load(path: str | Path, overrides: list[str] | tuple[str, ...] = ()) -> Config:
    """The config in a YAML file with `a.b=c` overrides applied. Raises ConfigError."""
    path = Path(path)
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(
            f"config {path} does not exist" + (f"; {path.parent} holds {', '.join(near)}" if near else "")
        )
    try:
        tree = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(
            f"config {path} must be a mapping of settings, not {type(tree).__name__}; start with 'job: compare'"
        )
    for override in overrides:
        _override(tree, override)
    return build(tree, str(path))


def build(tree: dict[str, Any], origin: str = "config") -> Config:
    """The config of a settings tree. Raises ConfigError with one line for each wrong key."""
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(problem, origin) for problem in error.errors())) from error


def _override(tree: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise ConfigError(f"--set {override!r}: write it as key=value, e.g. --set train.budget=40")
    *parents, last = key.split(".")
    for parent in parents:
        child = tree.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"--set {override!r}: {parent!r} is a value, not a section")
        tree = child
    try:
        tree[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: {text!r} is no YAML value") from error


def _explain(problem: Any, origin: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        section = _section(problem["loc"][:-1])
        return f"{origin}: unknown key {key!r}; known here: {', '.join(section.model_fields)}"
    if problem["type"] == "missing":
        return f"{origin}: {key!r} is missing; add it ({Config.model_fields[key].description if key in Config.model_fields else ''})"
    message = problem["msg"].removeprefix("Value error, ")
    if not key:
        return f"{origin}: {message}"
    return f"{origin}: {key} = {problem['input']!r}: {message[0].lower() + message[1:]}"


def _section(path: tuple[Any, ...]) -> type[BaseModel]:
    section: type[BaseModel] = Config
    for part in path:
        if isinstance(part, int):  # in a list of sections
            continue
        annotation = section.model_fields[part].annotation
        annotation = next(iter(get_args(annotation)), annotation) if get_origin(annotation) is list else annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            break
        section = annotation
    return section


def describe() -> str:
    """Every key with its default and its sentence, for `--help-config`."""
    lines = []

    def walk(section: type[BaseModel], prefix: str) -> None:
        for name, info in section.model_fields.items():
            annotation = info.annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                lines.append(f"\n{prefix}{name}: {(annotation.__doc__ or '').splitlines()[0]}")
                walk(annotation, f"{prefix}{name}.")
            else:
                choices = (
                    f" [{' | '.join(annotation)}]"
                    if isinstance(annotation, type) and issubclass(annotation, StrEnum)
                    else ""
                )
                default = "required" if info.is_required() else f"default {info.get_default(call_default_factory=True)}"
                lines.append(f"  {prefix}{name}{choices} ({default})\n      {info.description or ''}")

    walk(Config, "")
    return "\n".join(lines)
