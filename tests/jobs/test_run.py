"""Whole runs of the command: two stages, kill and resume, refusals, exit codes."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from semrep_jax import main
from semrep_jax.core.workdir import InUse, WorkDir, WorkDirError
from semrep_jax.jobs import arms
from semrep_jax.jobs import config as configuration
from semrep_jax.model import pretrained
from semrep_jax.train.budget import REWRITE, TRANSFORM, Budget

STEPS = 6


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    """A run that takes seconds: the nano base, six steps."""
    path = tmp_path_factory.mktemp("config") / "c.yaml"
    path.write_text(f"""
job: train
model: {{source: nano}}
tasks: {{train_size: 8}}
rollout: {{prompts: 2, group: 4, max_prompt: 192, bucket: 192, max_new: 88}}
train: {{budget: {STEPS}, alpha: 0.5, checkpoint_every: 1, learning_rate: 0.001, kl: k3, kl_weight: 1.0,
  empty_batch: step}}
sandbox: {{wall_seconds: 60}}  # a busy machine keeps no candidate waiting so long, and decides nothing
evaluate: {{suites: [correctness], tasks: 2, samples: 2, batch: 2, resamples: 100, every: 4,
  held_out: {{tasks: 2, samples: 2}}}}
""")
    return path


def command(config: Path, work: Path, *more: str) -> list[str]:
    sets = [x for s in (f"work_dir={work}", *more) for x in ("--set", s)]
    return [sys.executable, "-m", "semrep_jax.main", "--config", str(config), *sets]


class Here:
    """Runs the command in this process, where what it needs is imported and compiled."""

    def __init__(self, config: Path, capsys: pytest.CaptureFixture[str]):
        self.config, self.capsys = config, capsys

    def __call__(self, work: Path, *more: str) -> subprocess.CompletedProcess:
        self.capsys.readouterr()
        arguments = command(self.config, work, *more)[3:]
        code = main.main(arguments)
        return subprocess.CompletedProcess(arguments, code, *self.capsys.readouterr())


@pytest.fixture
def here(config: Path, capsys: pytest.CaptureFixture[str]) -> Here:
    return Here(config, capsys)


def rows(work: Path, arm: str = "semrep") -> list[dict]:
    return [json.loads(line) for line in (work / "arms" / arm / "metrics.jsonl").read_text().splitlines()]


def untimed(row: dict) -> dict:
    return {k: v for k, v in row.items() if not k.startswith(("times/", "process/", "perf/"))}


def curve(work: Path, arm: str = "semrep") -> list[dict]:
    lines = (work / "arms" / arm / "curve.jsonl").read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def wait_for_steps(work: Path, process: subprocess.Popen, count: int) -> None:
    path = work / "arms" / "semrep" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists() and len(path.read_text().splitlines()) >= count:
            return
        time.sleep(0.02)
    raise AssertionError(f"no {count} steps: {process.stderr.read() if process.stderr else ''}")


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory) -> Path:
    work = tmp_path_factory.mktemp("whole") / "run"
    with redirect_stdout(StringIO()) as said:
        assert main.main(command(config, work)[3:]) == 0
    assert "report.html" in said.getvalue()
    return work


def test_a_run_leaves_everything_it_promises(whole):
    names = ("config.yaml", "results.json", "report.html", "arms/semrep/metrics.jsonl", "arms/semrep/samples.jsonl")
    assert all((whole / name).stat().st_size for name in names)
    assert list((whole / "arms/semrep/tensorboard").glob("events*"))
    results = json.loads((whole / "results.json").read_text())
    assert set(results["arms"]) == {"base", "semrep"}
    assert set(results["arms"]["semrep"]["correctness/T1"]) == {"value", "low", "high", "n"}
    assert results["arms"]["semrep"]["train_steps"]["value"] == STEPS


def test_stage_one_takes_alpha_of_the_budget_and_stage_two_the_rest_with_its_rewrites_counted(whole):
    stages = [(row["step"], row["stage"], row["rollouts"]) for row in rows(whole)]
    assert stages == [(s, REWRITE, 8) for s in range(3)] + [(s, TRANSFORM, 10) for s in range(3, 6)]
    samples = [json.loads(line) for line in (whole / "arms/semrep/samples.jsonl").read_text().splitlines()]
    assert (
        len(samples) == 8 * STEPS
        and all(s["c_rep"] is None for s in samples[:24])
        and all(s["c_rep"] for s in samples[24:])
    )


def test_the_run_takes_the_steps_that_it_took_before_the_rooms_were_rebuilt(whole):
    kept = json.loads((Path(__file__).parents[1] / "golden_run.json").read_text())
    for row, golden in zip(rows(whole), kept, strict=True):
        assert {k: row[k] for k in golden} == pytest.approx(golden, rel=1e-3, abs=1e-3)


def test_a_run_leaves_its_held_out_curve_its_best_model_and_what_training_gave(whole):
    found = curve(whole)
    assert [row["step"] for row in found] == [0, 4, STEPS]
    assert {row["suite"] for row in found} == {"correctness"} and {row["n"] for row in found} == {2}
    assert [row["tokens"] for row in found] == [0, *(rows(whole)[step - 1]["total_tokens"] for step in (4, STEPS))]
    best = json.loads((whole / "arms/semrep/best.json").read_text())
    values = [row["value"] for row in found]
    assert best == {"step": found[values.index(max(values))]["step"], "metric": "correctness/T1", "value": max(values)}
    assert (whole / "arms/semrep/best/config.json").exists()
    results = json.loads((whole / "results.json").read_text())
    gain, arms = results["gains"]["semrep"]["correctness/T1"], results["arms"]
    gap = arms["semrep"]["correctness/T1"]["value"] - arms["base"]["correctness/T1"]["value"]
    assert gain["value"] == pytest.approx(gap, abs=1e-6) and gain["low"] <= gap <= gain["high"]
    assert "SemRep − base" in results["tables"][0]["columns"]


def test_a_run_logs_what_its_updates_do(whole):
    logged = rows(whole)
    assert logged[0]["kl_to_base"] == pytest.approx(0, abs=1e-6) and "kl_to_base" not in logged[1]
    for row in logged:
        assert 0 <= row["kept_groups"] <= 1 - row["zero_variance_groups"]
        assert (row["effective_tokens"] > 0) == (row["kept_groups"] > 0) and row["effective_tokens"] <= row["tokens"]


def test_the_weights_moved_and_the_exported_arm_is_a_model(whole):
    new = load_file(whole / "arms/semrep/model/model.safetensors")
    old = load_file(pretrained.NANO / "model.safetensors")
    assert new.keys() == old.keys() and any(not np.array_equal(new[k], old[k]) for k in new)


def test_kill_minus_nine_and_the_same_command_again_end_in_the_same_bits(config, here, whole, tmp_path):
    work = tmp_path / "run"
    process = subprocess.Popen(command(config, work), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    wait_for_steps(work, process, 4)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = here(work)
    assert done.returncode == 0, done.stderr
    assert [untimed(r) for r in rows(whole)] == [untimed(r) for r in rows(work)]
    want, got = (load_file(w / "arms/semrep/model/model.safetensors") for w in (whole, work))
    assert all(np.array_equal(want[k], got[k]) for k in want)
    assert (whole / "arms/semrep/samples.jsonl").read_text() == (work / "arms/semrep/samples.jsonl").read_text()
    assert curve(whole) == curve(work)
    want, got = (w / "arms/semrep" for w in (whole, work))
    assert (want / "best.json").read_text() == (got / "best.json").read_text()
    want, got = (load_file(arm / "best/model.safetensors") for arm in (want, got))
    assert all(np.array_equal(want[k], got[k]) for k in want)


def test_sigterm_saves_exits_zero_and_the_run_goes_on(config, here, whole, tmp_path):
    work = tmp_path / "run"
    process = subprocess.Popen(command(config, work), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_steps(work, process, 2)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0 and "goes on from there" in out, err
    assert not (work / "results.json").exists()
    refused = here(work, "train.learning_rate=0.002")
    assert refused.returncode == 2 and "train.learning_rate was 0.001 and is 0.002" in refused.stderr
    (newest,) = sorted((work / "arms/semrep/checkpoints").glob("[0-9]*"), key=lambda p: int(p.name))[-1:]
    identity = work / "identity.json"
    identity.write_text(identity.read_text().replace('"seed": 0', '"seed": 9', 1))
    other = here(work, "seed=9")
    assert other.returncode == 2 and str(newest) in other.stderr and "another run" in other.stderr
    (work / "identity.json").unlink()
    (work / "config.yaml").unlink()
    biggest = max((p for p in newest.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    biggest.write_bytes(biggest.read_bytes()[: biggest.stat().st_size // 2])
    damaged = here(work)
    assert damaged.returncode == 0 and "Traceback" not in damaged.stderr, damaged.stderr
    assert f"{newest} is damaged" in damaged.stderr and "are taken again" in damaged.stderr
    want, got = (load_file(w / "arms/semrep/model/model.safetensors") for w in (whole, work))
    assert all(np.array_equal(want[k], got[k]) for k in want)


def test_more_budget_after_the_end_goes_on_from_it_and_is_measured_again(here, tmp_path):
    small = ("train.budget=2", "evaluate.samples=1")
    assert here(tmp_path / "run", *small).returncode == 0
    more = here(tmp_path / "run", "train.budget=3", *small[1:])
    assert more.returncode == 0 and "schedule of 3 steps" in more.stderr, more.stderr
    assert [row["stage"] for row in rows(tmp_path / "run")] == [REWRITE, TRANSFORM, TRANSFORM]
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["arms"]["semrep"]["train_steps"]["value"] == 3
    assert json.loads((tmp_path / "run/evaluation/semrep-correctness-T1.json").read_text())["identity"]["steps"] == 3
    less = here(tmp_path / "run", *small)
    assert less.returncode == 2 and "train.budget was 3 and is 2" in less.stderr


def test_a_step_to_infinity_stops_the_run_names_it_and_exports_nothing(here, tmp_path):
    small = ("train.learning_rate=1e38", "train.budget=2", "train.warmup=0")
    done = here(tmp_path / "run", *small)
    assert done.returncode == 2 and "Traceback" not in done.stderr, done.stderr
    line = done.stderr.strip().splitlines()[-1]
    assert "step " in line and "checkpoint" in line and "train.learning_rate" in line
    assert not (tmp_path / "run/arms/semrep/model/config.json").exists()
    for row in (tmp_path / "run/arms/semrep/metrics.jsonl").read_text().splitlines():
        json.loads(row, parse_constant=lambda name: pytest.fail(name))


def test_a_finished_run_is_not_run_again(here, whole):
    before = (whole / "results.json").read_text()
    done = here(whole)
    assert done.returncode == 0 and (whole / "results.json").read_text() == before


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--config"),
        (["--config", "nowhere.yaml"], "does not exist"),
        (["--config", "configs/quickstart.yaml", "--set", "job=dance"], "dance"),
        (["--config", "configs/quickstart.yaml", "--set", "train.alpha=2"], "train.alpha"),
        (["--config", "configs/quickstart.yaml", "--set", "train.budget=1"], "raise train.budget"),
        (["--config", "configs/quickstart.yaml", "--set", "work_dir=/proc/nowhere"], "not writable"),
        (["--config", "configs/quickstart.yaml", "--set", "model.source=/nowhere"], "config.json"),
        (["--config", "configs/quickstart.yaml", "--set", "tasks.generated.families=[gardening]"], "gardening"),
    ],
)
def test_a_mistake_gets_one_line_with_the_fix_and_exit_code_two(arguments, says, capsys, tmp_path):
    if "--config" in arguments and not any("work_dir" in a for a in arguments):
        arguments = [*arguments, "--set", f"work_dir={tmp_path / 'run'}"]
    assert main.main(arguments) == 2
    error = capsys.readouterr().err.strip()
    assert says in error.splitlines()[-1] and "Traceback" not in error


def test_a_run_is_not_gone_on_with_where_another_model_lies_at_the_same_place(tiny_directory, tmp_path):
    model = tmp_path / "model"
    shutil.copytree(tiny_directory, model)
    chosen = configuration.build({"job": "train", "model": {"source": str(model)}})
    work = WorkDir(tmp_path / "run", {})
    assert arms.load_model(chosen, work).digest == arms.load_model(chosen, work).digest
    weights = load_file(model / "model.safetensors")
    save_file({name: value * 2 for name, value in weights.items()}, model / "model.safetensors")
    assert arms.load_model(chosen)  # what a run did not begin with
    with pytest.raises(arms.OtherModel, match=r"holds other weights or another tokenizer .* use another work_dir"):
        arms.load_model(chosen, work)
    work.close()


def test_two_runs_do_not_share_a_work_directory(config, tmp_path, capsys):
    held = WorkDir(tmp_path, {})
    assert main.main(["--config", str(config), "--set", f"work_dir={tmp_path}"]) == 2
    assert "in use" in capsys.readouterr().err
    held.close()


def test_a_file_system_without_locks_is_not_taken_for_another_process(tmp_path, monkeypatch):
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.raises(WorkDirError, match=r"without locks .No locks available.") as found:
        WorkDir(tmp_path, {})
    assert not isinstance(found.value, InUse)  # which a sweep takes for a cell that another process works on


def test_too_little_disk_is_said_before_anything_is_written(config, tmp_path, capsys, monkeypatch):
    from collections import namedtuple

    from semrep_jax.core import workdir

    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(workdir.shutil, "disk_usage", lambda path: usage(1, 1, 1 << 20))
    assert main.main(["--config", str(config), "--set", f"work_dir={tmp_path / 'run'}"]) == 2
    assert "free some" in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.yaml").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a full disk needs root")
def test_a_disk_that_fills_up_ends_the_run_with_the_fix_and_a_resumable_directory(config, here, tmp_path):
    work, small = tmp_path / "small", ("train.budget=3", "evaluate.samples=1", "evaluate.every=0")
    work.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=400m", "tmpfs", str(work)], capture_output=True).returncode:
        pytest.skip("this machine does not let root mount a tmpfs")
    try:
        process = subprocess.Popen(
            command(config, work / "run", *small), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        wait_for_steps(work / "run", process, 1)
        filler = work / "filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(b"x" * (1 << 16))
            except OSError:
                pass
        _, err = process.communicate(timeout=120)
        said = [line for line in err.splitlines() if not re.match(r"\w+: \d+/\d+( |$)", line)]  # beside the progress
        assert process.returncode == 2 and len(said) == 1, err
        assert said[0].startswith("error: ") and "free some" in said[0]
        filler.unlink()
        assert here(work / "run", *small).returncode == 0
    finally:
        subprocess.run(["umount", "-l", str(work)])


@pytest.mark.parametrize("content", ['{"steps": ', "[1]", "\udcff"], ids=["cut", "list", "bytes"])
def test_a_kept_file_that_is_damaged_is_named_with_what_to_do(tmp_path, content):
    work = WorkDir(tmp_path, {"seed": 0})
    (tmp_path / "results.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(WorkDirError, match=r"results\.json is damaged .*delete it"):
        work.read("results.json")
    work.close()
    (tmp_path / "identity.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(WorkDirError, match=r"identity\.json is damaged .*use another work_dir"):
        WorkDir(tmp_path, {"seed": 0})


def test_the_budget_is_one_counter_with_the_boundary_at_alpha():
    budget = Budget(10, 0.3)
    seen = []
    while budget.left:
        seen.append(budget.stage)
        budget.spend()
    assert seen == [REWRITE] * 3 + [TRANSFORM] * 7
    assert Budget(10, 0.3, used=1).stage_left == 2 and Budget(10, 0.3, used=3).stage_left == 7
    longer = Budget(20, 0.5)
    longer.resume(used=10, total=10, boundary=5)
    assert longer.stage == TRANSFORM and longer.stage_left == 10
    longer = Budget(20, 1.0)
    longer.resume(used=10, total=10, boundary=10)
    assert longer.stage == REWRITE and longer.stage_left == 10
    assert Budget(10, 0.0).stage == TRANSFORM and Budget(10, 1.0).boundary == 10


def test_help_and_settings_teach(capsys):
    assert main.main(["--list-settings"]) == 0
    assert "train.alpha" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main.main(["--help"])
    assert ended.value.code == 0 and "compare" in capsys.readouterr().out
    assert main.main(["--config", "configs/quickstart.yaml", "--set", "train.budget=7", "--print-config"]) == 0
    assert "budget: 7" in capsys.readouterr().out
