"""NVRTC without a GPU: a candidate's cubin for an architecture, or the compiler's complaints as the writer's lines.

    with Compiler(workers=2) as compiler:
        compiled = compiler.compile(candidate)       # 20 to 100 ms; from memory where the same text came before

Each compiler is a process of its own, so that a text which hangs or crashes it costs one verdict. NVRTC takes device code only: what it
has accepted calls nothing of the host's. Needs the extra `nvrtc`.
"""

from __future__ import annotations

import base64
import importlib.util
import json
import queue
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from semrep_jax.core.errors import SemRepError
from semrep_jax.cuda.candidate.candidate import Candidate
from semrep_jax.cuda.gpu import resources
from semrep_jax.cuda.gpu.resources import Resources
from semrep_jax.sandbox.json_worker import JsonWorker

SECONDS, WALL, KEPT = 10.0, 60.0, 4096  # of processor time, and at the very most by the clock, where others compute too
_PRELUDE = (
    "typedef signed char int8_t; typedef short int16_t; typedef int int32_t; typedef unsigned char uint8_t; "
    "typedef unsigned short uint16_t; typedef unsigned int uint32_t; typedef unsigned int uint; typedef unsigned char uchar; "
    "typedef long long int64_t; typedef unsigned long long uint64_t;\n"
    "#define INFINITY __int_as_float(0x7f800000)\n#define NAN __int_as_float(0x7fffffff)\n#define FLT_MAX 3.402823466e+38F\n"
    "#define FLT_MIN 1.175494351e-38F\n#define FLT_EPSILON 1.192092896e-07F\n#define DBL_MAX 1.7976931348623158e+308\n"
    "#define INT_MAX 2147483647\n#define INT_MIN (-2147483647 - 1)\n#define UINT_MAX 0xffffffffU\n#define M_PI 3.14159265358979323846\n"
    "#define CUDART_INF_F __int_as_float(0x7f800000)\n#define CUDART_NAN_F __int_as_float(0x7fffffff)\n#define CUDART_PI_F 3.141592654f\n"
)
_HEADERS = {
    "cuda_fp16.h": r"\b__?half|\bhalf2?\b|\bh(?:exp|log|sqrt|rsqrt)\b",
    "cuda_bf16.h": r"bfloat16",
    "cooperative_groups.h": r"\bcooperative_groups\b",
    "cooperative_groups/reduce.h": r"\b(?:cg|cooperative_groups)::(?:reduce|plus|less|greater)\b",
}


class CompilerError(SemRepError):
    """NVRTC can't be used here at all."""


@dataclass(frozen=True)
class Compiled:
    """A cubin with the linker's name and the resources of each launched kernel, or the complaints: lines of "line N: message"."""

    cubin: bytes = b""
    names: tuple[tuple[str, str], ...] = ()
    complaints: tuple[str, ...] = ()
    seconds: float = 0.0
    resources: tuple[tuple[str, Resources], ...] = ()

    @property
    def ok(self) -> bool:
        """Whether there is a cubin."""
        return bool(self.cubin)


def _worker() -> JsonWorker:
    worker = JsonWorker(Path(__file__).with_name("nvrtc_worker.py"))
    if worker.ready is None:
        raise CompilerError(f"NVRTC does not start ({worker.tail}); it comes with pip install -e '.[nvrtc]'")
    return worker


class Compiler:
    """A pool of compilers for `arch`; safe to call from several threads. Raises CompilerError where NVRTC is not installed."""

    def __init__(self, workers: int = 2, arch: str = "sm_90"):
        self.arch, self.include = arch, _include_paths()
        self.free: queue.SimpleQueue[JsonWorker | None] = queue.SimpleQueue()
        self.kept: OrderedDict[str, Compiled] = OrderedDict()
        self.lock = Lock()
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
        headers = "".join(f"#include <{h}>\n" for h, used in _HEADERS.items() if re.search(used, candidate.device.text))
        text = f'{headers}{_PRELUDE}#line 1 "kernel.cu"\n{candidate.device.text}\n'
        names = list(candidate.kernels)
        key = json.dumps([text, names, full])
        with self.lock:
            if key in self.kept:
                self.kept.move_to_end(key)
                return self.kept[key]
        request = {
            "text": text,
            "names": names,
            "arch": self.arch,
            "include": self.include,
            "fast": None if full else "max",
        }
        began = time.perf_counter()
        worker = self.free.get()
        try:
            worker = worker or _worker()
            answer = worker.ask(request | {"seconds": SECONDS}, WALL)
            if answer is None:
                worker.close()
                worker = None
        finally:
            self.free.put(worker)
        compiled = _compiled(answer, time.perf_counter() - began)
        if answer is None:  # it may be the machine that was slow: not to be remembered
            return compiled
        with self.lock:
            self.kept[key] = compiled
            if len(self.kept) > KEPT:
                self.kept.popitem(last=False)
        return compiled


def _include_paths() -> list[str]:
    found = importlib.util.find_spec("nvidia")
    roots = list(found.submodule_search_locations or []) if found else []
    paths = [
        str(p)
        for root in roots
        for d in ("cu13/include", "cu13/include/cccl", "cuda_runtime/include")
        if (p := Path(root) / d).is_dir()
    ]
    if not paths or importlib.util.find_spec("cuda") is None:
        raise CompilerError("NVRTC is not installed; it comes with pip install -e '.[nvrtc]'")
    return paths


def _compiled(answer: dict[str, Any] | None, seconds: float) -> Compiled:
    if answer is None:
        return Compiled(
            complaints=(
                f"compiling takes more than {SECONDS:g} s of processor time, or the compiler crashed; write less or simpler code",
            ),
            seconds=seconds,
        )
    if "log" in answer:
        return Compiled(complaints=tuple(_complaints(answer["log"])), seconds=seconds)
    symbols = resources.read(answer["report"])
    used = tuple((name, symbols[symbol]) for name, symbol in sorted(answer["names"].items()) if symbol in symbols)
    return Compiled(base64.b64decode(answer["cubin"]), tuple(sorted(answer["names"].items())), (), seconds, used)


def _complaints(log: str) -> list[str]:
    """The errors of a log, one line each, without paths."""
    found = [
        f"line {n}: {what}"
        for n, what in re.findall(r"^kernel\.cu\((\d+)\): (?:catastrophic )?error: (.*)$", log, re.MULTILINE)
    ]
    found += [
        what.strip()
        for what in re.findall(r"^(?:ptxas (?:fatal|error)[^:]*:|nvlink error[^:]*:)(.*)$", log, re.MULTILINE)
    ]
    if not found:
        found = [re.sub(r"\S*/", "", line) for line in log.splitlines() if "error" in line.lower()][:3]
    return [re.sub(r"\S*/(?=[\w.]+)", "", what)[:300] for what in found[:8]] or [
        "NVRTC refuses the program without a reason"
    ]
