"""What times say, what a compiled kernel takes, and what happens without a GPU."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semrep_jax import main
from semrep_jax.core.programs import Status
from semrep_jax.cuda.candidate.candidate import parse
from semrep_jax.cuda.gpu import resources, timing
from semrep_jax.cuda.gpu.gpu import Gpu, NoGpu
from semrep_jax.cuda.gpu.resources import Resources
from semrep_jax.sandbox import children
from semrep_jax.sandbox.json_worker import JsonWorker
from semrep_jax.tasks.kernels import catalogue
from semrep_jax.tasks.kernels.builtin import TASKS

REPORT = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z1aPf' for 'sm_90'
ptxas         .     256 bytes stack frame, 24 bytes spill stores, 24 bytes spill loads
ptxas info    : Used 59 registers, used 1 barriers, 256 bytes cumulative stack size, 8256 bytes smem
ptxas info    : Compiling entry function '_Z1bPf' for 'sm_90'
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 8 registers, used 0 barriers
"""
HELPER = """import sys, time
print('{}', flush=True)
for line in sys.stdin:
    time.sleep(60) if 'hang' in line else sys.exit(3)
"""


def test_a_speed_up_is_the_median_of_paired_ratios_with_an_interval_around_it():
    rng = np.random.default_rng(0)
    drift = 1 + 0.3 * rng.random(60)  # both programs feel it, pair by pair
    found = timing.summarise(
        [(2.0 * d, 1.0 * d * n, None) for d, n in zip(drift, 1 + 0.01 * rng.standard_normal(60), strict=True)]
    )
    assert (
        found.speedup == pytest.approx(2.0, abs=0.02)
        and found.low <= found.speedup <= found.high
        and found.high - found.low < 0.03
    )
    assert found.kept == 60 and found.dropped == 0


def test_runs_at_a_low_clock_are_dropped_and_counted_and_too_few_are_an_error():
    steady = [(1.0, 0.5, 1900.0)] * 20
    found = timing.summarise([*steady, *[(9.0, 0.5, 1200.0)] * 6])
    assert found.speedup == 2.0 and (found.kept, found.dropped) == (20, 6)
    with pytest.raises(timing.UnsteadyClock, match="4 of 4 timed runs"):
        timing.summarise([(1.0, 1.0, None)] * 4)


def test_a_time_below_the_roofline_is_suspect():
    work = (0.0, 3.35e9)  # bytes: a millisecond on an H100
    assert timing.share_of_roofline("NVIDIA H100 80GB HBM3", work, 2.0) == pytest.approx(0.5)
    assert timing.share_of_roofline("NVIDIA H200", work, 1.0) < timing.share_of_roofline("NVIDIA H100 PCIe", work, 1.0)
    assert timing.share_of_roofline("a card of tomorrow", work, 1.0) is None
    for share, suspect in ((0.5, False), (1.05, False), (1.2, True), (None, False)):
        assert timing.Timing(1.0, 1.0, 1.0, 1.0, 1.0, 30, 0, share).suspect is suspect


@pytest.mark.parametrize(
    ("device", "key"),
    [
        ("NVIDIA L40", "L40"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("NVIDIA A10", "A10"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA A100 80GB PCIe MIG 1g.10gb", "A100"),
        ("NVIDIA H100 80GB HBM3", "H100"),
        ("NVIDIA H100 NVL", "H100 NVL"),
        ("NVIDIA H100 PCIe", "H100 PCIe"),
        ("NVIDIA A100-SXM4-40GB", "A100 40GB"),
        ("NVIDIA A100-SXM4-80GB", "A100"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GH200 480GB", "GH200"),
        ("NVIDIA GH200 144G HBM3e", "GH200 HBM3e"),
        ("NVIDIA GB200", "GB200"),
        ("Tesla V100S-PCIE-32GB", "V100S"),
        ("Tesla V100-SXM2-16GB", "V100"),
        ("Tesla T4", "T4"),
        ("NVIDIA RTX A1000", None),
        ("NVIDIA T400 4GB", None),
        ("NVIDIA L400", None),
    ],
)
def test_a_device_is_known_by_the_words_of_its_name(device, key):
    assert timing.peaks_of(device) == (None if key is None else timing.PEAKS[key])


def test_registers_spills_and_occupancy_are_read_from_the_assemblers_report():
    found = resources.read(REPORT)
    assert found == {"_Z1aPf": Resources(59, 256, 24, 8256), "_Z1bPf": Resources(8, 0, 0, 0)}
    assert (
        found["_Z1aPf"].occupancy(256) == 0.5 and found["_Z1bPf"].occupancy(256) == 1.0
    )  # as NVIDIA's calculator has them
    assert found["_Z1bPf"].occupancy(32) == 0.5  # 32 blocks are the most
    assert found["_Z1bPf"].occupancy(256, dynamic=100 << 10) == 0.25
    assert "24 bytes spilled" in found["_Z1aPf"].summary("a", 256) and "no spills" in found["_Z1bPf"].summary("b", 256)


def test_the_definition_of_every_faster_kernel_is_right_in_emulation():
    from semrep_jax.cuda.gpu.nvrtc import CompilerError
    from semrep_jax.cuda.judge import Judge

    known = {n: text for n in TASKS if (text := catalogue.faster(n)) is not None}
    assert len(known) >= 10
    try:
        with Judge() as judge:
            verdicts = judge.judge_all([(TASKS[n], text) for n, text in known.items()])
            # one at a time, what a busy machine left unjudged
            one_by_one = zip(known, verdicts, strict=True)
            verdicts = [v if v.judged else judge.judge(TASKS[n], known[n]) for n, v in one_by_one]
            lines = judge.resources(TASKS["mse_loss"], parse(known["mse_loss"], TASKS["mse_loss"]))
    except CompilerError as error:
        pytest.skip(str(error))
    assert {n: v.feedback for n, v in zip(known, verdicts, strict=True) if v.status is not Status.OK} == {}
    assert all(v.facts == {"emulated": True} and v.speedup is None for v in verdicts)
    assert [line.split(":")[0] for line in lines] == ["squares", "finish"] and "registers" in lines[0]


def test_a_helper_that_hangs_crashes_or_never_starts_is_noticed(tmp_path: Path):
    script = tmp_path / "helper.py"
    script.write_text(HELPER)
    for request in ({"op": "hang"}, {"op": "crash"}):
        helper = JsonWorker(script)
        assert helper.ready == {} and helper.ask(request, 0.5) is None
        helper.close()
    script.write_text("raise SystemExit('no such luck')")
    never = JsonWorker(script)
    assert never.ready is None and "no such luck" in never.tail
    never.close()


def test_a_helper_that_had_ended_before_it_was_asked_is_closed_without_a_word(tmp_path: Path):
    script = tmp_path / "helper.py"
    script.write_text("print('{}', flush=True)")
    helper = JsonWorker(script)
    assert helper.ready == {} and helper.process.wait() == 0
    assert helper.ask({"op": "anything"}, 5.0) is None
    helper.close()
    assert helper.process.stdin.closed


class Unkillable:
    """A process in a call that nothing interrupts: it stays whatever it is sent."""

    def __init__(self, process: subprocess.Popen[bytes]):
        self.process, self.pid = process, process.pid
        self.stdin, self.stdout, self.stderr = process.stdin, process.stdout, process.stderr

    def kill(self) -> None:
        pass

    def wait(self, timeout: float) -> int:
        raise subprocess.TimeoutExpired("worker", timeout)


def test_a_helper_that_can_not_be_killed_is_left_alone_and_that_is_said(tmp_path: Path, monkeypatch, capfd):
    script = tmp_path / "helper.py"
    started, start = [], children.start

    def unkillable(*args: Any, **kwargs: Any) -> Unkillable:
        started.append(start(*args, **kwargs))
        return Unkillable(started[-1])

    monkeypatch.setattr(children, "start", unkillable)
    try:
        script.write_text(HELPER)
        helper = JsonWorker(script)
        assert helper.ready == {}
        helper.close()
        said = " ".join(capfd.readouterr().err.split())
        assert f"process {started[0].pid} was killed and has not ended" in said and "left alone" in said
        assert all(pipe.closed for pipe in (helper.process.stdin, helper.process.stdout, helper.process.stderr))
        script.write_text("import sys\nprint('no JSON', flush=True)\nsys.stdin.read()")
        never = JsonWorker(script)
        assert never.ready is None and "can't be killed" in never.tail
        never.close()
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_without_a_gpu_the_reason_is_given(tmp_path, capsys):
    try:
        Gpu().close()
        pytest.skip("there is a GPU here")
    except NoGpu as error:
        assert "cupy" in str(error) or "driver" in str(error).lower()
    path = tmp_path / "relu.cu"
    path.write_text(TASKS["relu"].source)
    assert main.main(["time", str(path), "--task", "relu"]) == 2
    assert "no GPU can be used here" in capsys.readouterr().err


@pytest.fixture(scope="module")
def gpu():
    try:
        with Gpu(seconds=0.2) as one:
            yield one
    except NoGpu as error:
        pytest.skip(str(error))


@pytest.mark.gpu
def test_a_faster_kernel_is_right_on_the_gpu_and_faster(gpu):
    result = gpu.confirm(TASKS["sum"], parse(catalogue.faster("sum"), TASKS["sum"]))
    assert result.status is Status.OK and result.timing.speedup > 5
    assert result.timing.low <= result.timing.speedup <= result.timing.high


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("while (true) { y[0] = x[0]; }", "timeout"),
        ("y[1 << 28] = 1.0f;", "crash"),
        ("y[N] = 1.0f; y[0] = x[0];", "memory"),
    ],
    ids=["hang", "illegal access", "guard"],
)
def test_a_kernel_that_misbehaves_costs_itself_only(gpu, body, status):
    text = TASKS["relu"].source
    start, end = text.index("    float v"), text.index("}\n```")
    bad = text[:start] + f"    {body}\n" + text[end:]
    assert gpu.confirm(TASKS["relu"], parse(bad, TASKS["relu"]), timed=False).status == status
    afterwards = gpu.confirm(TASKS["relu"], parse(text, TASKS["relu"]), timed=False)
    assert afterwards.status is Status.OK
