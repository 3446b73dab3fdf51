"""NVRTC without a GPU: a candidate's cubin for an architecture, or the compiler's complaints as the writer's lines.

    with Compiler(workers=2) as compiler:
        compiled = compiler.compile(candidate)       # 20 to 100 ms; from memory where the same text came before

Each compiler is a process of its own, so that a text which hangs or crashes it costs one verdict. NVRTC takes device
code only: what it has accepted calls nothing of the host's. Needs the extra `nvrtc`.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import queue
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

from cachetools import LRUCache

from semrep_jax.core.errors import SemRepError
from semrep_jax.core.programs import Status
from semrep_jax.cuda.candidate.candidate import Candidate
from semrep_jax.cuda.candidate.source import Device
from semrep_jax.cuda.gpu import resources
from semrep_jax.cuda.gpu.resources import Resources
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.sandbox.json_worker import JsonWorker

CPU_SECONDS = 10.0  # of processor time for one program
LIBRARY_CPU_SECONDS = 40.0  # for one that includes a library
WALL_SECONDS = 60.0  # at the very most by the clock, where others compute too
KEPT = 4096  # results
MOST_COMPLAINTS = 8
COMPLAINT_LENGTH = 300
TYPES = """\
typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef long long int64_t;
typedef unsigned char uint8_t; typedef unsigned short uint16_t; typedef unsigned int uint32_t;
typedef unsigned long long uint64_t; typedef unsigned int uint; typedef unsigned char uchar;
"""
MACROS = """\
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#define FLT_MAX 3.402823466e+38F
#define FLT_MIN 1.175494351e-38F
#define FLT_EPSILON 1.192092896e-07F
#define DBL_MAX 1.7976931348623158e+308
#define INT_MAX 2147483647
#define INT_MIN (-2147483647 - 1)
#define UINT_MAX 0xffffffffU
#define M_PI 3.14159265358979323846
"""
PRELUDE = TYPES + MACROS
HEADERS = {  # included where the code uses them
    "math_constants.h": r"\bCUDART_",
    "cuda_fp16.h": r"\b_\w*half|\bhalf2?\b|\bh2?(?:exp|log|sqrt|rsqrt)\b",
    "cuda_bf16.h": r"bfloat16",
    "cooperative_groups.h": r"\bcooperative_groups\b",
    "cooperative_groups/reduce.h": r"\b(?:cg|cooperative_groups)::(?:reduce|plus|less|greater)\b",
}
STD = re.compile(r"\bstd::|\bnamespace\s+std\b")  # of the standard library, which NVRTC has by another name only
STD_HEADERS = tuple(
    f"cuda/std/{name}" for name in ("cmath", "cstddef", "cstdint", "limits", "type_traits", "utility", "algorithm")
)
STD_ALIAS = "namespace std { using namespace cuda::std; }\n"
QUICK_REFUSES = "unsupported operation"  # of __dp4a and its like, where compiling is made quick
INCLUDE_FOLDERS = ("cu13/include", "cu13/include/cccl", "cuda_runtime/include")  # of the packages under `nvidia`
_ERROR = re.compile(r"^kernel\.cu\((\d+)\): (?:catastrophic )?error: (.*)$", re.MULTILINE)
_LINKER_ERROR = re.compile(r"^(?:ptxas (?:fatal|error)[^:]*:|nvlink error[^:]*:)(.*)$", re.MULTILINE)


class CompilerError(SemRepError):
    """NVRTC can't be used here at all."""


class KernelExpression(NamedTuple):
    """A kernel as a launch list writes it, and the expression by which NVRTC knows it."""

    kernel: str
    expression: str


@dataclass(frozen=True)
class Compiled:
    """A cubin with each launched kernel's linker name and resources, or the complaints: "line N: message".

    fault: the compiler was killed, or the machine was too busy for it; nothing is known of the program. text: what is
    left to another compiler, whole, where that was asked for.
    """

    cubin: bytes = b""
    names: tuple[tuple[str, str], ...] = ()
    complaints: tuple[str, ...] = ()
    seconds: float = 0.0
    resources: tuple[tuple[str, Resources], ...] = ()
    fault: bool = False
    text: str = ""

    @property
    def ok(self) -> bool:
        """Whether there is a cubin, or a text to make one from."""
        return bool(self.cubin or self.text)


class Compiler:
    """NVRTC processes, `workers` at most, and what they compiled last. Safe to call from several threads.

    arch: the GPU to compile for. Raises CompilerError where NVRTC is not installed.
    """

    def __init__(self, workers: int = 2, arch: str = "sm_90"):
        self.arch, self.include = arch, _include_paths()
        self.free: queue.SimpleQueue[JsonWorker | None] = queue.SimpleQueue()
        self.cache: LRUCache[str, Compiled] = LRUCache(KEPT)
        self.lock = Lock()  # of the cache
        self.free.put(_worker())
        for _ in range(workers - 1):
            self.free.put(None)  # started when needed

    def __enter__(self) -> Compiler:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """End the compilers."""
        while not self.free.empty():
            worker = self.free.get()
            if worker is not None:
                worker.close()

    def compile(self, candidate: Candidate, full: bool = False) -> Compiled:
        """The cubin of a candidate; `full` optimises it for a GPU to run, otherwise compiling is made quick."""
        code = candidate.device.text
        large = candidate.device.libraries or "cooperative_groups" in code or STD.search(code)
        seconds = LIBRARY_CPU_SECONDS if large else CPU_SECONDS
        kernels = [KernelExpression(*one) for one in candidate.addresses.items()]
        unit = _translation_unit(candidate.device)
        compiled = self.compile_text(unit, kernels, full, seconds)
        if not full and any(QUICK_REFUSES in one for one in compiled.complaints):
            return self.compile_text(unit, kernels, True, seconds)
        return compiled

    def uncompiled(self, candidate: Candidate) -> Compiled:
        """A candidate's whole text and the names of its kernels, for another compiler."""
        return Compiled(names=tuple(candidate.addresses.items()), text=_translation_unit(candidate.device))

    def compile_text(
        self, text: str, kernels: Sequence[KernelExpression], full: bool, seconds: float = CPU_SECONDS
    ) -> Compiled:
        """The cubin of a whole translation unit; `full` as of `compile`.

        kernels: what is to be found in it. seconds: of processor time.
        """
        names = {one.kernel: one.expression for one in kernels}
        key = json.dumps([text, names, full])
        with self.lock:
            known = self.cache.get(key)
        if known is not None:
            return known
        request = {
            "text": text,
            "names": list(names.values()),
            "arch": self.arch,
            "include": self.include,
            "fast": None if full else "max",
            "seconds": seconds,
        }
        began = time.perf_counter()
        answer = self._ask(request)
        compiled = _compiled(answer, names, time.perf_counter() - began)
        if "killed" not in answer:  # otherwise it may be the machine that was slow: not to be remembered
            with self.lock:
                self.cache[key] = compiled
        return compiled

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """A free compiler's answer; "killed", and whether from outside, where it ended or hung, and is replaced when
        needed."""
        worker = self.free.get()
        try:
            worker = worker or _worker()
            answer = worker.ask(request, WALL_SECONDS)
            if answer is None:
                answer = {"killed": worker.killed()}
                worker.close()
                worker = None
            return answer
        finally:
            self.free.put(worker)


def refused(candidate: Candidate) -> str:
    """The status of a candidate that NVRTC does not compile: with a library it is not known whose fault that is, for
    some are for nvcc alone."""
    return KernelStatus.UNSUPPORTED if candidate.device.libraries else Status.COMPILE


def _worker() -> JsonWorker:
    worker = JsonWorker(Path(__file__).with_name("nvrtc_worker.py"))
    if worker.ready is None:
        raise CompilerError(f"NVRTC does not start ({worker.tail}); it comes with pip install -e '.[nvrtc]'")
    return worker


def _include_paths() -> list[str]:
    found = importlib.util.find_spec("nvidia")
    roots = list(found.submodule_search_locations or []) if found else []
    paths = [Path(root) / folder for root in roots for folder in INCLUDE_FOLDERS]
    paths = [path for path in paths if path.is_dir()]
    if not paths or importlib.util.find_spec("cuda") is None:
        raise CompilerError("NVRTC is not installed; it comes with pip install -e '.[nvrtc]'")
    return [str(path) for path in paths]


def _translation_unit(device: Device) -> str:
    """A candidate's code, its lines numbered from 1, after headers that it includes or uses and what NVRTC lacks of
    others."""
    code = device.text
    headers = [header for header, used in HEADERS.items() if header in device.headers or re.search(used, code)]
    standard, alias = (STD_HEADERS, STD_ALIAS) if STD.search(code) else ((), "")
    includes = "".join(f"#include <{header}>\n" for header in [*headers, *standard, *device.libraries]) + alias
    # a library brings these types itself, and would meet our macros in the place of its names
    prelude = MACROS if device.libraries else PRELUDE
    before, after = (includes, prelude) if device.libraries else ("", includes + prelude)
    return f'{before}{after}#line 1 "kernel.cu"\n{code}\n'


def _compiled(answer: dict[str, Any], expressions: Mapping[str, str], seconds: float) -> Compiled:
    if answer.get("killed"):
        return Compiled(
            complaints=("the compiler was killed or too slow on a busy machine",), seconds=seconds, fault=True
        )
    if "killed" in answer:
        limit = f"compiling takes more than {CPU_SECONDS:g} s of processor time, or the compiler crashed"
        return Compiled(complaints=(f"{limit}; write less or simpler code",), seconds=seconds)
    if "log" in answer:
        return Compiled(complaints=tuple(complaints(answer["log"])), seconds=seconds)
    names = sorted((kernel, answer["names"][expression]) for kernel, expression in expressions.items())
    by_symbol = resources.read(answer["report"])
    return Compiled(
        cubin=base64.b64decode(answer["cubin"]),
        names=tuple(names),
        seconds=seconds,
        resources=tuple((name, by_symbol[symbol]) for name, symbol in names if symbol in by_symbol),
    )


def complaints(log: str) -> list[str]:
    """The errors of a log, one line each, without paths."""
    found = [f"line {number}: {what}" for number, what in _ERROR.findall(log)]
    found += [what.strip() for what in _LINKER_ERROR.findall(log)]
    if not found:
        found = [re.sub(r"\S*/", "", line) for line in log.splitlines() if "error" in line.lower()][:3]
    shown = [re.sub(r"\S*/(?=[\w.]+)", "", what)[:COMPLAINT_LENGTH] for what in found[:MOST_COMPLAINTS]]
    return shown or ["NVRTC refuses the program without a reason"]
