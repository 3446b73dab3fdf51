"""RawModule as the worker uses it: what CuPy keeps is let go, graphs beside launches; and whose fault a failure is."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from fake_driver import CANDIDATE, DEVICE, ELEMENTS, ILLEGAL, RELU, InProcess, doubled, relu, timed

from semrep_jax.core.programs import Status
from semrep_jax.cuda.gpu import faults, gpu
from semrep_jax.cuda.settings import CompileBy

WORKER = Path(gpu.__file__).with_name("gpu_worker.py")
CANDIDATES = 1000


class Mute(InProcess):
    """A worker that starts, and says the same whatever it is asked."""

    def __init__(self, worker: ModuleType, says: dict[str, Any] | None = None):
        super().__init__(worker)
        self.says = says

    def ask(self, request: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        return self.says


def test_a_thousand_candidates_leave_cupy_with_few_modules(worker, cubin, tmp_path, driver):
    made = cubin(doubled(1.0))
    (tmp_path / "data").write_bytes(bytes(4 * ELEMENTS))
    (tmp_path / "answer").write_bytes(bytes(4 * ELEMENTS))
    span = {"offset": 0, "size": 4 * ELEMENTS}
    one = {"program": made, "inputs": [{"name": "x"} | span], "outputs": [{"name": "y"} | span]}
    request = {"op": "run", "program": {}, "data": str(tmp_path / "data"), "answer": str(tmp_path / "answer")}
    files = len(list(tmp_path.iterdir()))
    for _ in range(CANDIDATES):
        assert worker.answer_to(request | {"runs": [one]}).keys() == {"facts"}
    assert driver.loads == CANDIDATES and driver.most_kept == worker.LOADS_KEPT
    timing = timed(tmp_path, made, cubin(doubled(0.5)), np.arange(ELEMENTS), seconds=1.0) | {"op": "time"}
    assert len(worker.answer_to(timing)["samples"]) == 100
    assert driver.loads > CANDIDATES + 200 and driver.most_kept == worker.LOADS_KEPT
    assert len(list(tmp_path.iterdir())) == files + 1  # the second cubin: no link is left


def test_programs_of_several_launches_are_timed_by_launches_and_as_one_graph(worker, cubin, tmp_path):
    twice = cubin(doubled(1.0))
    twice["launches"] = twice["launches"] * 2
    found = worker.measure(timed(tmp_path, cubin(doubled(2.0)), twice, np.arange(ELEMENTS)))
    assert np.allclose([s[:2] for s in found["samples"]], [2.0, 2.0])
    assert np.allclose([s[:2] for s in found["graph_samples"]], [1.0, 1.0])
    assert len(found["samples"]) == len(found["graph_samples"]) == 24
    assert "graph_samples" not in worker.measure(
        timed(tmp_path, cubin(doubled(2.0)), cubin(doubled(1.0)), np.arange(ELEMENTS))
    )


def test_a_graph_that_gives_another_answer_is_wrong(worker, cubin, tmp_path, driver):
    def knows(x: np.ndarray, y: np.ndarray) -> float:
        return doubled(1.0)(x, y) if plain else 1.0

    plain, launch = True, worker.Program.captured

    def captured(self: Any, buffers: Any) -> Any:
        nonlocal plain
        plain = False
        return launch(self, buffers)

    worker.Program.captured = captured
    twice = cubin(knows)
    twice["launches"] = twice["launches"] * 2
    found = worker.measure(timed(tmp_path, cubin(doubled(2.0)), twice, np.arange(ELEMENTS)))
    assert "y[0] is nan" in found["wrong"]


def test_the_summary_says_both_times(fake_gpu, driver, monkeypatch):
    driver.kernels["candidate"] = relu
    ask = fake_gpu.worker.ask

    def with_graphs(request: dict[str, Any], seconds: float) -> dict[str, Any]:
        answer = ask(request, seconds)
        return answer | {"graph_samples": [[2.0, 0.5, None]] * 10} if "samples" in answer else answer

    monkeypatch.setattr(fake_gpu.worker, "ask", with_graphs)
    timing = fake_gpu.confirm(RELU, CANDIDATE).timing
    assert timing.to_json()["graph_speedup"] == 4.0 and timing.speedup == pytest.approx(1.0)
    assert "as one CUDA graph 0.5000 ms, 4.00 times as fast" in timing.summary("a GPU")


def test_cupys_own_compiler_is_a_choice_and_its_complaints_are_the_candidates(fake_gpu, driver):
    fake_gpu.compile_by = CompileBy.RAW_MODULE
    driver.kernels["candidate"] = relu
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status is Status.OK and result.timing.speedup == pytest.approx(1.0)
    del driver.kernels["candidate"]
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert (result.status, result.feedback) == (Status.COMPILE, "on the GPU: line 3: no candidate")


def test_only_what_a_kernel_can_cause_is_the_candidates():
    for reason, status in (
        (ILLEGAL, Status.CRASH),
        ("CUDADriverError: CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access", Status.CRASH),
        ("CUDARuntimeError: cudaErrorLaunchFailure: unspecified launch failure", Status.CRASH),
        ("CUDADriverError: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure", Status.CRASH),
        ("CUDARuntimeError: cudaErrorAssert: device-side assert triggered", Status.CRASH),
        ("CUDARuntimeError: cudaErrorMisalignedAddress: misaligned address", Status.CRASH),
        ("CUDARuntimeError: cudaErrorLaunchTimeout: the launch timed out", Status.TIMEOUT),
        ("CUDADriverError: CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES: too many resources requested", "launch"),
        ("CUDADriverError: CUDA_ERROR_INVALID_VALUE: invalid argument", "launch"),
        ("OutOfMemoryError: Out of memory allocating 1,024 bytes", Status.UNJUDGED),
        ("CUDARuntimeError: cudaErrorMemoryAllocation: out of memory", Status.UNJUDGED),
        ("CUDARuntimeError: cudaErrorECCUncorrectable: uncorrectable ECC error", Status.UNJUDGED),
        ("CUDARuntimeError: cudaErrorDevicesUnavailable: all devices are busy", Status.UNJUDGED),
        ("CUDADriverError: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the PTX was compiled elsewhere", Status.UNJUDGED),
        ("CUDARuntimeError: cudaErrorUnknown: unknown error", Status.UNJUDGED),
        ("KeyError: 'launches'", Status.UNJUDGED),
    ):
        assert faults.status_of(reason) == status, reason
        assert faults.is_candidates(reason) is (status != Status.UNJUDGED)


def test_a_worker_ended_from_outside_is_not_the_candidates_fault(fake_gpu, driver):
    def ended(*args: Any) -> float:
        raise SystemExit(-9)

    driver.kernels["candidate"] = ended
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status is Status.UNJUDGED and "SIGKILL" in result.feedback and result.timing is None
    driver.kernels["candidate"] = relu
    assert fake_gpu.confirm(RELU, CANDIDATE).status is Status.OK


def test_memory_that_others_hold_is_not_the_candidates_fault(fake_gpu, driver):
    def full(*args: Any) -> float:
        raise RuntimeError("OutOfMemoryError: Out of memory allocating 4,096 bytes (allocated so far: 512 bytes)")

    driver.kernels["candidate"] = full
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status is Status.UNJUDGED and "not the program's fault: OutOfMemoryError" in result.feedback


def test_a_hang_is_the_candidates_only_if_a_fresh_worker_answers(fake_gpu, driver, monkeypatch):
    def hangs(*args: Any) -> float:
        raise TimeoutError

    driver.kernels["candidate"] = hangs
    assert fake_gpu.confirm(RELU, CANDIDATE).status is Status.TIMEOUT
    module = fake_gpu.worker.worker
    monkeypatch.setattr(gpu, "JsonWorker", lambda *_: Mute(module))
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status is Status.UNJUDGED and "a fresh worker does not answer" in result.feedback
    assert fake_gpu.confirm(RELU, CANDIDATE).status is Status.UNJUDGED


def test_a_gpu_that_is_gone_is_given_up_after_some_workers(fake_gpu, driver, monkeypatch):
    def no_worker(*_: Any) -> InProcess:
        one = InProcess(ModuleType("gone"))
        one.ready = {"none": "CUDARuntimeError: cudaErrorNoDevice: no CUDA-capable device is detected"}
        return one

    monkeypatch.setattr(gpu, "JsonWorker", no_worker)
    fake_gpu._stop()
    for _ in range(gpu.FAILED_STARTS - 1):
        result = fake_gpu.confirm(RELU, CANDIDATE)
        assert result.status is Status.UNJUDGED and "cudaErrorNoDevice" in result.feedback
    with pytest.raises(gpu.NoGpu, match="cudaErrorNoDevice"):
        fake_gpu.confirm(RELU, CANDIDATE)


def test_a_driver_that_can_not_load_what_is_compiled_is_said_before_any_candidate_runs(
    fake_gpu,
    driver,
    monkeypatch,
):
    def old(*args: Any) -> float:
        raise RuntimeError("CUDADriverError: CUDA_ERROR_UNSUPPORTED_PTX_VERSION: the PTX is of a newer toolchain")

    driver.kernels["nothing"] = old
    with pytest.raises(gpu.NoGpu) as said:
        gpu.Gpu()
    for part in ("CUDA_ERROR_UNSUPPORTED_PTX_VERSION", "CUDA 13.0", "update the driver", "cuda12"):
        assert part in str(said.value)


def test_what_cupy_compiles_for_itself_takes_no_candidates_time(fake_gpu, driver, monkeypatch):
    """It took more than the 20 s of a run on a busy machine, and the first candidate of a worker was called a hang."""
    asked: list[tuple[str, float]] = []
    ask = InProcess.ask

    def noted(self: InProcess, request: dict[str, Any], seconds: float) -> dict[str, Any] | None:
        asked.append((request["op"], seconds))
        return ask(self, request, seconds)

    monkeypatch.setattr(InProcess, "ask", noted)
    with gpu.Gpu():
        assert asked == [(op, gpu.WARM_UP_SECONDS) for op in ("probe", "run", "time", "time")]
        assert gpu.WARM_UP_SECONDS > 4 * gpu.RUN_SECONDS


def test_a_slice_of_a_gpu_and_a_shared_one_are_said():
    assert faults.notes(DEVICE) == []
    (note,) = faults.notes(DEVICE | {"name": "NVIDIA H100 80GB HBM3 MIG 1g.10gb"})
    assert "slice" in note
    (note,) = faults.notes(DEVICE | {"free_bytes": 20 << 30})
    assert "60 of 80 GiB" in note and "in use by others" in note


@pytest.mark.parametrize("says", [None, {"died": "CUDARuntimeError: cudaErrorDevicesUnavailable: busy"}])
def test_a_gpu_whose_workers_start_and_never_answer_is_given_up_after_some_of_them(fake_gpu, monkeypatch, says):
    module = fake_gpu.worker.worker
    monkeypatch.setattr(gpu, "JsonWorker", lambda *_: Mute(module, says))
    fake_gpu._stop()
    for _ in range(gpu.FAILED_STARTS - 1):
        assert fake_gpu.confirm(RELU, CANDIDATE).status is Status.UNJUDGED
    for _ in range(2):  # and then again whenever it is asked
        with pytest.raises(gpu.NoGpu, match="NVIDIA H100 is gone, or its driver hangs"):
            fake_gpu.confirm(RELU, CANDIDATE)


def test_what_a_worker_has_answered_begins_the_count_of_failed_ones_anew(fake_gpu, driver, monkeypatch):
    driver.kernels["candidate"] = relu
    module = fake_gpu.worker.worker
    for _ in range(2 * gpu.FAILED_STARTS):
        monkeypatch.setattr(gpu, "JsonWorker", lambda *_: Mute(module))
        fake_gpu._stop()
        assert fake_gpu.confirm(RELU, CANDIDATE).status is Status.UNJUDGED
        monkeypatch.setattr(gpu, "JsonWorker", lambda *_: InProcess(module))
        assert fake_gpu.confirm(RELU, CANDIDATE, timed=False).status is Status.OK


def used_of_cupy() -> dict[str, list[ast.Call]]:
    """Every dotted name that the worker takes of CuPy, with the calls of it."""
    names: dict[str, list[ast.Call]] = {}
    tree = ast.parse(WORKER.read_text())
    calls = {id(node.func): node for node in ast.walk(tree) if isinstance(node, ast.Call)}
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and id(node) not in inner:
            dotted = ast.unparse(node)
            if re.fullmatch(r"cp(\.\w+)+", dotted):
                names.setdefault(dotted[3:], []).extend([calls[id(node)]] if id(node) in calls else [])
    return names


def parameters(function: Any) -> str | None:
    """What a function takes, by its signature or, of compiled code, by the first line of its documentation."""
    try:
        return str(inspect.signature(function))
    except (TypeError, ValueError):
        found = re.match(r"[\w.]+\((.*)", (function.__doc__ or "").strip())
        return None if found is None else found[1]


def test_cupy_has_everything_that_the_worker_takes_of_it():
    cupy = pytest.importorskip("cupy", reason="CuPy is not installed (extra cuda13 or cuda12)", exc_type=ImportError)
    used = used_of_cupy()
    assert {"RawModule", "clear_memo", "cuda.Stream", "cuda.compiler.CompileException"} <= used.keys()
    for name, calls in used.items():
        found = cupy
        for part in name.split("."):
            assert hasattr(found, part), f"CuPy {cupy.__version__} has no {name}"
            found = getattr(found, part)
        takes = parameters(found)
        for call in calls:
            for keyword in call.keywords:
                assert takes is None or keyword.arg in takes, f"{name} takes no {keyword.arg}: {takes}"
    for name in ("begin_capture", "end_capture", "__enter__"):
        assert hasattr(cupy.cuda.Stream, name)
    for name in ("launch", "upload"):
        assert hasattr(cupy.cuda.Graph, name)
    for name in ("num_regs", "local_size_bytes", "shared_size_bytes", "max_dynamic_shared_size_bytes", "kernel"):
        assert hasattr(cupy.RawKernel, name)
    assert f"POOL_BYTES = {cupy.cuda.memory._allocation_unit_size}" in WORKER.read_text()
    assert "shared_mem" in (cupy.RawKernel.__call__.__doc__ or "shared_mem")
    module = cupy.RawModule(path="no.cubin")
    with pytest.raises(RuntimeError):  # nothing is loaded before a function is asked for, and then by its path
        module.get_function("nothing")
