"""What a compiled program does, read out of its partitioned HLO text: FLOPs of matrix products, and collectives.

The compiler's own cost analysis counts the body of a loop once; here every computation is weighted by how often it
runs. A loop's count is the constant its condition compares with (scans start at 0 and step by 1 at this stage). Per
device.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass

BYTES = {
    "pred": 1,
    "s8": 1,
    "u8": 1,
    "bf16": 2,
    "f16": 2,
    "s16": 2,
    "u16": 2,
    "f32": 4,
    "s32": 4,
    "u32": 4,
    "f64": 8,
    "s64": 8,
    "u64": 8,
}
_SHAPE = re.compile(rf"\b({'|'.join(BYTES)})\[([\d,]*)\]")
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{\s*$")
_COLLECTIVE = re.compile(r"= (.+?) (all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?:-start)?\(")
_CALLED = re.compile(r"(calls|to_apply|body|condition)=%?([\w.\-]+)")
_RESULT = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (\S+)")
_DOT = re.compile(r"\s*(?:ROOT )?%?[\w.\-]+ = (\S+) dot\((.*?)\), ")
_CONTRACTING = re.compile(r"lhs_contracting_dims=\{([\d,]*)\}")
_OPERAND_SHAPE = re.compile(r"\w+\[[\d,]*\](?:\{[^}]*\})? ")
_OPERAND = re.compile(r"%?([\w.\-]+)(?:,|$)")
_GROUPS = re.compile(r"replica_groups=(?:\{\{([\d,]*)\}|\[(\d+),(\d+)\])")


@dataclass(frozen=True)
class Collective:
    """One kind of collective over groups of `group` devices: how often it runs in a step, and its bytes a device."""

    kind: str
    group: int
    times: int
    size: int

    @property
    def wire(self) -> float:
        """Bytes a device sends for it in a ring."""
        others = (self.group - 1) / self.group
        return self.size * {"all-reduce": 2 * others, "collective-permute": 1.0}.get(self.kind, others)


@dataclass(frozen=True)
class Work:
    """FLOPs of the matrix products and all collectives of one step, per device."""

    flops: float
    collectives: tuple[Collective, ...]

    @property
    def wire(self) -> float:
        """Bytes a device sends in a step."""
        return sum(c.wire for c in self.collectives)


def read_work(text: str) -> Work:
    """The work in a partitioned module's text."""
    computations, entry = _split(text)
    times = _times(computations, entry)
    flops = 0.0
    sizes = Counter[tuple[str, int]]()
    runs = Counter[tuple[str, int]]()
    for name, lines in computations.items():
        if not times[name]:
            continue
        shapes = {m[1]: m[2] for line in lines if (m := _RESULT.match(line))}
        for line in lines:
            flops += times[name] * _dot(line, shapes)
            match = _COLLECTIVE.search(line)
            if match:
                kind, group = match[2], _group(line)
                size = _size(match[1]) * (group if kind == "reduce-scatter" else 1)
                sizes[kind, group] += times[name] * size
                runs[kind, group] += times[name]
    every = [Collective(kind, group, runs[kind, group], size) for (kind, group), size in sizes.items()]
    return Work(flops, tuple(sorted(every, key=lambda c: -c.wire)))


def _split(text: str) -> tuple[dict[str, list[str]], str]:
    """Each computation's lines by its name, and the entry's name."""
    found: dict[str, list[str]] = {}
    name, entry = "", ""
    for line in text.splitlines():
        match = _COMPUTATION.match(line)
        if match and not line.startswith(" "):
            name = match[2]
            found[name] = []
            entry = name if match[1] else entry
        elif name:
            found[name].append(line)
    return found, entry


def _times(computations: dict[str, list[str]], entry: str) -> Counter[str]:
    """How often each computation runs in one step."""
    times = Counter[str]()

    def walk(name: str, count: int) -> None:
        times[name] += count
        for line in computations.get(name, ()):
            called = dict(_CALLED.findall(line))
            loops = _trips(computations.get(called["condition"], [])) if "body" in called else 1
            for role, other in called.items():
                if role != "condition" and other in computations and (role != "to_apply" or " call(" in line):
                    walk(other, count * loops)

    walk(entry, 1)
    return times


def _trips(condition: list[str]) -> int:
    """The largest integer constant of a loop's condition; 1 where there is none."""
    constants = [int(m[1]) for line in condition if (m := re.search(r"[su]32\[\]\S* constant\((\d+)\)", line))]
    return max(constants, default=1)


def _dot(line: str, shapes: dict[str, str]) -> float:
    """FLOPs of the matrix product on a line, 0 for any other line; `shapes` holds each operand's by name."""
    match = _DOT.match(line)
    contracting = _CONTRACTING.search(line)
    if not match or not contracting:
        return 0.0
    operands = _OPERAND_SHAPE.sub("", match[2]).replace(" ", "")
    left = _dimensions(shapes[_OPERAND.findall(operands)[0]])
    contracted = math.prod(left[int(i)] for i in contracting[1].split(",") if i)
    return 2.0 * math.prod(_dimensions(match[1])) * contracted


def _dimensions(shape: str) -> list[int]:
    match = _SHAPE.search(shape)
    return [int(n) for n in match[2].split(",") if n] if match else []


def _size(shape: str) -> int:
    """Bytes of a shape, or of all in a tuple of shapes."""
    return sum(
        BYTES[dtype] * math.prod(int(n) for n in sizes.split(",") if n) for dtype, sizes in _SHAPE.findall(shape)
    )


def _group(line: str) -> int:
    """Devices in one group of a collective."""
    match = _GROUPS.search(line)
    if match is None:
        return 2
    return int(match[3]) if match[3] else max(1, len(match[1].split(",")))
