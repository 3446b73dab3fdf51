"""Several processes of one run on this machine: the same steps, the same checkpoint, one signal for all, refusals that
end them all."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from semrep_jax.core.peers import Peers
from semrep_jax.core.workdir import WorkDir
from semrep_jax.jobs import config as configuration
from semrep_jax.model import pretrained

STEPS = 4


@pytest.fixture(scope="module")
def config(tiny, tmp_path_factory) -> Path:
    """A run of seconds on a mesh of two devices."""
    directory = tmp_path_factory.mktemp("peers")
    pretrained.export(directory / "tiny", tiny.model, tiny.params, tiny.tokenizer)
    path = directory / "c.yaml"
    path.write_text(f"""
job: train
model: {{source: {directory / "tiny"}}}
mesh: {{data: 2}}
tasks: {{train_size: 8}}
rollout: {{prompts: 2, group: 2, max_prompt: 192, bucket: 192, max_new: 8}}
train: {{budget: {STEPS}, alpha: 0.5, checkpoint_every: 1, learning_rate: 0.001, kl: k3, kl_weight: 1.0}}
sandbox: {{workers: 1, wall_seconds: 60}}
evaluate: {{suites: [correctness], tasks: 2, samples: 2, batch: 2, resamples: 100}}
""")
    return path


def start(config: Path, work: Path, *more: str, devices: int = 1) -> subprocess.Popen:
    sets = [x for s in (f"work_dir={work}", *more) for x in ("--set", s)]
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return subprocess.Popen(
        [sys.executable, "-m", "semrep_jax.main", "--config", str(config), *sets],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"XLA_FLAGS": flags},
    )  # fmt: skip


def pair(config: Path, work: Path, *more: str) -> list[subprocess.Popen]:
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    at = (f"distributed.coordinator=localhost:{port}", "distributed.processes=2", "distributed.timeout=60")
    return [start(config, work, *at, f"distributed.process={rank}", *more) for rank in range(2)]


def finish(processes: list[subprocess.Popen]) -> list[tuple[int, str, str]]:
    try:
        told = [p.communicate(timeout=200) for p in processes]
    finally:
        for p in processes:
            p.kill()
    return [(p.returncode, out, err) for p, (out, err) in zip(processes, told, strict=True)]


def left_behind(work: Path) -> tuple[dict[str, np.ndarray], list[dict], str]:
    arm = work / "arms" / "semrep"
    rows = [json.loads(line) for line in (arm / "metrics.jsonl").read_text().splitlines()]
    untimed = [{k: v for k, v in row.items() if not k.startswith(("times/", "process/", "perf/"))} for row in rows]
    return load_file(arm / "model" / "model.safetensors"), untimed, (arm / "samples.jsonl").read_text()


def test_two_processes_stopped_by_a_signal_to_one_and_gone_on_with_by_one_end_in_the_bits_of_one(
    config, tmp_path, monkeypatch
):
    monkeypatch.setenv("SEMREP_EXIT_WHEN_STOPPED", "75")  # as a cluster's launcher does
    together = pair(config, tmp_path / "two")
    metrics = tmp_path / "two" / "arms" / "semrep" / "metrics.jsonl"
    deadline = time.monotonic() + 150
    while not (metrics.exists() and metrics.read_text().count("\n") >= 1) and time.monotonic() < deadline:
        time.sleep(0.02)
    together[1].send_signal(signal.SIGTERM)
    (code, out, err), (other, silent, _) = finish(together)
    assert (code, other) == (75, 75), err
    assert "goes on from there" in out and "goes on" not in silent
    assert not (tmp_path / "two" / "results.json").exists()
    for work in ("two", "one"):
        ((code, _, err),) = finish([start(config, tmp_path / work, devices=2)])
        assert code == 0, err
    weights, rows, samples = left_behind(tmp_path / "one")
    others, their_rows, their_samples = left_behind(tmp_path / "two")
    assert len(rows) == STEPS and rows == their_rows and samples == their_samples
    assert all(np.array_equal(weights[k], others[k]) for k in weights)


def test_two_processes_that_each_fill_their_own_rows_warm_start_to_the_bits_of_one(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("""
job: pretrain
mesh: {data: 2}
model: {shape: {vocab: 1024, dim: 16, layers: 1, heads: 2, kv_heads: 1, head_dim: 8, ffn: 16}}
supervised: {steps: 3, rows: 4, row_length: 128, block: 32, warmup: 1}
""")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        shutil.copy(pretrained.NANO / "tokenizer.json", tmp_path / name)
    ended = finish([start(path, tmp_path / "one", devices=2), *pair(path, tmp_path / "two")])
    assert [code for code, _, _ in ended] == [0, 0, 0], ended
    one, two = (load_file(tmp_path / name / "export" / "model.safetensors") for name in ("one", "two"))
    assert all(np.array_equal(one[k], two[k]) for k in one)


def test_a_refusal_to_one_process_ends_all(config, tmp_path):
    held = WorkDir(tmp_path, {})
    (code, _, err), (other, _, their_err) = finish(pair(config, tmp_path))
    held.close()
    assert (code, other) == (2, 2)
    assert "in use" in err and "process 0" in their_err and "in use" in their_err


def test_a_mesh_that_leaves_a_process_without_a_device_is_refused(config, tmp_path):
    ended = finish(pair(config, tmp_path, "mesh.data=1"))
    assert [code for code, _, _ in ended] == [2, 2]
    assert all("leaves 1 of 2 processes without one" in err for _, _, err in ended)


def test_shares_are_a_partition_in_order():
    items = list(range(11))
    assert [x for rank in range(4) for x in Peers(rank, 4).partition(items)] == items


def test_a_process_that_is_none_of_them_is_refused():
    with pytest.raises(configuration.ConfigError, match=r"distributed\.process: 2 is not one of 2"):
        configuration.build(
            {"job": "train", "distributed": {"coordinator": "localhost:1", "processes": 2, "process": 2}}
        )
