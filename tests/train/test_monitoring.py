"""Who looks on while a loop trains: traces of steps, Weights & Biases."""

from __future__ import annotations

import gzip
import json
import struct
from pathlib import Path

import jax.numpy as jnp
import pytest

from semrep_jax import main
from semrep_jax.core.errors import NonFiniteError
from semrep_jax.core.peers import ALONE
from semrep_jax.core.settings import ConfigError
from semrep_jax.core.stop import Stop, Stopped
from semrep_jax.jobs.config import build, load
from semrep_jax.train import loop, wandb_run
from semrep_jax.train.loop import LoopSettings, StepResult
from semrep_jax.train.monitoring import Monitoring, ProfileError, Trace
from semrep_jax.train.settings import LoggingConfig, ProfileConfig


class Counting:
    """The smallest training: a number that grows. It fails at step `breaks`, and is asked to stop in step `stops`."""

    total = 6

    def __init__(self, breaks: int | None = None, stops: int | None = None):
        self.arrays, self.done, self.breaks, self.stops = {"x": jnp.zeros(2)}, 0, breaks, stops
        self.stop = Stop()

    def step(self) -> StepResult:
        if self.done == self.breaks:
            raise RuntimeError("broken")
        self.stop.asked = self.done == self.stops
        self.arrays = {"x": self.arrays["x"] + 1}
        self.done += 1
        return StepResult({"loss": 1.0 / self.done, "gone": float("nan"), "stage": "only"})

    def record(self) -> dict:
        return {}

    def resume(self, restored) -> None:
        self.done, self.arrays = restored.step, restored.state


def watched(directory: Path, training: Counting, steps: str = "", wandb: str = "") -> None:
    monitoring = Monitoring(ProfileConfig(steps=steps), LoggingConfig(wandb=wandb), "work/arm", directory / "profile")
    loop.run(training, "arm", LoopSettings(directory, {"seed": 0}, 2, 2, monitoring=monitoring), training.stop)


def traces(directory: Path) -> list[Path]:
    return sorted((directory / "profile").rglob("*.xplane.pb"))


def test_the_steps_of_a_trace_are_counted_as_metrics_are_and_its_end_is_none_of_them(tmp_path, capsys):
    watched(tmp_path, Counting(), "1:3")
    (trace,) = traces(tmp_path)
    with gzip.open(next(trace.parent.glob("*.trace.json.gz"))) as file:
        events = json.load(file)["traceEvents"]
    steps = {event["args"]["step_num"] for event in events if event.get("name") == "arm"}
    said = " ".join(capsys.readouterr().err.split())
    assert f"arm: steps 1 to 2 are traced in {tmp_path}/profile" in said and "xprof --logdir" in said
    assert steps == {"1", "2"}


def test_steps_that_a_run_does_not_have_are_refused_before_its_first(tmp_path):
    training = Counting()
    with pytest.raises(ProfileError, match=r"profile\.steps: 4:7 ends behind the last step of arm, .* \(0 to 5\)"):
        watched(tmp_path, training, "4:7")
    assert training.done == 0 and not traces(tmp_path)


def test_a_run_that_goes_on_traces_what_is_left_and_says_where_nothing_is(tmp_path, capsys):
    with pytest.raises(Stopped):
        watched(tmp_path, Counting(stops=3), "1:2")
    watched(tmp_path, Counting(), "0:2")
    assert "profile.steps 0:2 lies behind step 4, where it goes on: no trace" in " ".join(
        capsys.readouterr().err.split()
    )
    assert len(traces(tmp_path)) == 1


def test_the_last_steps_are_traced_to_the_end_and_so_are_those_before_a_fault(tmp_path):
    watched(tmp_path / "whole", Counting(), "5:6")
    with pytest.raises(RuntimeError, match="broken"):
        watched(tmp_path / "broken", Counting(breaks=1), "0:4")
    assert len(traces(tmp_path / "whole")) == len(traces(tmp_path / "broken")) == 1


@pytest.mark.parametrize("text", ["10", "a:b", "3:3", "5:2", "-1:2", "1:2:3", "1.0:2", ":4"])
def test_a_range_of_steps_that_is_none_is_refused_in_one_line(text):
    with pytest.raises(
        ConfigError, match=r"profile\.steps: .* is no FIRST:END with FIRST below END; write e\.g\. 10:13"
    ):
        build({"job": "train", "profile": {"steps": text}})


def test_a_range_on_the_command_line_is_no_number_in_base_sixty(tmp_path):
    (tmp_path / "c.yaml").write_text("job: train\nprofile: {steps: 10:13}\n")
    assert load(tmp_path / "c.yaml").profile.window == range(10, 13)
    config = load(tmp_path / "c.yaml", ["profile.steps=1:59", "train.budget=60"])
    assert config.profile.window == range(1, 59) and config.train.budget == 60


def test_a_checkpoint_with_an_infinite_moment_is_not_gone_on_from(tmp_path):
    training = Counting(stops=0)
    training.arrays = {"x": jnp.zeros(2), "nu": jnp.array([1.0, jnp.inf])}
    training.step = lambda: (setattr(training, "done", training.done + 1), StepResult({}))[1]
    training.stop.asked = True
    with pytest.raises(Stopped):
        watched(tmp_path, training)
    training.stop.asked = False
    with pytest.raises(NonFiniteError, match=r"arm: delete .*checkpoints/1 to go on .*: nu holds NaN or infinity"):
        watched(tmp_path, training)


def test_a_trace_that_no_batch_begins_in_is_said_to_be_none(tmp_path, capsys):
    monitoring = Monitoring(ProfileConfig(steps="1:2"), traces=tmp_path)
    trace = Trace(monitoring, "arm", 0, 6, ALONE)
    for number in (0, 3):  # batches of three steps each
        with trace.step(number):
            pass
    assert "no batch begins with a step of profile.steps 1:2" in capsys.readouterr().err and not traces(tmp_path)


def test_who_looks_on_does_not_make_it_another_run():
    plain, seen = ({"job": "train"} | more for more in ({}, {"profile": {"steps": "1:2"}, "logging": {"wandb": "p"}}))
    assert build(plain).sha256 == build(seen).sha256


def test_wandb_that_is_not_installed_is_named_with_its_extra_before_anything_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(wandb_run, "find_spec", lambda name: None)
    (tmp_path / "c.yaml").write_text("job: train\nlogging: {wandb: project}\n")
    work = tmp_path / "run"
    assert main.main(["--config", str(tmp_path / "c.yaml"), "--set", f"work_dir={work}"]) == 2
    said = capsys.readouterr().err
    assert "logging.wandb: 'project' needs the package wandb; pip install -e '.[wandb]'" in said and not work.exists()


@pytest.fixture
def wandb(monkeypatch, tmp_path):
    """The real package, without a network, a key or a home."""
    package = pytest.importorskip("wandb", reason="needs the extra [wandb]")
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_ERROR_REPORTING", "false")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    yield package
    package.teardown()


BLOCK = 1 << 15


def logged(path: Path) -> list[dict]:
    """The rows in an offline run's file: records of LevelDB's log format, behind seven bytes of W&B's own."""
    from wandb.proto import wandb_internal_pb2 as messages

    data, at, whole, rows = path.read_bytes(), 7, b"", []
    while at + 7 <= len(data):
        if BLOCK - at % BLOCK < 7:  # no room for another record's head
            at += BLOCK - at % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", data, at)
        whole += data[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # a whole record, or the last part of one
            record = messages.Record.FromString(whole)
            if record.WhichOneof("record_type") == "history":
                items = record.history.item
                rows.append({i.key or ".".join(i.nested_key): json.loads(i.value_json) for i in items})
            whole = b""
    return rows


def test_wandb_offline_gets_every_step_and_a_run_that_goes_on_keeps_its_id(tmp_path, monkeypatch, wandb):
    monkeypatch.setenv("WANDB_MODE", "offline")
    with pytest.raises(Stopped):
        watched(tmp_path, Counting(stops=3), wandb="project")
    watched(tmp_path, Counting(), wandb="project")
    watched(tmp_path, Counting(), wandb="project")  # finished: nothing is left to log
    name = json.loads((tmp_path / "wandb.json").read_text())["id"]
    files = sorted(tmp_path.glob("wandb/offline-run-*/*.wandb"))
    assert [path.name for path in files] == [f"run-{name}.wandb"] * 2
    rows = [row for path in files for row in logged(path)]
    assert [row["_step"] for row in rows] == list(range(6))
    assert rows[3]["loss"] == 0.25 and rows[3]["stage"] == "only" and "gone" not in rows[3]


@pytest.mark.parametrize("key", ["", "0" * 40], ids=["no key", "no network"])
def test_wandb_that_can_not_be_reached_ends_no_run_and_keeps_what_was_logged(key, tmp_path, monkeypatch, wandb, capsys):
    monkeypatch.setattr(wandb_run, "START_SECONDS", 3)
    if key:
        monkeypatch.setenv("WANDB_API_KEY", key)
    training = Counting()
    watched(tmp_path, training, wandb="project")
    said = " ".join(capsys.readouterr().err.split())
    assert training.done == 6 and "W&B: " in said and "the training goes on, it is logged offline" in said
    (path,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert [row["_step"] for row in logged(path)] == list(range(6))
