"""What a policy writes for a kernel task: one CUDA block, and one launch block that says how its kernels are started.

    ```cuda
    __global__ void scale(const float* x, float* y, int n) { ... }
    ```
    ```json
    {"scratch": {"partial": "f32[ceil_div(N, 256)]"},
     "launch": [{"kernel": "scale", "grid": ["ceil_div(N, 256)"], "block": [256], "shared": 0, "args": ["x", "y", "i32:N"]}]}
    ```

An argument is the name of an input, an output or a scratch buffer, or `type:expression` for a scalar. The harness allocates, launches and
times; a candidate owns no host code. A list of launches alone is taken too, and an answer in the style of `load_inline` whose host
function is simple enough to be read (`inline`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from semrep_jax.cuda.candidate import inline
from semrep_jax.cuda.candidate.expressions import ExpressionError, evaluate, integer
from semrep_jax.cuda.candidate.launches import Launch, ResolvedLaunch, Scratch
from semrep_jax.cuda.candidate.source import Device, InvalidCandidate, Kernel, Parameter, clean
from semrep_jax.cuda.canonical import FENCE
from semrep_jax.cuda.spec import DTYPES, Array, Axes, KernelTask

MOST_LAUNCHES, MOST_THREADS, MOST_SHARED = 64, 1024, 227 << 10
_SCRATCH = re.compile(r"\s*(\w+)\s*\[(.+)\]\s*$", re.DOTALL)
_SCALARS = {
    "i32": ("int", "int32_t", "signed int", "signed"), "u32": ("unsigned int", "unsigned", "uint32_t", "uint"),
    "i64": ("long long", "int64_t", "long", "long long int", "long int", "ptrdiff_t", "ssize_t"),
    "u64": ("unsigned long long", "uint64_t", "unsigned long", "size_t", "unsigned long long int"), "f32": ("float",), "f64": ("double",),
    "f16": ("half", "__half"), "bf16": ("__nv_bfloat16", "nv_bfloat16"), "u8": ("unsigned char", "uint8_t", "bool", "uchar"),
}  # fmt: skip
_OF_TYPE = {c: dtype for dtype, names in _SCALARS.items() for c in names}
_VECTORS = {"f32": r"float[1-4]", "i32": r"int[1-4]", "u32": r"uint[1-4]", "f64": r"double[1-4]", "f16": r"(__)?half2", "u8": r"uchar[1-4]",
            "bf16": r"(__)?nv_bfloat162", "i64": r"longlong[1-4]", "u64": r"ulonglong[1-4]"}  # fmt: skip
_RAW = ("void", "char", "unsigned char", "uint8_t", "int4", "uint4", "float4")  # bytes, or a wide load of any type


@dataclass(frozen=True)
class Candidate:
    """A program that can be run: device code and its launches."""

    device: Device
    launches: tuple[Launch, ...]
    scratch: Mapping[str, Scratch]

    @cached_property
    def kernels(self) -> tuple[str, ...]:
        """The kernels that are launched, as written, templates with their arguments; each once."""
        return tuple(dict.fromkeys(launch.kernel for launch in self.launches))

    def plan(self, task: KernelTask, axes: Axes) -> list[ResolvedLaunch]:
        """The launches at these axes. Raises ExpressionError where one has no value or no GPU could start it."""
        names = task.names(axes)
        return [_started(launch, names, f"launch {i + 1} ({launch.kernel})") for i, launch in enumerate(self.launches)]

    def buffers(self, task: KernelTask, axes: Axes) -> dict[str, tuple[str, int]]:
        """(element type, length) of every scratch buffer at these axes. Raises ExpressionError."""
        names = task.names(axes)
        return {
            n: (s.dtype, integer(s.length, names, f"length of scratch {n!r}", 0, 1 << 30))
            for n, s in self.scratch.items()
        }


def _started(launch: Launch, names: Mapping[str, int | float], where: str) -> ResolvedLaunch:
    try:
        grid = [
            integer(e, names, "grid", 1, limit)
            for e, limit in zip(launch.grid, (2**31 - 1, 65535, 65535), strict=False)
        ]
        block = [integer(e, names, "block", 1, limit) for e, limit in zip(launch.block, (1024, 1024, 64), strict=False)]
        shared = integer(launch.shared, names, "shared", 0, MOST_SHARED)
        scalars = [a.partition(":") for a in launch.args]
        args = tuple((t, evaluate(e, names)) if e else t for t, _, e in scalars)
    except ExpressionError as error:
        raise ExpressionError(f"{where}: {error}") from error
    grid, block = (grid + [1, 1])[:3], (block + [1, 1])[:3]
    if block[0] * block[1] * block[2] > MOST_THREADS:
        raise ExpressionError(
            f"{where}: a block of {' x '.join(map(str, block))} threads; at most {MOST_THREADS} are allowed"
        )
    return ResolvedLaunch(launch.kernel, (grid[0], grid[1], grid[2]), (block[0], block[1], block[2]), shared, args)


def from_file(text: str) -> str:
    """A completion out of a file: as it is where it has fenced blocks or launches kernels, else CUDA with a `// launch: ...` line."""
    launch = re.search(r"^//[ \t]*launch:(.*)$", text, re.MULTILINE)
    if "```" in text or (launch is None and "<<<" in text):
        return text
    if launch is None:
        raise InvalidCandidate(
            'the file has no launch list; put one into a line like // launch: [{"kernel": ..., "grid": ..., "block": ..., "args": ...}]'
        )
    return f"```cuda\n{text}\n```\n```json\n{launch[1].strip()}\n```\n"


def parse(text: str, task: KernelTask) -> Candidate:
    """The candidate in a completion. Raises InvalidCandidate with what is wrong and how to write it."""
    blocks = [(lang.lower(), body) for lang, body in FENCE.findall(text)]
    code = [
        body
        for lang, body in blocks
        if lang in ("cuda", "cu", "c++", "cpp", "c") or (not lang and "__global__" in body)
    ]
    lists = [body for lang, body in blocks if lang in ("json", "launch") or (not lang and body.lstrip()[:1] in "[{")]
    if len(code) == 1 and len(lists) == 1:
        device = clean(code[0])
        launches, scratch = _read(lists[0], task)
    elif not lists and (host := inline.code_of(code[0] if len(code) == 1 else text)) is not None:
        device, launches, scratch = inline.convert(host, task)
        launches = tuple(_typed(launch, device) for launch in launches)
    else:
        raise InvalidCandidate(
            f"write exactly one ```cuda block and one ```json launch block; found {len(code)} and {len(lists)}. The launch block looks "
            'like {"launch": [{"kernel": "name", "grid": ["ceil_div(N, 256)"], "block": [256], "args": ["x", "y", "i32:N"]}]}'
        )
    for index, launch in enumerate(launches):
        _check(launch, device, task, scratch, f"launch {index + 1}")
    return Candidate(device, launches, scratch)


def _typed(launch: Launch, device: Device) -> Launch:
    """A converted launch with its scalars' types, which are its kernel's."""
    kernel = device.kernels.get(launch.kernel.partition("<")[0].strip())
    types = [_OF_TYPE.get(p.type, "i32") for p in kernel.parameters] if kernel is not None else []
    args = (
        f"{types[i] if i < len(types) else 'i32'}:{a[2:]}" if a.startswith("?:") else a
        for i, a in enumerate(launch.args)
    )
    return replace(launch, args=tuple(args))


def _read(text: str, task: KernelTask) -> tuple[tuple[Launch, ...], dict[str, Scratch]]:
    try:
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidCandidate(f'the launch block is not JSON ({error}); write {{"launch": [...]}}') from error
    if isinstance(said, list):
        said = {"launch": said}
    if not isinstance(said, dict) or not isinstance(said.get("launch"), list) or not said["launch"]:
        raise InvalidCandidate('the launch block must be {"launch": [...], "scratch": {...}} with at least one launch')
    unknown = said.keys() - {"launch", "scratch"}
    if unknown:
        raise InvalidCandidate(f"the launch block has unknown keys {sorted(unknown)}; known are launch and scratch")
    if len(said["launch"]) > MOST_LAUNCHES:
        raise InvalidCandidate(f"{len(said['launch'])} launches; at most {MOST_LAUNCHES} are allowed")
    scratch = said.get("scratch") or {}
    if not isinstance(scratch, dict) or len(scratch) > 16:
        raise InvalidCandidate('scratch must be {"name": "f32[length]"}, at most 16 of them')
    taken = {a.name for a in task.arrays}
    buffers = {}
    for name, what in scratch.items():
        match = _SCRATCH.match(what) if isinstance(what, str) else None
        if match is None or match[1] not in DTYPES or not name.isidentifier() or name in taken:
            raise InvalidCandidate(
                f'scratch {name!r}: {str(what)[:60]!r}; write "f32[length]" with a type of {", ".join(DTYPES)} and a name of its own'
            )
        buffers[name] = Scratch(match[1], match[2])
    return tuple(_launch(one, f"launch {i + 1}") for i, one in enumerate(said["launch"])), buffers


def _launch(said: Any, where: str) -> Launch:
    if not isinstance(said, dict) or not isinstance(said.get("kernel"), str):
        raise InvalidCandidate(f'{where} must be {{"kernel": name, "grid": [...], "block": [...], "args": [...]}}')
    unknown = said.keys() - {"kernel", "grid", "block", "shared", "smem", "args"}
    if unknown:
        raise InvalidCandidate(f"{where}: unknown keys {sorted(unknown)}; known are kernel, grid, block, shared, args")
    args = said.get("args")
    if not isinstance(args, list) or not all(isinstance(a, str) for a in args):
        raise InvalidCandidate(f'{where}: args must be a list of strings: buffer names and scalars like "i32:N"')
    return Launch(
        said["kernel"].strip(), _dims(said.get("grid"), where, "grid"), _dims(said.get("block"), where, "block"),
        said.get("shared") or said.get("smem") or 0, tuple(a.strip() for a in args),
    )  # fmt: skip


def _dims(said: Any, where: str, what: str) -> tuple[str | int, ...]:
    said = [said] if isinstance(said, (str, int)) and not isinstance(said, bool) else said
    if not isinstance(said, list) or not 1 <= len(said) <= 3 or not all(isinstance(d, (str, int)) for d in said):
        raise InvalidCandidate(f'{where}: {what} must be one to three expressions, e.g. ["ceil_div(N, 256)"] or [256]')
    return tuple(said)


def _check(launch: Launch, device: Device, task: KernelTask, scratch: Mapping[str, Scratch], where: str) -> None:
    """Refuse a launch whose kernel or arguments do not fit the parsed signature."""
    name, _, template = launch.kernel.partition("<")
    kernel = device.kernels.get(name.strip())
    if kernel is None:
        raise InvalidCandidate(
            f"{where}: there is no kernel {name.strip()!r}; the CUDA block has {', '.join(device.kernels)}"
        )
    if not re.fullmatch(r"[\w\s<>,:*]*", template):
        raise InvalidCandidate(f"{where}: {launch.kernel!r} is no kernel name; write e.g. {name}<float, 256>")
    if kernel.template and not template:
        raise InvalidCandidate(
            f"{where}: {name} is a template (line {kernel.line}); write its arguments, e.g. {name}<256>"
        )
    if len(launch.args) != len(kernel.parameters):
        wanted = ", ".join(f"{p.type}{'*' if p.pointer else ''} {p.name}" for p in kernel.parameters)
        raise InvalidCandidate(
            f"{where}: {len(launch.args)} arguments and {name} (line {kernel.line}) takes {len(kernel.parameters)}: ({wanted})"
        )
    known = {a.name: a.dtype for a in task.arrays} | {n: s.dtype for n, s in scratch.items()}
    inputs = {a.name for a in task.inputs}
    axes = task.names(task.small[0])
    for argument, parameter in zip(launch.args, kernel.parameters, strict=True):
        _fits(argument, parameter, kernel, known, inputs, axes, f"{where}, argument {argument!r}")


def _fits(
    argument: str, parameter: Parameter, kernel: Kernel, known: Mapping[str, str], inputs: set[str], axes: Mapping[str, int | float],
    where: str,
) -> None:  # fmt: skip
    target = f"parameter {parameter.name!r} of {kernel.name} (line {kernel.line})"
    if ":" not in argument:
        if argument not in known:
            raise InvalidCandidate(
                f'{where}: no buffer has this name; buffers are {", ".join(known)}; a scalar is written "i32:{argument}"'
            )
        if not parameter.pointer:
            raise InvalidCandidate(
                f'{where}: {target} is {parameter.type}, not a pointer; write a scalar like "{_OF_TYPE.get(parameter.type, "i32")}:N"'
            )
        if argument in inputs and not parameter.const and parameter.type not in kernel.template:
            raise InvalidCandidate(
                f"{where}: {target} is not const and {argument} is an input; declare it const {parameter.type}*"
            )
        dtype = known[argument]
        plain = (
            parameter.type in _SCALARS[dtype] or parameter.type in _RAW or re.fullmatch(_VECTORS[dtype], parameter.type)
        )
        known_type = parameter.type in _OF_TYPE or any(re.fullmatch(v, parameter.type) for v in _VECTORS.values())
        if known_type and not plain:
            raise InvalidCandidate(
                f"{where}: {target} points at {parameter.type} and the buffer holds {dtype} ({_SCALARS[dtype][0]})"
            )
        return
    kind, _, expression = argument.partition(":")
    if kind not in DTYPES:
        raise InvalidCandidate(f"{where}: {kind!r} is no type; types are {', '.join(DTYPES)}")
    if parameter.pointer:
        raise InvalidCandidate(f"{where}: {target} is a pointer; give it a buffer: {', '.join(known)}")
    wanted = _OF_TYPE.get(parameter.type)
    if wanted is not None and wanted != kind:
        raise InvalidCandidate(f'{where}: {target} is {parameter.type}; write "{wanted}:{expression}"')
    try:
        evaluate(expression, axes)
    except ExpressionError as error:
        raise InvalidCandidate(f"{where}: {error}") from error


def array_of(task: KernelTask, name: str) -> Array:
    """The task's array of this name."""
    return next(a for a in task.arrays if a.name == name)
