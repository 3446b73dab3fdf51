"""What a step's numbers are: FLOPs worked out by hand, utilisation, memory; and that every metric is documented."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from semrep_jax.core.stop import Stop
from semrep_jax.model import decoder, peaks, sharding
from semrep_jax.model.adapters import Adapter
from semrep_jax.model.decoder import ComputeConfig, Shape
from semrep_jax.model.pretrained import NANO
from semrep_jax.model.shape import layout
from semrep_jax.rewards import AcceptBy, RewardConfig, Term
from semrep_jax.rollout.settings import RolloutConfig
from semrep_jax.tasks.generated.generator import Generator
from semrep_jax.train import performance
from semrep_jax.train.advantages import Scored, is_flat
from semrep_jax.train.budget import REWRITE, TRANSFORM, Budget
from semrep_jax.train.performance import Texts, Work, forward_flops, peak_memory, train_flops, utilisation
from semrep_jax.train.settings import KL, Correction, EmptyBatch, NonFinite, TrainConfig
from semrep_jax.train.stages import rewrite_stage, transform_stage
from semrep_jax.train.trainer import Recipe, Trainer

README = Path(__file__).parents[2] / "semrep_jax" / "train" / "README.md"
SHAPE = Shape(vocab=11, dim=4, layers=2, heads=2, kv_heads=1, head_dim=2, ffn=3)
# q 4x4, k and v 4x2, o 4x4, gate, up and down 4x3 each: 84 a layer
PROJECTIONS, HEAD = 2 * (16 + 8 + 8 + 16 + 3 * 12), 11 * 4


def model(shape: Shape = SHAPE, adapter: Adapter | None = None) -> decoder.Model:
    return decoder.build(shape, sharding.build(), ComputeConfig(adapter=adapter))


def test_the_flops_of_a_pass_are_those_worked_out_by_hand():
    work = Work.of([Texts(3, [2, 1]), Texts(1, [])])
    assert work.places.tolist() == [0, 1, 2, 0, 3, 4, 3] and (work.tokens, work.predicted) == (7, 3)
    pairs = 1 + 2 + 3 + 1 + 4 + 5 + 4
    forward = 2 * PROJECTIONS * 7 + 2 * HEAD * 3 + 4 * 2 * 2 * 2 * pairs
    assert forward_flops(model(), work) == forward and train_flops(model(), work) == 3 * forward
    windowed = model(replace(SHAPE, windows=(2, None)))
    seen = 1 + 2 + 2 + 1 + 2 + 2 + 2
    assert forward_flops(windowed, work) == forward - 4 * 2 * 2 * (pairs - seen)


def test_adapters_take_no_gradient_of_the_weights_beside_them():
    work = Work.of([Texts(2, [2])])
    low_rank = 2 * ((4 + 4) + 2 * (4 + 2) + (4 + 4) + 2 * (4 + 3) + (3 + 4))  # A and B of rank 1: q, k and v, o, ...
    one = model(adapter=Adapter(rank=1))
    attention = 4 * 2 * 2 * 2 * (1 + 2 + 3 + 4)
    forward = 2 * (PROJECTIONS + low_rank) * 4 + 2 * HEAD * 2 + attention
    assert forward_flops(one, work) == forward
    assert train_flops(one, work) == 2 * forward + 2 * low_rank * 4 + attention


def test_most_flops_of_a_usual_model_are_six_a_parameter_and_token():
    shape = Shape(vocab=32_000, dim=2048, layers=16, heads=16, kv_heads=16, head_dim=128, ffn=5632, tied=False)
    size = sum(int(np.prod(p.size)) for p in layout(shape).values()) - 32_000 * 2048  # of the look-up, no product
    like = SimpleNamespace(shape=shape, compute_config=ComputeConfig())
    assert train_flops(like, Work.of([Texts(0, [512])])) == pytest.approx(6 * size * 512, rel=0.05)


@pytest.mark.parametrize(
    ("device", "flops"),
    [
        ("TPU v4", 275e12),
        ("TPU v5 lite", 197e12),
        ("TPU v5", 459e12),
        ("TPU v6 lite", 918e12),
        ("NVIDIA H100 80GB HBM3", 989e12),
        ("NVIDIA H100 PCIe", 756e12),
        ("NVIDIA A100-SXM4-80GB", 312e12),
        ("cpu", None),
        ("TPU v99", None),
        ("NVIDIA GeForce RTX 4090", None),
    ],
)
def test_the_peak_of_a_device_is_known_by_its_name_or_not_at_all(device, flops):
    assert peaks.peak_flops(device) == flops


def test_utilisation_is_left_out_where_the_peak_is_not_known(monkeypatch):
    assert utilisation(model(), 1e9, 2.0) == {}
    monkeypatch.setattr(performance, "peak_flops", lambda kind: 5e9)
    assert utilisation(model(), 1e9, 2.0) == {"perf/mfu": 0.1}


def test_memory_is_of_the_host_and_of_devices_that_say(monkeypatch):
    assert 0.05 < peak_memory()["perf/peak_host_gib"] < 1000 and len(peak_memory()) == 1
    full = [SimpleNamespace(memory_stats=lambda n=n: {"peak_bytes_in_use": n << 30}) for n in (3, 7)]
    monkeypatch.setattr(performance.jax, "local_devices", lambda: full)
    assert peak_memory()["perf/peak_device_gib"] == 7.0


def test_a_group_of_equal_rewards_has_no_variance_whatever_was_not_judged():
    def member(value: float, judged: bool = True) -> Scored:
        return Scored((Term("reward", 1.0, value),), correct=True, judged=judged)

    assert is_flat([member(1), member(1), member(0, judged=False)]) and is_flat([member(1, judged=False)])
    assert not is_flat([member(1), member(0.5)])


def documented() -> tuple[set[str], set[str], set[str]]:
    """The names in README.md: of every step that updates, of some steps only, of the warm start."""
    text = README.read_text().partition("## Every metric")[2]
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    names = [set(re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)) for table in tables[:3]]
    return names[0], names[1], names[2]


def generic(key: str) -> str:
    """`status/ok` as it is documented: `status/NAME`."""
    return re.sub(r"^(status|dropped)/.+", r"\1/NAME", key)


def test_every_metric_that_a_run_writes_is_documented_and_every_documented_one_is_written(
    tiny, verifier, tmp_path, monkeypatch
):
    monkeypatch.setattr(performance, "peak_flops", lambda kind: 1e12)  # as on a device that is known
    tasks = list(islice(Generator(seed=2).tasks(), 4))
    reward = RewardConfig(accept=AcceptBy.BEHAVIOUR)
    stages = {REWRITE: rewrite_stage(tasks, reward), TRANSFORM: transform_stage(tasks, reward, uses_rewrite=True)}
    settings = {"kl": KL.K3, "correction": Correction.TIS, "non_finite": NonFinite.SKIP}
    setting = TrainConfig(budget=2, empty_batch=EmptyBatch.STEP, **settings)
    rollout = RolloutConfig(prompts=2, group=2, max_prompt=192, bucket=192, max_new=8)
    recipe = Recipe(0, rollout, reward, setting, {"seed": 0})
    Trainer(recipe, stages, Budget(2, 0.5), tiny, verifier, tmp_path, Stop()).run()  # a step of each stage
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    always, sometimes, _ = documented()
    written = [{generic(key) for key in row} for row in rows]
    assert len(rows) == 2 and all(always <= keys for keys in written)
    assert set().union(*written) == (always | sometimes) - {"perf/peak_device_gib"}  # a CPU does not say
    assert all(row["perf/mfu"] >= 0 and row["perf/sampled_tokens_per_s"] > 0 for row in rows)


def test_every_metric_of_a_warm_start_is_documented(tmp_path, monkeypatch):
    from semrep_jax.jobs import config
    from semrep_jax.train.supervised import WarmStart, run

    shape = {"vocab": 1024, "dim": 16, "layers": 1, "heads": 2, "kv_heads": 1, "head_dim": 8, "ffn": 16}
    own = {"steps": 2, "rows": 2, "row_length": 128, "block": 16, "warmup": 1}
    chosen = config.build({"job": "pretrain", "model": {"shape": shape}, "supervised": own})
    shutil.copy(NANO / "tokenizer.json", tmp_path)
    monkeypatch.setattr(performance, "peak_flops", lambda kind: 1e12)
    run(WarmStart(chosen.seed, chosen.model, chosen.supervised, {}), sharding.build(), tmp_path, Stop())
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert {generic(key) for row in rows for key in row} == documented()[2] | {"perf/mfu"}
    assert all(0 < row["perf/mfu"] < 1 for row in rows)
