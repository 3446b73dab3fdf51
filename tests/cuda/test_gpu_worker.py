"""The GPU worker's own logic, on a driver made of NumPy: guards, hidden outputs, fresh inputs, how many repeats.

A "cubin" is the name of a Python function that is given the launch's buffers as bytes, and the fake clock runs by the
milliseconds that it returns.
"""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from semrep_jax.cuda.gpu import gpu

WORKER = Path(gpu.__file__).with_name("gpu_worker.py")
ELEMENTS = 64


class FakeDriver:
    """What the worker uses of CuPy."""

    def __init__(self) -> None:
        self.now = 0.0
        self.kernels: dict[str, Callable[..., float]] = {}
        self.loads = 0

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
            "roll",
            "where",
            "isfinite",
        ):
            setattr(module, name, getattr(np, name))
        for name in ("sqrt", "mean", "abs", "isnan", "bitwise_xor"):
            setattr(module, name, getattr(np, name))
        module.asarray, module.asnumpy = np.array, np.asarray
        limits = {"maxThreadsPerMultiProcessor": 2048, "l2CacheSize": 1 << 10}
        module.cuda = SimpleNamespace(
            function=SimpleNamespace(Module=lambda: FakeModule(self)),
            driver=SimpleNamespace(
                funcSetAttribute=lambda *_: None,
                funcGetAttribute=lambda attribute, _: attribute,
                occupancyMaxActiveBlocksPerMultiprocessor=lambda *_: 4,
            ),
            runtime=SimpleNamespace(
                getDeviceProperties=lambda _: limits, deviceSynchronize=lambda: None, deviceSetLimit=lambda *_: None
            ),
            Event=lambda: FakeEvent(self),
            get_elapsed_time=lambda begin, end: end.at - begin.at,
        )
        return module


class FakeEvent:
    """A moment on the fake clock."""

    def __init__(self, driver: FakeDriver):
        self.driver = driver

    def record(self) -> None:
        self.at = self.driver.now


class FakeModule:
    """A loaded "cubin"."""

    ptr = 0

    def __init__(self, driver: FakeDriver):
        self.driver = driver

    def load(self, data: bytes) -> None:
        self.function = self.driver.kernels[data.decode()]
        self.driver.loads += 1

    def get_function(self, symbol: str) -> FakeModule:
        return self

    def __call__(self, grid: Any, block: Any, args: tuple[Any, ...], shared: int) -> None:
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
    """A request to time two programs."""
    (tmp_path / "data").write_bytes(values.astype(np.float32).tobytes())
    return {
        "data": str(tmp_path / "data"),
        "inputs": [{"name": "x", "offset": 0, "size": 4 * ELEMENTS, "row": 4}],
        "outputs": [{"name": "y", "size": 4 * ELEMENTS, "dtype": "f32", "slack": 1e-6}],
        "reference": reference,
        "candidate": candidate,
        "fewest": 10,
        "most": 100,
        "seconds": 0.05,
    } | other


def test_a_pair_is_timed_as_often_as_the_references_time_allows(worker, cubin, tmp_path, driver):
    request = timed(tmp_path, cubin(doubled(2.0)), cubin(doubled(0.5)), np.arange(ELEMENTS))
    found = worker.measure(request)
    assert len(found["samples"]) == 25  # 50 ms at 2 ms, whatever the candidate takes
    assert np.allclose([s[:2] for s in found["samples"]], [2.0, 0.5]) and {s[2] for s in found["samples"]} == {None}
    assert found["facts"] == [{"registers": 4, "spilled_bytes": 3, "shared_bytes": 1, "occupancy": 0.25}]
    assert driver.loads == 2 + 2 * (worker.WARM_UP + 25)  # both are loaded anew for every repeat
    for seconds, repeats in ((0.0, 10), (1.0, 100)):
        assert len(worker.measure(request | {"seconds": seconds})["samples"]) == repeats


def test_every_repeat_has_inputs_of_its_own(worker, cubin, tmp_path):
    seen = []

    def remembers(x: np.ndarray, y: np.ndarray) -> float:
        seen.append(floats(x).copy())
        return doubled(1.0)(x, y)

    request = timed(tmp_path, cubin(doubled(1.0)), cubin(remembers), np.arange(ELEMENTS))
    assert "wrong" not in worker.measure(request)
    assert len({x.tobytes() for x in seen}) > len(seen) // 4
    assert all(sorted(x.tolist()) == list(range(ELEMENTS)) for x in seen)


def test_a_candidate_that_repeats_its_first_answer_or_fails_later_is_wrong(worker, cubin, tmp_path):
    kept: list[np.ndarray] = []

    def cached(x: np.ndarray, y: np.ndarray) -> float:
        if not kept:
            kept.append(2 * floats(x))
        floats(y)[:] = kept[0]
        return 0.1

    found = worker.measure(timed(tmp_path, cubin(doubled(1.0)), cubin(cached), np.arange(ELEMENTS)))
    assert found["wrong"].startswith("timed run 1: y[") and found["samples"] == []

    calls = []

    def tires(x: np.ndarray, y: np.ndarray) -> float:
        calls.append(0)
        return doubled(1.0)(x, y) if len(calls) <= 7 else 0.1  # then it writes nothing

    found = worker.measure(timed(tmp_path, cubin(doubled(1.0)), cubin(tires), np.arange(ELEMENTS)))
    assert found["wrong"] == "timed run 7: y[0] is nan and should be " + found["wrong"].rpartition(" ")[2]
    assert len(found["samples"]) == 4


def test_a_candidate_can_not_read_the_references_answer(worker, cubin, tmp_path):
    answers: list[np.ndarray] = []

    def honest(x: np.ndarray, y: np.ndarray) -> float:
        answers.append(y)
        return doubled(1.0)(x, y)

    def thief(x: np.ndarray, y: np.ndarray) -> float:
        if not answers:
            return doubled(1.0)(x, y)
        y[:] = answers[-1]  # of this repeat, or of the one before on equal inputs
        return 0.1

    found = worker.measure(timed(tmp_path, cubin(honest), cubin(thief), np.full(ELEMENTS, 3.0)))
    assert "is nan and should be 6" in found["wrong"]


def test_a_timed_candidate_that_writes_elsewhere_or_changes_its_input_is_named(worker, cubin, tmp_path):
    def outside(x: np.ndarray, y: np.ndarray) -> float:
        y.base[0] = 0
        return doubled(1.0)(x, y)

    def changes(x: np.ndarray, y: np.ndarray) -> float:
        time = doubled(1.0)(x, y)
        x[0] ^= 1
        return time

    for function, wrong in ((outside, "it wrote outside of y"), (changes, "it changed its input x")):
        request = timed(tmp_path, cubin(doubled(1.0)), cubin(function), np.arange(ELEMENTS))
        assert worker.measure(request) == {"wrong": wrong, "samples": []}


def test_runs_hand_back_outputs_and_name_the_run_that_broke_something(worker, cubin, tmp_path):
    (tmp_path / "data").write_bytes(np.arange(ELEMENTS, dtype=np.float32).tobytes())
    (tmp_path / "answer").write_bytes(bytes(8 * ELEMENTS))
    layout = [{"name": "x", "offset": 0, "size": 4 * ELEMENTS}]

    def request(*programs: dict[str, Any]) -> dict[str, Any]:
        outputs = [[{"name": "y", "offset": 4 * ELEMENTS * i, "size": 4 * ELEMENTS}] for i in range(len(programs))]
        runs = [{"program": p, "inputs": layout, "outputs": o} for p, o in zip(programs, outputs, strict=True)]
        return {"program": {}, "data": str(tmp_path / "data"), "answer": str(tmp_path / "answer"), "runs": runs}

    def outside(x: np.ndarray, y: np.ndarray) -> float:
        y.base[-1] = 0
        return 0.0

    def changes(x: np.ndarray, y: np.ndarray) -> float:
        x[0] ^= 1
        return 0.0

    right = cubin(doubled(1.0))
    assert worker.run(request(right, right)).keys() == {"facts"}
    answer = np.frombuffer((tmp_path / "answer").read_bytes(), np.float32)
    assert answer.tolist() == [2.0 * i for i in range(ELEMENTS)] * 2
    assert worker.run(request(right, cubin(outside)))["broken"] == [1, "y"]
    assert worker.run(request(cubin(changes)))["changed"] == [0, "x"]


def test_outputs_differ_by_more_than_rounding_or_not_at_all(worker):
    def difference(wanted: list[float], found: list[float], dtype: Any = np.float32, name: str = "f32") -> str | None:
        return worker._difference(*(np.array(x, dtype).view(np.uint8) for x in (wanted, found)), name, 1e-3)

    nan, inf = float("nan"), float("inf")
    assert difference([1.0, nan, inf, -inf], [1.0005, nan, inf, -inf]) is None
    assert difference([1.0, 2.0], [1.0, 2.1]) == "[1] is 2.0999999 and should be 2"
    assert difference([1.0], [inf]) and difference([1.0], [nan]) and difference([nan], [1.0])
    assert difference([1, 2], [1, 3], np.int32, "i32") == " differs in byte 4"
    assert difference([1.0, 3.0], [1.0, 3.0], ml_dtypes.bfloat16, "bf16") is None
    assert difference([1.0, 3.0], [1.0, 3.5], ml_dtypes.bfloat16, "bf16") == "[1] is 3.5 and should be 3"


def test_a_bfloat16_scalar_is_rounded_to_nearest_even(worker):
    for value in (1.0, 1.0 + 2**-8, 1.0 + 3 * 2**-8, -0.3, 65504.0, 1e-30):
        assert worker.SCALARS["bf16"](value) == np.array(value, ml_dtypes.bfloat16).view(np.uint16)
