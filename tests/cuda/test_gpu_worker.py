"""The GPU worker's logic and its parent's, on a driver made of NumPy: guards, hidden outputs, fresh inputs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from fake_driver import BOUNDS, CANDIDATE, ELEMENTS, ILLEGAL, RELU, doubled, floats, relu, timed

from semrep_jax.core.programs import Duplicate, Score, Status, Verdict
from semrep_jax.cuda import judge, numerics
from semrep_jax.cuda.candidate.expressions import evaluate
from semrep_jax.cuda.gpu import gpu
from semrep_jax.cuda.gpu.exchange import bytes_of, timed_inputs, timed_spans, write
from semrep_jax.cuda.gpu.nvrtc import Compiled
from semrep_jax.cuda.spec import DTYPES, Axes, KernelTask
from semrep_jax.cuda.status import KernelStatus
from semrep_jax.tasks.kernels.builtin import TASKS

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered")  # NumPy's, of inf - inf


def test_a_pair_is_timed_as_often_as_the_references_time_allows(worker, cubin, tmp_path, driver):
    request = timed(tmp_path, cubin(doubled(2.0)), cubin(doubled(0.5)), np.arange(ELEMENTS))
    found = worker.measure(request)
    assert len(found["samples"]) == 24  # 50 ms at 2 ms, whatever the candidate takes; as often in each place
    assert np.allclose([s[:2] for s in found["samples"]], [2.0, 0.5]) and {s[2] for s in found["samples"]} == {None}
    assert found["facts"] == [{"registers": 4, "spilled_bytes": 3, "shared_bytes": 1, "occupancy": 0.25}]
    assert driver.loads == 2 + 2 * (worker.WARM_UP + 24)  # both are loaded anew for every repeat
    for seconds, repeats in ((0.0, 10), (1.0, 100)):
        assert len(worker.measure(request | {"seconds": seconds})["samples"]) == repeats


def test_a_slow_candidate_is_timed_by_the_repeats_that_there_is_time_for(worker, cubin, tmp_path):
    request = timed(tmp_path, cubin(doubled(2.0)), cubin(doubled(3000.0)), np.arange(ELEMENTS))
    samples = worker.measure(request)["samples"]
    assert len(samples) == 12  # with the 3 of the warm-up, 45 s
    assert np.allclose([s[:2] for s in samples], [2.0, 3000.0])
    assert len(worker.measure(request | {"limit": 90.0})["samples"]) == 24  # those that C_src's time allows


def test_the_repeat_in_which_the_time_ran_out_counts(worker, cubin, tmp_path):
    calls: list[int] = []

    def dozes(x: np.ndarray, y: np.ndarray) -> float:
        calls.append(0)
        return doubled(60e3 if len(calls) == worker.WARM_UP + 11 else 1.0)(x, y)

    samples = worker.measure(timed(tmp_path, cubin(doubled(2.0)), cubin(dozes), np.arange(ELEMENTS)))["samples"]
    assert [s[1] for s in samples] == pytest.approx([1.0] * 10 + [60e3, 1.0])


def test_a_candidate_that_is_too_slow_for_the_fewest_repeats_is_told_so(worker, cubin, tmp_path):
    request = timed(tmp_path, cubin(doubled(2.0)), cubin(doubled(20e3)), np.arange(ELEMENTS))
    last = "in the last run C_src took 0.002 s and the candidate 20 s"
    assert worker.measure(request) == {"untimed": f"45 s were over after 3 of at least 13 repeats; {last}"}
    calls: list[int] = []

    def slow(x: np.ndarray, y: np.ndarray) -> float:
        calls.append(0)
        return doubled(23e3)(x, y)

    twice = cubin(slow)
    twice["launches"] = twice["launches"] * 2
    assert "after 0 of at least 13 repeats" in worker.measure(request | {"candidate": twice})["untimed"]
    assert len(calls) == 2  # there was no time left for a run as a graph


def test_a_program_beside_itself_is_as_fast_whatever_its_place_in_memory_makes_of_it(worker, cubin, tmp_path):
    """On an H100 a kernel was 0.97 to 1.02 times as fast as itself, by where its buffers happened to lie."""
    places: list[int] = []

    def by_place(x: np.ndarray, y: np.ndarray) -> float:
        doubled(0.0)(x, y)
        places.append(id(y.base))
        return 1.03 if places[-1] == max(places) else 1.0

    program = cubin(by_place)
    samples = worker.measure(timed(tmp_path, program, program, np.arange(ELEMENTS)))["samples"]
    ratios = [reference / candidate for reference, candidate, _ in samples]
    assert len(set(places)) == 2 and len(set(np.round(ratios, 9))) == 2
    assert np.median(ratios) == pytest.approx(1.0, abs=1e-3)


def test_every_repeat_has_inputs_of_its_own(worker, cubin, tmp_path):
    seen = []

    def remembers(x: np.ndarray, y: np.ndarray) -> float:
        seen.append(floats(x).copy())
        return doubled(1.0)(x, y)

    request = timed(tmp_path, cubin(doubled(1.0)), cubin(remembers), np.arange(ELEMENTS))
    assert "wrong" not in worker.measure(request)
    assert len({x.tobytes() for x in seen}) > len(seen) // 4
    assert all(sorted(x.tolist()) == list(range(ELEMENTS)) for x in seen)


def of_task(
    task: KernelTask, axes: Axes, path: Path, cubin: Callable[..., Any], candidate: Callable[..., float]
) -> Any:
    """A request to time a candidate beside the oracle of a task, on the inputs that `Gpu` would write and by the bounds
    that it has at the benchmark's shape."""
    write(path, timed_inputs(task, axes, seed=0).items())
    bounds = gpu._bounds("f32", float(evaluate(task.length, task.bench[0])))
    outputs = [{"name": a.name, "size": bytes_of(a, axes), "dtype": a.dtype} | bounds for a in task.outputs]

    def right(*arrays: np.ndarray) -> float:
        answer(task, axes, arrays)
        return 1.0

    programs = {"reference": cubin(right), "candidate": cubin(candidate)}
    for program in programs.values():
        program["launches"][0]["args"] = [a.name for a in task.arrays]
    inputs = {"data": str(path), "inputs": timed_spans(task, axes), "outputs": outputs, "terms": task.terms}
    return inputs | programs | {"fewest": 10, "most": 100, "seconds": 0.05, "limit": 45.0}


def answer(task: KernelTask, axes: Axes, arrays: Sequence[np.ndarray]) -> None:
    """Write the oracle's answer into the last of a task's arrays, given as bytes."""
    *given, y = (x.view(DTYPES[a.dtype]).reshape(a.size(axes)) for x, a in zip(arrays, task.arrays, strict=True))
    (wanted,) = task.oracle(dict(zip((a.name for a in task.inputs), given, strict=True)))
    y[...] = wanted


@pytest.mark.parametrize("name", ["sum", "frobenius_norm", "hinge_loss", "mse_loss", "huber_loss"])
def test_a_reduction_of_everything_that_is_kept_from_an_earlier_repeat_is_wrong(worker, cubin, tmp_path, name):
    """The norm of four million normal numbers is the same within the bound, whichever they are."""
    task, axes, kept = TASKS[name], {"N": 1 << 14}, []

    def remembers(*arrays: np.ndarray) -> float:
        if not kept:
            answer(task, axes, arrays)
            kept.append(arrays[-1].copy())
        arrays[-1][:] = kept[0]
        return 0.1

    assert worker.measure(of_task(task, axes, tmp_path / "data", cubin, remembers))["wrong"].startswith("timed run 1: ")


def test_the_inputs_of_every_repeat_are_such_as_the_task_allows(worker, cubin, tmp_path):
    def inputs_of(name: str, **axes: int) -> Iterator[dict[str, np.ndarray]]:
        task = TASKS[name]
        request = of_task(task, axes, tmp_path / "data", cubin, lambda *_: 1.0)
        pair = worker.TimedPair(request)
        for _ in range(40):
            pair.run()
            shaped = ((a, pair.given[a.name].view(DTYPES[a.dtype]).reshape(a.size(axes))) for a in task.inputs)
            yield {a.name: values for a, values in shaped}

    for given in inputs_of("kl_divergence", M=5, N=7):
        assert all(p.min() > 0 and np.allclose(p.sum(-1), 1) for p in given.values())
    for given in inputs_of("cross_entropy_loss", M=5, N=7):
        assert set(given["label"].tolist()) <= set(range(7))
    for given in inputs_of("masked_fill", M=5, N=7):
        assert set(given["mask"].ravel().tolist()) <= {0, 1}
    for given in inputs_of("row_product", M=5, N=100):
        assert np.abs(given["x"] - 1).max() < 0.1


def test_a_single_row_is_another_in_every_repeat(worker, cubin, tmp_path):
    axes = {"M": 1, "N": 1000}
    pair = worker.TimedPair(of_task(TASKS["row_sum"], axes, tmp_path / "data", cubin, lambda *_: 1.0))
    sums = set()
    for _ in range(20):
        pair.run()
        assert len(pair.given["x"]) == 4000
        sums.add(float(floats(pair.buffers["reference"]["y"].body)[0]))
    assert len(sums) > 15


@pytest.mark.parametrize("size", [1, 4, 508, 511, 512, 513, 4096])
def test_all_memory_that_is_allocated_for_a_buffer_is_filled_anew_and_guarded(worker, size):
    buffer = worker.GuardedBuffer(size)
    assert buffer.raw.size % worker.POOL_BYTES == 0  # CuPy's pool rounds up to that
    for offset in range(buffer.raw.size):
        if offset % 97 in (0, 1) or offset > buffer.raw.size - 600:
            buffer.reset()
            inside = buffer.start <= offset < buffer.start + size
            buffer.raw[offset] = 1
            assert buffer.intact() is inside
    buffer.reset()
    assert 1 not in buffer.raw


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
        output = BOUNDS | {"dtype": name, "rounding": 1e-3, "norm": 1e-2}
        return worker._difference(*(np.array(x, dtype).view(np.uint8) for x in (wanted, found)), None, output)

    nan, inf = float("nan"), float("inf")
    assert difference([1.0, nan, inf, -inf], [1.0005, nan, inf, -inf]) is None
    assert difference([1.0, 2.0], [1.0, 2.1]) == "[1] is 2.0999999 and should be 2"
    assert difference([1.0], [inf]) and difference([1.0], [nan]) and difference([nan], [1.0])
    assert difference([inf, 1.0], [3.0, 1.0]) == "[0] is 3 and should be inf"
    assert difference([-inf], [inf]) and difference([inf], [nan]) and difference([-inf, -inf], [-inf, -1e38])
    assert difference([1, 2], [1, 3], np.int32, "i32") == " differs in byte 4"
    assert difference([1.0, 3.0], [1.0, 3.0], ml_dtypes.bfloat16, "bf16") is None
    assert difference([1.0, 3.0], [1.0, 3.5], ml_dtypes.bfloat16, "bf16") == "[1] is 3.5 and should be 3"


@pytest.mark.parametrize("dtype", numerics.EPS)
@pytest.mark.parametrize("terms", [False, True])
def test_a_timed_output_is_right_by_the_bound_of_a_checked_one(worker, dtype, terms):
    """Twice that bound, as neither program is the oracle: by half of what a timing grants, they say the same."""
    rng, length, agreed = np.random.default_rng(0), 100.0, []
    bounds = gpu._bounds(dtype, length)
    output = bounds | {"dtype": dtype} | {name: bounds[name] / 2 for name in ("rounding", "norm", "tiny")}
    special = [0.0, 0.0, float("inf"), float("-inf"), float("nan")]
    for number in range(300):
        values = np.concatenate([rng.standard_normal(20), special]) * 10.0 ** rng.integers(-3, 3)
        wanted = (values * (number % 5 > 0)).astype(DTYPES[dtype])
        exact = wanted.astype(np.float64)
        size = np.where(np.isfinite(exact), np.abs(exact), 0.0)
        scale = 3 * size if terms else size + np.sqrt(np.mean(size**2))
        scale = scale.astype(DTYPES[dtype]).astype(np.float64) if terms else scale
        bound = numerics.FACTOR * numerics.EPS[dtype] * (11 * scale + size) + numerics.tiny(dtype)
        off = rng.choice([0.01, 0.5, 0.95, 1.2]) * rng.choice([-1, 1], exact.shape) * (rng.random(exact.shape) < 0.2)
        found = (exact + off * bound).astype(DTYPES[dtype])
        checked = numerics.compare("y", dtype, found, exact, scale, length)
        data = (x.astype(DTYPES[dtype]).view(np.uint8) for x in (wanted, found, scale))
        reference, candidate, as_bytes = data
        timed_too = worker._difference(reference, candidate, as_bytes if terms else None, output)
        assert (checked is None) is (timed_too is None), (number, checked, timed_too)
        agreed.append(checked is None)
    assert 30 < sum(agreed) < 270


def test_the_smallest_errors_and_those_of_terms_that_overflow_are_none(worker, cubin, tmp_path):
    output = gpu._bounds("f32", 1.0) | {"dtype": "f32"}
    zeros, almost = np.zeros(4, np.float32), np.full(4, 1e-38, np.float32)
    assert worker._difference(zeros.view(np.uint8), almost.view(np.uint8), None, output) is None
    assert worker._difference(zeros.view(np.uint8), (100 * almost).view(np.uint8), None, output)

    def summed(off: float) -> Callable[..., float]:
        def kernel(x: np.ndarray, y: np.ndarray) -> float:
            with np.errstate(over="ignore"):
                y.view(np.float16)[:] = (floats(x).sum() + off).astype(np.float16)
            return 1.0

        return kernel

    values = np.where(np.arange(ELEMENTS) % 2, 5000.0, -4990.0)  # of these the sum is 320, and of their sizes 319,680
    output = {"name": "y", "size": 2 * ELEMENTS, "dtype": "f16"} | gpu._bounds("f16", ELEMENTS)
    request = timed(tmp_path, cubin(summed(0)), cubin(summed(1.0)), values, outputs=[output], terms=True)
    assert "wrong" not in worker.measure(request)
    found = worker.measure(request | {"candidate": cubin(summed(30e3))})
    assert found["wrong"] == "timed run 0: y[0] is 30320 and should be 320"


def test_where_errors_are_relative_to_the_terms_a_timed_sum_of_some_of_them_is_wrong(worker, cubin, tmp_path):
    """A bound by the result's own size and the square root of the length took zeros for a sum of millions."""

    def summed(share: float) -> Callable[..., float]:
        def kernel(x: np.ndarray, y: np.ndarray) -> float:
            floats(y)[:] = floats(x)[: int(share * ELEMENTS)].sum()
            return 1.0

        return kernel

    values = np.random.default_rng(0).standard_normal(ELEMENTS)
    bounds = gpu._bounds("f32", 4 << 20)
    output = {"name": "y", "size": 4 * ELEMENTS, "dtype": "f32", **bounds}
    request = timed(tmp_path, cubin(summed(1)), cubin(summed(1)), values, outputs=[output], terms=True)
    assert "wrong" not in worker.measure(request)
    for share in (0, 0.85):
        found = worker.measure(request | {"candidate": cubin(summed(share))})
        assert found["wrong"].startswith("timed run 0: y"), share


def test_between_the_flush_and_the_launches_nothing_is_made_ready(worker, cubin, tmp_path, monkeypatch):
    """The flush keeps the GPU busy while the launches are queued: what the host does meanwhile takes of that."""
    done: list[str] = []

    def launched(x: np.ndarray, y: np.ndarray) -> float:
        done.append("launch")
        return doubled(1.0)(x, y)

    make_event, prepared = worker.cp.cuda.Event, worker.Program.prepared
    monkeypatch.setattr(worker.cp.cuda, "Event", lambda: done.append("event") or make_event())
    monkeypatch.setattr(worker.Program, "prepared", lambda *args: done.append("arguments") or prepared(*args))
    pair = worker.TimedPair(timed(tmp_path, cubin(launched), cubin(launched), np.arange(ELEMENTS)))
    pair.flush = SimpleNamespace(fill=lambda _: done.append("flush"))
    pair.run()
    assert done == 2 * ["arguments", "event", "event", "flush", "launch"]


def test_the_scale_of_a_timing_is_the_reference_on_absolute_values(worker, cubin, tmp_path):
    values = np.arange(ELEMENTS) - ELEMENTS / 2
    pair = worker.TimedPair(timed(tmp_path, cubin(doubled(1.0)), cubin(doubled(1.0)), values, terms=True))
    pair.run()
    assert pair.check() is None
    assert floats(pair.scales["y"].body).tolist() == np.abs(2 * floats(pair.given["x"])).tolist()
    whole = np.array([1, -1], np.int32).view(np.uint8)
    assert worker._magnitudes(whole, 0) is whole


def test_the_clock_is_that_of_the_device_in_use(worker, monkeypatch):
    asked = []
    nvml = SimpleNamespace(
        nvmlInit=lambda: None,
        NVML_CLOCK_SM=1,
        nvmlDeviceGetHandleByPciBusId=lambda bus: asked.append(bus) or bus,
        nvmlDeviceGetClockInfo=lambda handle, kind: 1980,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(worker.cp.cuda, "Device", lambda i: SimpleNamespace(pci_bus_id=f"bus {i}"), raising=False)
    assert worker._clock_reader()() == 1980 and asked == ["bus 0"]


def test_a_bfloat16_scalar_is_rounded_to_nearest_even(worker):
    for value in (1.0, 1.0 + 2**-8, 1.0 + 3 * 2**-8, -0.3, 65504.0, 1e-30):
        assert worker.SCALARS["bf16"](value) == np.array(value, ml_dtypes.bfloat16).view(np.uint16)


def test_a_right_candidate_is_timed_beside_its_source(fake_gpu, driver):
    driver.kernels["candidate"] = lambda *args: relu(*args) / 4
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert (result.status, result.passed, result.total) == (Status.OK, 6, 6)
    verdict = judge._confirmed(Verdict(Status.OK, True, Duplicate.NONE, Score(9, 9), Score()), result)
    assert verdict.facts["on_gpu"] and verdict.speedup == result.timing.speedup
    assert result.timing.speedup == pytest.approx(4.0) and result.timing.kept == 24 and len(result.facts) == 1
    assert "4.00 times as fast" in result.feedback and "NVIDIA H100" in result.feedback
    driver.kernels["candidate"] = lambda *args: relu(*args) * 1e-9
    assert fake_gpu.confirm(RELU, CANDIDATE).status == KernelStatus.HACK_SUSPECT


def test_a_right_candidate_whose_source_can_not_be_timed_is_right_and_not_timed(fake_gpu, driver, monkeypatch):
    driver.kernels["candidate"] = relu
    module = replace(RELU, source="import torch\n\nclass Model(torch.nn.Module):\n    pass\n")
    result = fake_gpu.confirm(module, CANDIDATE)
    assert result.status is Status.OK and result.timing is None and result.passed == result.total == 6
    assert "C_src is no CUDA program" in result.feedback and "not timed" in result.feedback
    compile_it = fake_gpu.compiler.compile

    def breaks_source(candidate: Any, full: bool) -> Compiled:
        compiled = compile_it(candidate, full)
        return Compiled(complaints=("line 3: no such thing",)) if compiled.cubin == b"source" else compiled

    monkeypatch.setattr(fake_gpu.compiler, "compile", breaks_source)
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status is Status.OK and "C_src does not compile (line 3: no such thing)" in result.feedback


def test_a_right_candidate_that_is_slow_is_right_and_one_whose_run_does_not_end_is_not(fake_gpu, driver):
    driver.kernels["candidate"] = lambda *args: relu(*args) * 1000
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status is Status.OK and result.timing.speedup == pytest.approx(1e-3) and result.timing.kept == 20
    driver.kernels["candidate"] = lambda *args: relu(*args) * 5000
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status is Status.OK and result.timing is None and result.passed == result.total == 6
    assert result.feedback.startswith("right on the GPU, and not timed: 45 s were over after 5 of at least 13 repeats")
    checks: list[int] = []

    def hangs_later(*args: Any) -> float:
        checks.append(0)
        if len(checks) > 12:
            raise TimeoutError
        return relu(*args)

    driver.kernels["candidate"] = hangs_later
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status is Status.TIMEOUT
    assert result.feedback == "while it was timed: it takes longer than 90 s (axes {'N': 1000})"


def test_where_shared_memory_is_small_files_go_elsewhere_and_that_is_said_once(fake_gpu, driver, monkeypatch, capfd):
    real = gpu.shutil.disk_usage(fake_gpu.directory)
    monkeypatch.setattr(gpu.shutil, "disk_usage", lambda _: real._replace(free=gpu.SPARE_BYTES))
    driver.kernels["candidate"] = relu
    before = list(fake_gpu.directory.iterdir())
    assert fake_gpu.confirm(RELU, CANDIDATE).timing.speedup == pytest.approx(1.0)
    assert list(fake_gpu.directory.iterdir()) == before and fake_gpu.overflow.exists()
    said = capfd.readouterr().err
    assert said.count("shm-size") == 1 and "4 MiB left" in said
    fake_gpu.close()
    assert not fake_gpu.overflow.exists()


def test_many_candidates_leave_few_files_behind(fake_gpu, driver):
    for count in range(20):
        driver.kernels[name := f"candidate{count}"] = relu
        fake_gpu._cubin(Compiled(name.encode()))
    assert len(list(fake_gpu.directory.glob("*.cubin"))) == gpu.KEPT_CUBINS
    for count in range(6):
        fake_gpu._bench_inputs(replace(RELU, name=f"relu{count}"), RELU.bench[0])
    assert len(list(fake_gpu.directory.glob("bench-*"))) == gpu.KEPT_INPUTS


def test_what_a_gpu_finds_wrong_has_a_verdict_of_its_own(fake_gpu, driver):
    calls: list[int] = []

    def sometimes(x: np.ndarray, y: np.ndarray, n: int) -> float:
        calls.append(n)
        return relu(x, y, n - len(calls) % 2)

    def wrong_when_large(x: np.ndarray, y: np.ndarray, n: int) -> float:
        return relu(x, y, min(n, 4000))

    def outside(x: np.ndarray, y: np.ndarray, n: int) -> float:
        y.base[0] = 0
        return relu(x, y, n)

    def raises(error: Exception) -> Callable[..., float]:
        def kernel(*args: Any) -> float:
            raise error

        return kernel

    for kernel, status, passed, feedback in (
        (wrong_when_large, KernelStatus.NUMERIC, 1, "(axes {'N': 4096})"),
        (sometimes, KernelStatus.NONDETERMINISTIC, 0, "right in one of two runs"),
        (outside, Status.MEMORY, 0, "it wrote outside of y (axes {'N': 1000})"),
        (raises(RuntimeError(ILLEGAL)), Status.CRASH, 0, "an illegal memory access"),
        (raises(TimeoutError()), Status.TIMEOUT, 0, "longer than 20 s"),
    ):
        driver.kernels["candidate"] = kernel
        before = fake_gpu.worker
        result = fake_gpu.confirm(RELU, CANDIDATE)
        assert (result.status, result.passed, result.total) == (status, passed, 6), result.feedback
        assert feedback in result.feedback and result.feedback.startswith("on the GPU: ")
        if status in (Status.CRASH, Status.TIMEOUT):  # the next one has a new worker
            assert fake_gpu.worker is not before and (before is None or before.closed)
    driver.kernels["candidate"] = relu
    assert fake_gpu.confirm(RELU, CANDIDATE).status == Status.OK


def test_a_candidate_that_fails_while_it_is_timed_says_so(fake_gpu, driver):
    checks = 12

    def later(then: Callable[..., float]) -> Callable[..., float]:
        calls: list[int] = []

        def kernel(x: np.ndarray, y: np.ndarray, n: int) -> float:
            calls.append(n)
            return relu(x, y, n) if len(calls) <= checks else then(x, y, n)

        return kernel

    def dies(*args: Any) -> float:
        raise RuntimeError(ILLEGAL)

    driver.kernels["candidate"] = later(lambda x, y, n: 1.0)
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status == KernelStatus.NUMERIC and result.timing is None and result.facts == ()
    assert result.feedback.startswith("while it was timed: timed run 0: y[0] is nan")
    driver.kernels["candidate"] = later(dies)
    result = fake_gpu.confirm(RELU, CANDIDATE)
    assert result.status == Status.CRASH
    assert result.feedback == f"while it was timed: {ILLEGAL} (axes {{'N': 1000}})"
