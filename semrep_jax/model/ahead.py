"""Ahead-of-time compilation for a TPU topology that nobody here owns: does a step fit, and what bounds its speed?

Needs the `libtpu` wheel (extra `tpu`) and no TPU. Numbers are the compiler's (memory) and read from its partitioned
program (FLOPs, collectives); peaks are the published ones. Nothing is executed. A compile takes one to three minutes
on two cores.
"""

from __future__ import annotations

import os
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semrep_jax.core.errors import SemRepError, first_line
from semrep_jax.model import hlo
from semrep_jax.model.hlo import Work
from semrep_jax.model.sharding import AXES, Sharding, ShardingError

ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_WORKER_ID": "0",
    "TPU_ACCELERATOR_TYPE": "v5litepod-4",
}
GIB = 2**30


class PlanError(SemRepError):
    """The topology or the program can't be planned here."""


@dataclass(frozen=True)
class Chip:
    """Published peaks of a chip: bfloat16 FLOP/s, bytes/s of HBM and interconnect, bytes of HBM for the compiler."""

    name: str
    flops: float
    bandwidth: float
    interconnect: float
    memory: float


# cloud.google.com/tpu/docs (November 2025); usable memory as the compiler of libtpu 0.0.52 states it.
CHIPS = {
    "v4": Chip("TPU v4", 275e12, 1200e9, 300e9, 30.75 * GIB),
    "v5e": Chip("TPU v5e", 197e12, 819e9, 200e9, 15.75 * GIB),
    "v5p": Chip("TPU v5p", 459e12, 2765e9, 600e9, 95.73 * GIB),
    "v6e": Chip("TPU v6e", 918e12, 1638e9, 448e9, 31.24 * GIB),
}


@dataclass(frozen=True)
class Compiled:
    """One program for one device: bytes by kind, its work, how long it took to compile (s)."""

    needed: float
    arguments: float
    outputs: float
    temporaries: float
    work: Work
    seconds: float


def topology(name: str, data: int, fsdp: int, tensor: int) -> tuple[Sharding, Chip]:
    """The mesh over a topology's devices, laid along its rings, and what one of its chips can do.

    name: KIND:GRID, e.g. "v5e:8x8". data, fsdp, tensor: devices along each axis; data may be -1 for all that are left.
    **Call it before JAX is used**: it sets what the TPU compiler reads. Raises PlanError and ShardingError.
    """
    kind, _, grid = name.partition(":")
    if kind not in CHIPS or not re.fullmatch(r"\d+(x\d+){1,2}", grid):
        raise PlanError(
            f"plan.topology {name!r}: write KIND:GRID with a kind of {', '.join(CHIPS)} and a grid of chips, "
            "e.g. v5e:8x8"
        )
    for variable, value in ENVIRONMENT.items():
        os.environ.setdefault(variable, value)
    import jax
    from jax.experimental import mesh_utils, topologies
    from jax.sharding import Mesh

    jax.config.update("jax_enable_compilation_cache", False)  # what is compiled for a chip elsewhere can't be read back
    is_torus = grid.count("x") == 2
    extra: dict[str, Any] = {}
    if is_torus:
        extra["wrap"] = tuple(int(n) >= 4 for n in grid.split("x"))
    if kind == "v4":
        extra["chip_config_name"] = "megacore"
    try:
        devices = topologies.get_topology_desc(topology_name=name, platform="tpu", **extra).devices
    except Exception as error:
        raise PlanError(
            f"plan.topology {name}: the TPU compiler does not answer ({first_line(error)}); it comes with "
            "pip install -e '.[tpu]' and serves one process at a time"
        ) from error
    if data == -1:
        data = max(1, len(devices) // (fsdp * tensor))
    if data * fsdp * tensor != len(devices):
        raise ShardingError(
            f"mesh data={data} x fsdp={fsdp} x tensor={tensor} is {data * fsdp * tensor} devices and {name} has "
            f"{len(devices)}; make them equal"
        )
    shape = (data, fsdp, tensor)
    try:
        along_rings = mesh_utils.create_device_mesh(shape, devices)
    except NotImplementedError:
        along_rings = mesh_utils.create_device_mesh(shape, devices, allow_split_physical_axes=True)
    return Sharding(Mesh(np.asarray(along_rings), AXES)), CHIPS[kind]


def compile_for(function: Any, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> Compiled:
    """Compile a jitted function for the devices of its abstract arguments' shardings.

    arguments, keywords: of the function, ShapeDtypeStructs with shardings in the place of arrays. Raises
    PlanError where the compiler refuses the program for another reason than its size.
    """
    began = time.perf_counter()
    lowered = function.lower(*arguments, **keywords)
    with tempfile.TemporaryDirectory() as directory:
        options = {
            "xla_dump_to": directory,
            "xla_dump_hlo_pass_re": "tpu-spmd-partitioning",
            "xla_tpu_offload_gather_to_sparsecore": "false",
        }
        try:
            memory = lowered.compile(compiler_options=options).memory_analysis()
            given = memory.argument_size_in_bytes
            outputs = memory.output_size_in_bytes - memory.alias_size_in_bytes
            temporaries = memory.temp_size_in_bytes
        except Exception as error:
            given, outputs, temporaries = 0.0, 0.0, _bytes_needed(error)
        work = hlo.read_work(_partitioned(Path(directory)))
    needed = float(given + outputs + temporaries)
    return Compiled(needed, given, outputs, temporaries, work, time.perf_counter() - began)


def _bytes_needed(error: Exception) -> float:
    """Bytes that the compiler says a program needs which does not fit. Any other complaint is raised as PlanError."""
    complaint = str(error)
    found = re.search(r"([\d.]+)([KMGT])\) exceeds available HBM", complaint)
    found = found or re.search(r"Used ([\d.]+)([KMGT]) of", complaint)
    if found is None:
        raise PlanError(f"the TPU compiler refuses the program: {first_line(error)}") from error
    return float(found[1]) * 1024 ** ("KMGT".index(found[2]) + 1)


def _partitioned(directory: Path) -> str:
    """The program after partitioning, or before any optimisation where there is one device."""
    for pattern in ("*after_tpu-spmd-partitioning*.txt", "*before_optimizations.txt"):
        files = sorted(directory.glob(pattern), key=lambda p: p.stat().st_size)
        if files:
            return files[-1].read_text()
    raise PlanError("the TPU compiler left no program to read; install the libtpu that pyproject names")
