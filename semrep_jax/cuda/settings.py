"""How CUDA candidates are judged."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from semrep_jax.core.settings import Section


class UseGpu(StrEnum):
    """Whether kernels are run and timed on a GPU too."""

    AUTO = "auto"
    NEVER = "never"
    ALWAYS = "always"


class CompileBy(StrEnum):
    """Who compiles what a GPU is to run.

    NVRTC: a compiler process beside the worker, whose cubins the worker loads; a text is compiled once. RAW_MODULE:
    CuPy's own NVRTC, in the worker, as `cupy.RawModule(code=...)` does.
    """

    NVRTC = "nvrtc"
    RAW_MODULE = "raw_module"


class CudaConfig(Section):
    """How CUDA candidates are judged."""

    gpu: UseGpu = Field(
        UseGpu.AUTO,
        description="Run and time on a GPU what is right in emulation: "
        "auto: if a GPU is present; never; always: fail without one.",
    )
    compile_by: CompileBy = Field(
        CompileBy.NVRTC,
        description="Who compiles for a GPU: nvrtc: a process of its own; raw_module: CuPy's NVRTC, in the worker.",
    )
    timing_seconds: float = Field(
        3.0,
        gt=0,
        description="How long C_src runs in one timing on a GPU (s): up to 100 repeats; less is faster, and has wider "
        "intervals.",
    )
