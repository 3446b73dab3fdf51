"""The launch block of a candidate: JSON -> typed launches and scratch buffers, or what is wrong with it.

    {"scratch": {"partial": "f32[ceil_div(N, 256)]"},
     "launch": [{"kernel": "scale", "grid": ["ceil_div(N, 256)"], "block": [256], "shared": 0, "args": ["x", "i32:N"]}]}

The models say what is allowed. Expressions are not looked into here: they are evaluated when the axes are known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo
from pydantic_core import ErrorDetails

from semrep_jax.cuda.candidate.launches import Argument, Launch, Scalar, Scratch, TensorRef
from semrep_jax.cuda.candidate.source import InvalidCandidate
from semrep_jax.cuda.spec import DTYPES

MAX_LAUNCHES = 64
MAX_SCRATCH = 16
_SCRATCH = re.compile(r"\s*(\w+)\s*\[(.+)\]\s*$", re.DOTALL)
_LAUNCH_FIELDS = ("kernel", "unknown key", "args", "grid", "block")  # in the order in which mistakes are told


def _own_name(name: str, info: ValidationInfo) -> str:
    if not name.isidentifier() or name in (info.context or ()):
        raise ValueError("not a name of its own")
    return name


def _scratch(written: Any) -> Scratch:
    match = _SCRATCH.match(written) if isinstance(written, str) else None
    if match is None or match[1] not in DTYPES:
        raise ValueError("not type[length]")
    return Scratch(match[1], match[2])


def _listed(dimension: Any) -> Any:
    return [dimension] if isinstance(dimension, (str, int)) and not isinstance(dimension, bool) else dimension


Dimension = int | str | bool  # that true is no number of threads is found when it is evaluated
Dimensions = Annotated[list[Dimension], Field(min_length=1, max_length=3), BeforeValidator(_listed)]
ScratchBuffers = dict[Annotated[str, AfterValidator(_own_name)], Annotated[Scratch, BeforeValidator(_scratch)]]


class LaunchEntry(BaseModel):
    """One launch of the list."""

    model_config = ConfigDict(extra="forbid", strict=True)

    kernel: str
    args: list[str]
    grid: Dimensions
    block: Dimensions
    shared: Any = None
    smem: Any = None  # another word for `shared`

    def launch(self) -> Launch:
        """The launch with its arguments told apart."""
        args = tuple(argument(a.strip()) for a in self.args)
        shared = self.shared or self.smem or 0
        return Launch(self.kernel.strip(), tuple(self.grid), tuple(self.block), shared, args)


class LaunchBlock(BaseModel):
    """The whole block. It is validated with the names of the task's arrays as context: scratch buffers have others."""

    model_config = ConfigDict(extra="forbid", strict=True)

    launch: list[LaunchEntry] = Field(min_length=1, max_length=MAX_LAUNCHES)
    scratch: Annotated[ScratchBuffers, Field(max_length=MAX_SCRATCH), BeforeValidator(lambda given: given or {})] = {}


def argument(text: str) -> Argument:
    """An argument as a launch list writes it: a buffer's name, or `type:expression`."""
    dtype, colon, expression = text.partition(":")
    return Scalar(dtype, expression) if colon else TensorRef(text)


def read_launch_list(text: str, arrays: Collection[str]) -> tuple[tuple[Launch, ...], dict[str, Scratch]]:
    """The launches and the scratch buffers of a launch block.

    arrays: the names of the task's arrays, which are taken. Raises InvalidCandidate with the first mistake and how to
    write it.
    """
    try:
        listed = json.loads(text)
        json.dumps(listed, ensure_ascii=False).encode()  # JSON may hold half of a surrogate pair, and no file
    except (ValueError, RecursionError) as error:
        raise InvalidCandidate(f'the launch block is not JSON ({error}); write {{"launch": [...]}}') from error
    block = {"launch": listed} if isinstance(listed, list) else listed
    try:
        read = LaunchBlock.model_validate(block, context=arrays)
    except ValidationError as error:
        raise InvalidCandidate(_complaint(error.errors(), block)) from error
    return tuple(entry.launch() for entry in read.launch), read.scratch


def _precedence(error: ErrorDetails) -> tuple[int, ...]:
    """Which of several mistakes is told: the list's before a launch's, unknown keys before mistakes in known ones."""
    unknown = error["type"] == "extra_forbidden"
    match error["loc"]:
        case ("launch", int(index), *field):
            name = "unknown key" if unknown else str(field[0]) if field else "kernel"
            return 4, index, _LAUNCH_FIELDS.index(name)
        case ("scratch", *_) if not unknown:
            return (3,)
        case ("launch",) if error["type"] == "too_long":
            return (2,)
    return (1,) if unknown else (0,)


def _complaint(errors: list[ErrorDetails], block: Any) -> str:
    """What is wrong with a block and how to write it, in one sentence."""
    first = min(errors, key=_precedence)
    if first["type"] == "extra_forbidden":
        return _unknown_keys(errors, first["loc"][:-1])
    match first["loc"]:
        case ("launch", int(index), "args", *_):
            return f'launch {index + 1}: args must be a list of strings: buffer names and scalars like "i32:N"'
        case ("launch", int(index), "grid" | "block" as name, *_):
            wanted = 'one to three expressions, e.g. ["ceil_div(N, 256)"] or [256]'
            return f"launch {index + 1}: {name} must be {wanted}"
        case ("launch", int(index), *_):
            wanted = '{"kernel": name, "grid": [...], "block": [...], "args": [...]}'
            return f"launch {index + 1} must be {wanted}"
        case ("launch",) if first["type"] == "too_long":
            return f"{len(block['launch'])} launches; at most {MAX_LAUNCHES} are allowed"
        case ("scratch", str(name), *_):
            wanted = f'write "f32[length]" with a type of {", ".join(DTYPES)} and a name of its own'
            return f"scratch {name!r}: {str(block['scratch'][name])[:60]!r}; {wanted}"
        case ("scratch",):
            return f'scratch must be {{"name": "f32[length]"}}, at most {MAX_SCRATCH} of them'
    return 'the launch block must be {"launch": [...], "scratch": {...}} with at least one launch'


def _unknown_keys(errors: list[ErrorDetails], where: tuple[int | str, ...]) -> str:
    """The keys that nobody knows of the object at `where`."""
    keys = sorted(str(e["loc"][-1]) for e in errors if e["type"] == "extra_forbidden" and e["loc"][:-1] == where)
    if not where:
        return f"the launch block has unknown keys {keys}; known are launch and scratch"
    return f"launch {int(where[1]) + 1}: unknown keys {keys}; known are kernel, grid, block, shared, args"
