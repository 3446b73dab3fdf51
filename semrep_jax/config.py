"""Every setting: typed, one sentence each, unknown keys refused.

A config file is YAML that overlays these defaults; `--set a.b=c` overlays the file. What a run used is written, resolved,
to `config.yaml` in its work directory. Errors name the key, the value and what would be accepted.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from semrep_jax.programs import SemRepError


class ConfigError(SemRepError):
    """A setting is unknown, malformed or impossible."""


class Job(StrEnum):
    """What `main` can run."""

    COMPARE = "compare"
    TRAIN = "train"
    PRETRAIN = "pretrain"
    EVALUATE = "evaluate"
    PLAN = "plan"
    MINE = "mine"


class Advantage(StrEnum):
    """How a group's rewards become advantages."""

    GROUP_STD = "group_std"
    GROUP_MEAN = "group_mean"
    RLOO = "rloo"


class Reduction(StrEnum):
    """How per-token losses become one number."""

    TOKEN_MEAN = "token_mean"
    SEQ_MEAN = "seq_mean"
    CONST_LENGTH = "const_length"


class KL(StrEnum):
    """Penalty for leaving the reference policy (the base)."""

    NONE = "none"
    K3 = "k3"


class Correction(StrEnum):
    """Correction for a sampler that differs from the trainer."""

    NONE = "none"
    TIS = "tis"


class Truncation(StrEnum):
    """What a completion that ran into the length limit does to the loss."""

    KEEP = "keep"
    MASK = "mask"


class DuplicateRule(StrEnum):
    """Which repetitions of C_src earn nothing."""

    EXACT = "exact"
    CANONICAL = "canonical"


class Remat(StrEnum):
    """What the backward pass computes again instead of keeping."""

    NONE = "none"
    DOTS = "dots"
    FULL = "full"


class AttentionKind(StrEnum):
    """Who computes self-attention."""

    AUTO = "auto"
    XLA = "xla"
    CUDNN = "cudnn"
    PALLAS = "pallas"


class Quantise(StrEnum):
    """How the frozen projections under LoRA adapters are kept."""

    NONE = "none"
    NF4 = "nf4"
    INT4 = "int4"
    INT8 = "int8"


class Layout(StrEnum):
    """How the update lays out a group of completions of one prompt."""

    SHARED = "shared"
    PLAIN = "plain"


class Rewrites(StrEnum):
    """Where the rewrites of supervised pairs come from."""

    STORED = "stored"
    FLY = "fly"


class UseGpu(StrEnum):
    """Whether kernels are run and timed on a GPU too."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=False)


class ShapeConfig(_Section):
    """Sizes of a decoder that is trained from scratch (`job: pretrain`) or only planned (`job: plan`)."""

    vocab: int = Field(768, ge=300, description="Most ids the tokenizer may have.")
    dim: int = Field(128, ge=8, description="Model width D.")
    layers: int = Field(5, ge=1, description="Number of blocks L.")
    heads: int = Field(4, ge=1, description="Query heads N.")
    kv_heads: int = Field(2, ge=1, description="Key/value heads K; divides heads.")
    head_dim: int = Field(32, ge=2, description="Width of a head H.")
    ffn: int = Field(448, ge=8, description="Width F of the feed-forward block.")
    rope_theta: float = Field(10_000.0, gt=0, description="Base of the rotary wavelengths.")
    tied: bool = Field(True, description="Use the embedding as the output projection.")
    qk_norm: bool = Field(False, description="Normalise queries and keys (Qwen3).")
    qkv_bias: bool = Field(False, description="Biases on queries, keys and values (Qwen2).")


class LoraConfig(_Section):
    """LoRA and QLoRA: train adapters beside frozen weights; exports have them merged."""

    rank: int = Field(0, ge=0, description="Rank of the adapters; 0 for none.")
    alpha: float = Field(32.0, gt=0, description="The adapters' output is scaled by alpha / rank.")
    quantise: Quantise = Field(Quantise.NONE, description="Keep the frozen projections in 4 or 8 bits (QLoRA).")


class ModelConfig(_Section):
    """Which model, and how it computes."""

    source: str = Field("nano", description="'nano' (shipped), a directory in Hugging Face layout, a .gguf file, or a hub id.")
    shape: ShapeConfig = Field(ShapeConfig(), description="Sizes for jobs pretrain and plan; a loaded model has its own.")
    compute: Literal["float32", "bfloat16"] = Field("float32", description="Type of activations and matrix products.")
    weights: Literal["float32", "bfloat16"] = Field("float32", description="Type the weights are kept in; train float32 masters.")
    remat: Remat = Field(Remat.DOTS, description="What the backward pass computes again: nothing, all but matrix products, everything.")
    attention: AttentionKind = Field(
        AttentionKind.AUTO, description="cudnn (NVIDIA, bfloat16), pallas (TPU), xla, or what fits the device."
    )
    lora: LoraConfig = Field(LoraConfig(), description="Low-rank adapters; rank 0 trains every weight.")


class MeshConfig(_Section):
    """Devices along each named axis; the product may not exceed the devices at hand."""

    data: int = Field(1, ge=-1, description="Copies of the model that split the batch; -1 takes all devices left.")
    fsdp: int = Field(1, ge=1, description="Pieces each weight's model dimension is cut into.")
    tensor: int = Field(1, ge=1, description="Pieces heads, ffn and vocabulary are cut into.")


class DistributedConfig(_Section):
    """Several processes, one a host, with the devices of all in one mesh. work_dir must be a directory that all share."""

    coordinator: str | None = Field(
        None,
        description="HOST:PORT of process 0; 'auto' where the cluster tells (TPU pod, Slurm, Open MPI, Kubernetes); null for one process.",
    )
    processes: int = Field(1, ge=1, description="How many processes there are.")
    process: int = Field(0, ge=0, description="Which of them this is; the one setting that differs, so give it with --set.")
    timeout: int = Field(300, ge=1, description="Longest wait for the others at the start (s).")


class TasksConfig(_Section):
    """The training tasks."""

    source: Literal["generated", "mined", "kernels"] = Field(
        "generated", description="Generated Python functions, mined ones, or CUDA kernels to be made faster."
    )
    mined: str | None = Field(None, description="Work directory of a `job: mine`, for the source mined.")
    train_size: int = Field(256, ge=1, description="Tasks drawn for each stage; passed over in shuffled epochs.")
    families: list[str] | None = Field(None, description="Families to train on; null takes all that are not held out.")
    kinds: list[str] | None = Field(None, description="Kinds of edit to train on; null takes all that are not held out.")
    bug_preserving: bool = Field(True, description="Whether stage 1 also rewrites buggy programs, keeping the bug.")


class RolloutConfig(_Section):
    """How the policy writes."""

    prompts: int = Field(8, ge=1, description="Prompts (groups) in a training step.")
    group: int = Field(8, ge=2, description="Completions G of one prompt; GRPO compares them with each other.")
    max_prompt: int = Field(192, ge=16, description="Longest prompt in tokens; longer ones are counted and earn nothing.")
    bucket: int = Field(64, ge=1, description="Prompts are padded to multiples of this, so that few shapes are compiled.")
    max_new: int = Field(96, ge=8, description="Longest completion in tokens.")
    temperature: float = Field(1.0, gt=0, le=10, description="Sampling temperature while training.")
    rewrites: int = Field(1, ge=1, description="C_rep candidates sampled for each stage-2 prompt; the first accepted is used.")


class RemoteConfig(_Section):
    """A model behind an OpenAI-compatible endpoint, evaluated in place of a local one."""

    url: str | None = Field(None, description="Base URL, e.g. http://localhost:8000/v1; null for the local model.")
    model: str = Field("default", description="The model's name at the endpoint.")
    key_variable: str | None = Field(None, description="Environment variable that holds the API key; null sends none.")
    concurrency: int = Field(8, ge=1, description="Requests under way at once.")
    retries: int = Field(5, ge=0, description="Further tries after a time-out, 429 or server error.")
    timeout: float = Field(120.0, gt=0, description="Longest wait for one answer (s).")


class RewardConfig(_Section):
    """Weights of R_sem and R_inst (arXiv 2603.13640) and what we add."""

    a1: float = Field(0.1, ge=0, description="R_sem: C_rep compiles.")
    b1: float = Field(0.9, ge=0, description="R_sem: C_rep passes all of U_sem.")
    a2: float = Field(0.1, ge=0, description="R_inst: C_tgt compiles.")
    b2: float = Field(0.3, ge=0, description="R_inst: C_tgt passes all of U_sem.")
    c2: float = Field(0.6, ge=0, description="R_inst: C_tgt passes all of U_edit.")
    d2: float = Field(0.5, ge=0, description="R_inst: speed-up of a correct kernel, full at 16 times; nothing where no GPU measured it.")
    duplicate: DuplicateRule = Field(DuplicateRule.CANONICAL, description="Repetitions of C_src that earn nothing in stage 1.")
    novelty: float = Field(0.0, ge=0, description="Weight of the tree-edit distance to C_src and to the group's other correct members.")


class TrainConfig(_Section):
    """Budget, objective and optimiser of the two stages."""

    budget: int = Field(24, ge=1, description="Optimiser steps B, shared by both stages.")
    alpha: float = Field(0.5, ge=0, le=1, description="Share of B spent on stage 1; 0 is fine-tuning only.")
    learning_rate: float = Field(3e-4, gt=0, description="Peak step size of AdamW.")
    warmup: int = Field(2, ge=0, description="Steps of linear warm-up at the start of the budget.")
    weight_decay: float = Field(0.0, ge=0, description="Decoupled weight decay.")
    max_norm: float = Field(1.0, gt=0, description="Global gradient norm is clipped to this.")
    advantage: Advantage = Field(Advantage.GROUP_STD, description="Baseline and scale of advantages.")
    reduction: Reduction = Field(Reduction.TOKEN_MEAN, description="Normalisation of the loss.")
    clip_low: float = Field(0.2, gt=0, lt=1, description="Lower clip of the probability ratio.")
    clip_high: float = Field(0.28, gt=0, description="Upper clip of the probability ratio.")
    layout: Layout = Field(Layout.SHARED, description="shared computes a group's prompt once; plain repeats it (to compare with).")
    epochs: int = Field(1, ge=1, description="Optimiser updates on one batch of rollouts; each consumes one step of B.")
    kl: KL = Field(KL.NONE, description="Penalty for leaving the base.")
    kl_weight: float = Field(0.02, ge=0, description="Weight of the penalty.")
    correction: Correction = Field(Correction.NONE, description="Truncated importance sampling against the sampler's log-probs.")
    tis_cap: float = Field(2.0, gt=0, description="Cap of the importance weight.")
    truncation: Truncation = Field(Truncation.KEEP, description="Keep or mask completions cut at max_new.")
    checkpoint_every: int = Field(8, ge=1, description="Steps between checkpoints.")
    keep: int = Field(2, ge=1, description="Checkpoints kept.")


class SourceConfig(_Section):
    """A data set in the mixture."""

    path: str = Field(description="Directory of shards with a manifest.json.")
    weight: float = Field(1.0, gt=0, description="Its share of the pairs, beside the other weights.")


class SupervisedConfig(_Section):
    """The warm start of a base (`job: pretrain`)."""

    steps: int = Field(3000, ge=1, description="Optimiser steps.")
    rows: int = Field(16, ge=1, description="Packed rows in a batch.")
    row_length: int = Field(256, ge=32, description="Tokens in a row; longer examples are counted and dropped.")
    learning_rate: float = Field(2e-3, gt=0, description="Peak step size of AdamW.")
    warmup: int = Field(100, ge=0, description="Steps of linear warm-up.")
    weight_decay: float = Field(0.05, ge=0, description="Decoupled weight decay.")
    prompt_weight: float = Field(0.2, ge=0, description="Loss weight of prompt tokens beside the completion's 1.")
    sources: list[SourceConfig] = Field([], description="Data sets {path, weight} that pairs are drawn from, in shuffled epochs.")
    generated: float = Field(1.0, ge=0, description="Weight of examples drawn afresh from the grammar, beside the sources; 0 for none.")
    rewrites: Rewrites = Field(
        Rewrites.STORED, description="Rewrites of the sources: as stored, or drawn from the rules every time anew and verified by nobody."
    )
    block: int = Field(1024, ge=16, description="Pairs packed together; more waste less and take longer to begin with.")
    workers: int = Field(0, ge=0, description="Processes that read and pack ahead; 0 for a thread.")
    cache: str | None = Field(None, description="Where tokenised data sets are kept; null for tokens/ in the work directory.")
    checkpoint_every: int = Field(250, ge=1, description="Steps between checkpoints.")
    keep: int = Field(2, ge=1, description="Checkpoints kept.")
    export: str = Field("export", description="Directory of the finished model, relative to the work directory.")


class SandboxConfig(_Section):
    """Limits on a candidate program."""

    workers: int = Field(2, ge=1, description="Zygotes that run candidates side by side.")
    cpu_seconds: float = Field(0.5, gt=0, description="Processor time for all calls of one candidate (s).")
    wall_seconds: float = Field(3.0, gt=0, description="Wall time after which a candidate is killed (s).")
    memory_mb: int = Field(256, ge=64, description="Address space a candidate may add to the interpreter's (MiB).")


class KernelsConfig(_Section):
    """How CUDA candidates are judged."""

    gpu: UseGpu = Field(
        UseGpu.AUTO, description="Run and time on a GPU what is right in emulation: where there is one, never, or or else stop."
    )


class EvaluateConfig(_Section):
    """Held-out suites and how often each task is sampled."""

    suites: list[Literal["correctness", "new_families", "new_kinds", "robustness", "humaneval", "mined", "kernels", "kernelbench"]] = Field(
        ["correctness", "new_families", "new_kinds", "robustness"], min_length=1, description="What is measured."
    )
    tasks: int = Field(48, ge=2, description="Tasks in each suite.")
    mined: str | None = Field(None, description="Work directory of a `job: mine`, for the suite mined.")
    kernelbench: str | None = Field(None, description="A checkout of KernelBench, for the suite kernelbench; its files are executed.")
    levels: list[Literal[1, 2]] = Field([1, 2], min_length=1, description="KernelBench's levels in the suite.")
    samples: int = Field(2, ge=1, description="Completions of each task, at T=1 and at T=2 alike.")
    temperature: float = Field(0.6, gt=0, description="Sampling temperature of evaluation.")
    batch: int = Field(48, ge=1, description="Prompts decoded together.")
    resamples: int = Field(2000, ge=100, description="Bootstrap resamples behind each 95 % interval.")
    seed: int = Field(1234, ge=0, description="Seed of the suites; one seed, one set of tasks.")


class MineConfig(_Section):
    """Functions of installed packages made into tasks (`job: mine`)."""

    packages: list[str] = Field(["stdlib"], min_length=1, description="Import names; 'stdlib' for the standard library.")
    inputs: int = Field(96, ge=20, description="Calls generated for a function.")
    mutants: int = Field(24, ge=3, description="Most mutants of a function that its tests are tried on.")
    kill: float = Field(0.6, ge=0, le=1, description="Share of the mutants that the tests must tell from the function.")
    pairs: int = Field(16, ge=0, description="Most rewrites kept of a function.")
    fixes: int = Field(6, ge=0, description="Most bugs kept of a function.")
    workers: int = Field(0, ge=0, description="Processes; 0 takes one for each core.")


class PlanConfig(_Section):
    """The TPU topology that `job: plan` compiles for, with no TPU at hand."""

    topology: str = Field("v5e:8x8", description="KIND:GRID of chips: v4, v5e, v5p or v6e, e.g. v5p:4x4x8.")
    programs: list[Literal["update", "rollout"]] = Field(["update", "rollout"], min_length=1, description="What is compiled.")


_WHERE: Any = {"work_dir": True, "distributed": True, "sandbox": {"workers"}, "supervised": {"workers", "cache"}}


class Config(_Section):
    """The whole of a run. `python -m semrep_jax.main --config FILE --set train.budget=40`."""

    job: Job = Field(
        description="compare base, SemRep and fine-tuning at equal budget; train one arm; pretrain a base; evaluate; plan; mine packages."
    )
    work_dir: str = Field("runs/default", description="Where everything a run writes goes; an existing run of the same config is resumed.")
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
    kernels: KernelsConfig = KernelsConfig()
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
            raise ValueError(f"remote.url: {self.remote.url} can only be evaluated, not trained; use job evaluate or set it to null")
        if self.model.lora.quantise is not Quantise.NONE and not self.model.lora.rank:
            raise ValueError("model.lora.quantise: quantised weights are frozen, so something beside them must train; set model.lora.rank")
        if not self.supervised.sources and not self.supervised.generated:
            raise ValueError("supervised.generated: 0, and supervised.sources is empty; name a data set or raise the weight")
        if "kernelbench" in self.evaluate.suites and not self.evaluate.kernelbench:
            raise ValueError("evaluate.kernelbench: null, and evaluate.suites asks for kernelbench; set it to a checkout of KernelBench")
        for section, wanted in (("tasks", self.tasks.source == "mined"), ("evaluate", "mined" in self.evaluate.suites)):
            if wanted and not getattr(self, section).mined and self.job in (Job.COMPARE, Job.TRAIN, Job.EVALUATE):
                raise ValueError(f"{section}.mined: null, and mined tasks are asked for; set it to the work directory of a job: mine")
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
        raise ConfigError(f"config {path} does not exist" + (f"; {path.parent} holds {', '.join(near)}" if near else ""))
    try:
        tree = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        raise ConfigError(f"config {path} must be a mapping of settings, not {type(tree).__name__}; start with 'job: compare'")
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
                choices = f" [{' | '.join(annotation)}]" if isinstance(annotation, type) and issubclass(annotation, StrEnum) else ""
                default = "required" if info.is_required() else f"default {info.get_default(call_default_factory=True)}"
                lines.append(f"  {prefix}{name}{choices} ({default})\n      {info.description or ''}")

    walk(Config, "")
    return "\n".join(lines)
