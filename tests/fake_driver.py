"""A driver made of NumPy in CuPy's place, for the GPU worker and its parent.

A "cubin" is the name of a Python function that is given the launch's buffers as bytes, and the fake clock runs by the
milliseconds that it returns.
"""

from __future__ import annotations

import importlib.util
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from semrep_jax.cuda.candidate.candidate import parse
from semrep_jax.cuda.gpu import gpu
from semrep_jax.cuda.gpu.nvrtc import Compiled
from semrep_jax.tasks.kernels.builtin import TASKS

WORKER = Path(gpu.__file__).with_name("gpu_worker.py")
ELEMENTS = 64
BOUNDS = {"rounding": 1e-6, "length": 1.0, "norm": 1e-5, "tiny": 1e-38, "largest": 3e38}


class FakeDriver:
    """What the worker uses of CuPy."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kernels: dict[str, Callable[..., float]] = {}
        self.loads = 0
        self.memo: dict[str, FakeModule] = {}  # CuPy keeps modules by their path, until `clear_memo`
        self.most_kept = 0
        self.capturing: FakeStream | None = None

    def cupy(self) -> ModuleType:
        module = ModuleType("cupy")
        for name in (
            "ndarray",
            "empty",
            "uint8",
            "uint16",
            "uint32",
            "float32",
            "float64",
            "concatenate",
            "where",
            "isfinite",
        ):
            setattr(module, name, getattr(np, name))
        for name in ("sqrt", "mean", "abs", "isnan", "bitwise_xor", "minimum", "maximum"):
            setattr(module, name, getattr(np, name))
        module.asarray, module.asnumpy = np.array, np.asarray
        limits = {"maxThreadsPerMultiProcessor": 2048, "l2CacheSize": 1 << 10}
        module.RawModule = lambda **given: FakeModule(self, **given)
        module.clear_memo = self.memo.clear
        module.cuda = SimpleNamespace(
            driver=SimpleNamespace(occupancyMaxActiveBlocksPerMultiprocessor=lambda *_: 4),
            runtime=SimpleNamespace(
                getDeviceProperties=lambda _: limits,
                deviceSynchronize=lambda: None,
                deviceSetLimit=lambda *_: None,
            ),
            compiler=SimpleNamespace(CompileException=FakeCompileError),
            Event=lambda: FakeEvent(self),
            Stream=lambda non_blocking: FakeStream(self),
            get_elapsed_time=lambda begin, end: end.at - begin.at,
        )
        return module


class FakeEvent:
    """A moment on the fake clock."""

    def __init__(self, driver: FakeDriver):
        self.driver = driver

    def record(self) -> None:
        self.at = self.driver.now


class FakeCompileError(Exception):
    """What CuPy's NVRTC raises."""


class FakeStream:
    """Keeps launches while it captures; as a graph they take half their time."""

    def __init__(self, driver: FakeDriver):
        self.driver = driver
        self.launches: list[Callable[[], float]] = []

    def __enter__(self) -> FakeStream:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def begin_capture(self) -> None:
        self.driver.capturing = self

    def end_capture(self) -> FakeStream:
        self.driver.capturing = None
        return self

    def upload(self) -> None:
        pass

    def launch(self) -> None:
        self.driver.now += sum(launch() for launch in self.launches) / 2


class FakeModule:
    """A RawModule: of a "cubin" by its path, or of text."""

    def __init__(self, driver: FakeDriver, path: str = "", code: str = "", **options: Any):
        self.driver, self.path, self.code = driver, path, code

    def get_function(self, symbol: str) -> FakeKernel:
        memo, key = self.driver.memo, self.path or self.code
        if key not in memo:
            name = Path(self.path).read_text() if self.path else self.code
            if name not in self.driver.kernels:
                raise FakeCompileError(f"kernel.cu(3): error: no {name}")
            memo[key] = FakeKernel(self.driver, self.driver.kernels[name])
            self.driver.loads += 1
            self.driver.most_kept = max(self.driver.most_kept, len(memo))
        return memo[key]


class FakeKernel:
    """A RawKernel."""

    num_regs, local_size_bytes, shared_size_bytes = 4, 3, 1

    def __init__(self, driver: FakeDriver, function: Callable[..., float]):
        self.driver, self.function = driver, function
        self.kernel = SimpleNamespace(ptr=0)
        self.max_dynamic_shared_size_bytes = 0

    def __call__(self, grid: Any, block: Any, args: tuple[Any, ...], *, shared_mem: int) -> None:
        if self.driver.capturing is not None:
            self.driver.capturing.launches.append(lambda: self.function(*args))
        else:
            self.driver.now += self.function(*args)


@pytest.fixture
def driver() -> FakeDriver:
    random.seed(1)
    return FakeDriver()


@pytest.fixture
def worker(driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "cupy", driver.cupy())
    monkeypatch.setitem(sys.modules, "pynvml", None)
    spec = importlib.util.spec_from_file_location("gpu_worker", WORKER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: driver.now / 1e3))
    return module


@pytest.fixture
def cubin(driver: FakeDriver, tmp_path: Path) -> Callable[[Callable[..., float]], dict[str, Any]]:
    """From a Python function to a program as a request has it."""

    def make(function: Callable[..., float]) -> dict[str, Any]:
        name = f"kernel{len(driver.kernels)}"
        driver.kernels[name] = function
        (tmp_path / name).write_text(name)
        launch = {"symbol": name, "grid": [1, 1, 1], "block": [128, 1, 1], "shared": 0, "args": ["x", "y"]}
        return {"cubin": str(tmp_path / name), "launches": [launch], "scratch": []}

    return make


def floats(data: np.ndarray) -> np.ndarray:
    return data.view(np.float32)


def doubled(milliseconds: float) -> Callable[..., float]:
    """y = 2 x, and how long that takes."""

    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        floats(y)[:] = 2 * floats(x)
        return milliseconds

    return kernel


def timed(
    tmp_path: Path, reference: dict[str, Any], candidate: dict[str, Any], values: np.ndarray, **other: Any
) -> dict[str, Any]:
    """A request to time two programs, where both draws of x are `values`."""
    (tmp_path / "data").write_bytes(2 * values.astype(np.float32).tobytes())
    return {
        "data": str(tmp_path / "data"),
        "inputs": [{"name": "x", "offset": 0, "size": 8 * ELEMENTS, "row": 4, "size_of_sign": 4}],
        "outputs": [{"name": "y", "size": 4 * ELEMENTS, "dtype": "f32", **BOUNDS}],
        "terms": False,
        "reference": reference,
        "candidate": candidate,
        "fewest": 10,
        "most": 100,
        "seconds": 0.05,
        "limit": 45.0,
    } | other


RELU = replace(TASKS["relu"], bench=({"N": 1000},))
C_SRC = parse(RELU.source, RELU)
CANDIDATE = parse(RELU.source.replace("fmaxf", "max"), RELU)


def relu(x: np.ndarray, y: np.ndarray, n: int) -> float:
    floats(y)[:n] = np.maximum(floats(x)[:n], 0)
    return 2.0


DEVICE = {"name": "NVIDIA H100", "arch": "sm_90", "l2_bytes": 50 << 20, "free_bytes": 79 << 30}
DEVICE |= {"total_bytes": 80 << 30, "driver": 13000, "nvrtc": [13, 0]}
ILLEGAL = "CUDARuntimeError: cudaErrorIllegalAddress: an illegal memory access was encountered"


class InProcess:
    """A worker in this process: what it is asked it does, unless the kernel raises or hangs."""

    def __init__(self, worker: ModuleType):
        self.worker = worker
        self.ready, self.tail, self.closed = dict(DEVICE), "", False
        self.process = SimpleNamespace(wait=self.wait)
        self.exit_code: int | None = None  # None: it hangs

    def wait(self, seconds: float) -> int:
        if self.exit_code is None:
            raise subprocess.TimeoutExpired("worker", seconds)
        return self.exit_code

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        try:
            return self.worker.answer_to(request)
        except SystemExit as error:
            self.exit_code = int(error.code)
            return None
        except TimeoutError:
            return None
        except RuntimeError as error:
            return {"died": str(error)}

    def close(self) -> None:
        self.closed = True


class FakeCompiler:
    """Compiles a candidate to the name "source" or "candidate"."""

    def __init__(self, workers: int, arch: str):
        pass

    include = ("/headers",)

    def compile_text(self, text: str, kernels: Any, full: bool) -> Compiled:
        return Compiled(b"nothing", names=(("nothing", "nothing"),))

    def uncompiled(self, candidate: Any) -> Compiled:
        return Compiled(text=self.compile(candidate, True).cubin.decode(), names=(("relu_kernel", "relu"),))

    def compile(self, candidate: Any, full: bool) -> Compiled:
        cubin = b"source" if candidate.device.text == C_SRC.device.text else b"candidate"
        return Compiled(cubin, names=(("relu_kernel", "relu"),))

    def close(self) -> None:
        pass


@pytest.fixture
def fake_gpu(worker: ModuleType, driver: FakeDriver, monkeypatch: pytest.MonkeyPatch) -> Iterator[gpu.Gpu]:
    monkeypatch.setattr(gpu, "JsonWorker", lambda *_: InProcess(worker))
    monkeypatch.setattr(gpu, "Compiler", FakeCompiler)
    driver.kernels |= {"source": relu, "nothing": lambda: 0.0}
    with gpu.Gpu(seconds=0.05) as one:
        yield one
    assert not one.directory.exists()
