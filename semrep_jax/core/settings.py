"""What settings are made of, and how a file becomes them: sections of typed fields, one sentence each, unknown keys
refused.

Every room keeps its sections in an import-light `settings.py`; `jobs/config.py` puts them together. Errors name the
key, the value and what would be accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from semrep_jax.core.errors import SemRepError


class ConfigError(SemRepError):
    """A setting is unknown, malformed or impossible."""


# A key of random draws is made of 32 bits: a seed that is larger by 2 ** 32 would draw the same.
Seed = Annotated[int, Field(ge=0, lt=1 << 32)]


class Section(BaseModel):
    """Settings under one key. A validator over several fields raises ValueError with a message that begins with the
    key."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_enum_values=False, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_value_is_a_number(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[info.field_name or ""].annotation
        kinds = {annotation, *get_args(annotation)}
        if isinstance(value, bool) and kinds & {int, float} and bool not in kinds:
            raise ValueError("a truth value is no number; write one")
        return value


class DistributedConfig(Section):
    """Several processes, one a host, with the devices of all in one mesh. work_dir must be a directory that all
    share, or gs://."""

    coordinator: str | None = Field(
        None,
        description="HOST:PORT of process 0; 'auto' where the cluster tells (TPU pod, Slurm, Open MPI, Kubernetes); "
        "null for one process.",
    )
    processes: int = Field(1, ge=1, description="How many processes there are.")
    process: int = Field(
        0, ge=0, description="Which of them this is; the one setting that differs, so give it with --set."
    )
    timeout: int = Field(300, ge=1, description="Longest wait for the others at the start (s).")

    @model_validator(mode="after")
    def _one_of_them(self) -> DistributedConfig:
        if self.process >= self.processes:
            raise ValueError(f"distributed.process: {self.process} is not one of {self.processes}; they count from 0")
        return self


S = TypeVar("S", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """YAML without its numbers in base 60 (10:13 is a text, not 613), and without a key that stands twice, of which the
    first would be lost."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys: set[str] = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in keys:
                line = key.start_mark.line + 1
                raise yaml.constructor.ConstructorError(
                    problem=f"{key.value!r} stands twice, again in line {line}; join them"
                )
            keys.add(key.value)
        return super().construct_mapping(node, deep)


def _in_base_ten(number: Any) -> Any:
    def construct(loader: _Loader, node: yaml.ScalarNode) -> Any:
        return node.value if ":" in node.value else number(loader, node)

    return construct


_Loader.add_constructor("tag:yaml.org,2002:int", _in_base_ten(yaml.SafeLoader.construct_yaml_int))
_Loader.add_constructor("tag:yaml.org,2002:float", _in_base_ten(yaml.SafeLoader.construct_yaml_float))


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as {"a.b": value}."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
    return flat


def overlay(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """Two trees of settings as one; where both have a value the one above counts."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = overlay(merged[key], value) if both else value
    return merged


def read_tree(path: Path, overrides: Sequence[str] = ()) -> dict[str, Any]:
    """The settings in a YAML file with `a.b=c` overrides applied, nothing checked yet. Raises ConfigError."""
    if path.is_dir():
        raise ConfigError(f"config {path} is a directory; name a YAML file in it")
    if not path.is_file():
        near = sorted(p.name for p in path.parent.glob("*.yaml")) if path.parent.is_dir() else []
        raise ConfigError(
            f"config {path} does not exist" + (f"; {path.parent} holds {', '.join(near)}" if near else "")
        )
    try:
        tree = yaml.load(path.read_text(), _Loader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path} is not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(tree, dict):
        what = "is empty" if tree is None else f"holds {tree!r:.40}, and no settings by name"
        raise ConfigError(f"config {path} {what}; start with 'job: compare'")
    for override in overrides:
        _override(tree, override)
    return tree


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
        tree[last] = yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        raise ConfigError(f"--set {override!r}: {text!r} is no YAML value") from error


def validate(root: type[S], tree: dict[str, Any], origin: str) -> S:
    """A settings tree as a section.

    root: the section's type. tree: nested settings. origin: where they are from, for errors.
    Raises ConfigError with a clause for each wrong key.
    """
    try:
        return root.model_validate(tree)
    except ValidationError as error:
        raise ConfigError("; ".join(_explain(root, problem, origin) for problem in error.errors())) from error


def _explain(root: type[BaseModel], problem: Any, origin: str) -> str:
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        section = _section(root, problem["loc"][:-1])
        return f"{origin}: unknown key {key!r}; known here: {', '.join(section.model_fields)}"
    if problem["type"] == "missing":
        field = root.model_fields.get(key)
        return f"{origin}: {key!r} is missing; add it ({field.description if field else ''})"
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "model_type":
        message = (
            f"a section of settings is expected; known there: {', '.join(_section(root, problem['loc']).model_fields)}"
        )
    if not key or (problem["type"] == "value_error" and _is_section(root, problem["loc"])):
        return f"{origin}: {message}"
    return f"{origin}: {key} = {problem['input']!r}: {message[0].lower() + message[1:]}"


def _is_section(root: type[BaseModel], path: tuple[Any, ...]) -> bool:
    return bool(path) and _section(root, path) is not _section(root, path[:-1])


def _section(root: type[BaseModel], path: tuple[Any, ...]) -> type[BaseModel]:
    section = root
    for part in path:
        if isinstance(part, int):  # in a list of sections
            continue
        field = section.model_fields.get(part)
        if field is None:
            break
        inner = _inner_section(field.annotation)
        if inner is None:
            break
        section = inner
    return section


def _inner_section(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds: itself, one that may be null, or a list of them; None where it holds none."""
    for one in (annotation, *get_args(annotation)):
        if isinstance(one, type) and issubclass(one, BaseModel):
            return one
    return None


def describe(section: type[BaseModel], prefix: str = "") -> str:
    """Every key of a section with its default and its sentence, for `--list-settings`."""
    lines = []
    for name, info in section.model_fields.items():
        annotation, inner = info.annotation, _inner_section(info.annotation)
        if inner is not None:
            listed = "[]" if get_origin(annotation) is list else ""
            by_default = "" if inner is annotation else f" (default {info.get_default(call_default_factory=True)})"
            told = info.description if inner is not annotation and info.description else inner.__doc__ or ""
            first = " ".join(told.partition("\n\n")[0].split())
            lines.append(f"\n{prefix}{name}{listed}{by_default}: {first}")
            lines.append(describe(inner, f"{prefix}{name}{listed}."))
            continue
        is_enum = isinstance(annotation, type) and issubclass(annotation, StrEnum)
        choices = f" [{' | '.join(annotation)}]" if is_enum else ""  # type: ignore[arg-type]
        default = "required" if info.is_required() else f"default {info.get_default(call_default_factory=True)}"
        lines.append(f"  {prefix}{name}{choices} ({default})\n      {info.description or ''}")
    return "\n".join(lines)
